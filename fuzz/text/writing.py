# SPDX-License-Identifier: MIT
"""The one way in which files are written: beside, and renamed when they are whole. A full disk or a kill leaves what was there.

A process that reads a file and then writes it holds `alone` meanwhile, as another may do the same. Whatever is still beside
when that is held was left by a process that was killed, and is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

PARTIAL = ".vmrace-partial"     # how the name of a file ends that is not whole

_mine: set[str] = set()         # directories that this process holds


@contextlib.contextmanager
def alone(directory: pathlib.Path) -> Iterator[None]:
    """No other process writes into `directory` meanwhile. It is made if it is not there. OSError, with its name, if it cannot be."""
    directory.mkdir(parents=True, exist_ok=True)
    name = os.path.realpath(directory)
    if name in _mine:
        yield
        return
    held = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):      # a file system without locks: a file is whole there, too
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
    """Make `text` all that the file holds. OSError, with the name of the file, if that fails; what it held before is then still there."""
    path = pathlib.Path(os.path.realpath(path))         # what a link points to is written, and the link stays
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with alone(path.parent):
            try:
                with partial.open("w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())     # a disk may turn out to be full only now
                with contextlib.suppress(FileNotFoundError):
                    partial.chmod(path.stat().st_mode & 0o7777)
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink()
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def why(error: OSError) -> str:
    """The system's reason, in a few words."""
    return error.strerror or str(error) or type(error).__name__
