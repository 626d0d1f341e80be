# SPDX-License-Identifier: MIT
"""The entry point of the command `vmrace`. It sets up the module search path and the signals before the slow imports."""

from __future__ import annotations

from vmrace.fuzz.run.search_path import current_folder_last


def main() -> None:
    """Run the command, and exit with its code."""
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
