# SPDX-License-Identifier: MIT
"""`vmrace` begins here: the current folder last, then signals, before anything that takes time is imported."""

from __future__ import annotations

from vmrace.fuzz.functions.search_path import current_folder_last


def main() -> None:
    current_folder_last()
    from vmrace.fuzz.run import stop_request
    stop_request.install()
    from vmrace.fuzz.cli.main import main as command
    try:
        command()
    finally:
        stop_request.done()


if __name__ == "__main__":
    main()
