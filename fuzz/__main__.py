# SPDX-License-Identifier: MIT
"""`vmrace` begins here: the current folder last, then signals, before anything that takes time is imported."""

from __future__ import annotations

from fuzz.functions.search_path import current_folder_last


def main() -> None:
    current_folder_last()
    from fuzz.run import stop_request as stopping
    stopping.install()
    from fuzz.cli.main import main as command
    try:
        command()
    finally:
        stopping.done()


if __name__ == "__main__":
    main()
