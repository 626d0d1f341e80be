# SPDX-License-Identifier: MIT
"""The only place that writes files. `write` makes a partial file in the same directory and renames it when it is complete.

A full disk or a kill therefore leaves the old file as it was. A process that reads a file and then writes it holds `alone` for the
whole time, because another process may do the same. Partial files found while `alone` is held are leftovers of killed processes, and
are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

PARTIAL = ".vmrace-partial"     # the end of a partial file's name

_mine: set[str] = set()         # directories that this process has locked


@contextlib.contextmanager
def alone(directory: pathlib.Path) -> Iterator[None]:
    """Lock `directory` against other vmrace processes; it is created if it is missing. Raises OSError, with the directory's name."""
    directory.mkdir(parents=True, exist_ok=True)
    name = os.path.realpath(directory)
    if name in _mine:
        yield
        return
    held = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):      # a file system without locks still renames, so each file is still complete
            fcntl.flock(held, fcntl.LOCK_EX)
            _remove_partial(directory)
        _mine.add(name)
        yield
    finally:
        _mine.discard(name)
        os.close(held)


def _remove_partial(directory: pathlib.Path) -> None:
    for path in directory.glob(f".*{PARTIAL}"):
        with contextlib.suppress(OSError):
            path.unlink()


def write(path: pathlib.Path, text: str) -> None:
    """Replace the contents of a file by `text`. Raises OSError, with the file's name; the old contents are then unchanged."""
    path = pathlib.Path(os.path.realpath(path))         # a symbolic link stays: its target is written
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with alone(path.parent):
            try:
                with partial.open("w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())     # some file systems report a full disk only here
                with contextlib.suppress(FileNotFoundError):
                    partial.chmod(path.stat().st_mode & 0o7777)
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink()
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def check_writable(directory: pathlib.Path) -> None:
    """Raise OSError unless a file can be written in `directory`: a command tests that before its work, not at the end.

    A missing directory is made for the test, and removed again.
    """
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    trial = directory / f".writable{PARTIAL}"
    with alone(directory):
        write(trial, "")
        trial.unlink()
    for made in missing:
        made.rmdir()


def why(error: OSError) -> str:
    """Return the system's reason for an OSError, such as `No space left on device`."""
    return error.strerror or str(error) or type(error).__name__
