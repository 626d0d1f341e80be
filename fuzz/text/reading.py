# SPDX-License-Identifier: MIT
"""Reading files of data. A bad file causes one line of the form `file: error, place`, and no other damage.

Each kind of file has its own exception class (EntryError, RecordError ...), which these functions raise. A parser that runs out of
stack on nested brackets, or refuses a number with too many digits, is an error of the file as well.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import stat
import tomllib
from collections.abc import Iterator
from typing import Any

BYTES_MAX = 1 << 20         # the size limit of a data file; the largest in corpus/ is the ledger of claims, with about 30,000 bytes
DOTS_MAX = 1000             # dots in a line of TOML: for a key a.b.c ... with n dots tomllib stores every prefix, about n * n bytes


@contextlib.contextmanager
def parsing(where: object, error: type[Exception]) -> Iterator[None]:
    """Turn any exception that a parser raises into `error`, with one line that begins with `where`, the name of the file."""
    try:
        yield
    except UnicodeDecodeError as why:
        raise error(f"{where}: not UTF-8: byte {why.start}") from None
    except tomllib.TOMLDecodeError as why:
        raise error(f"{where}: not TOML: {why}") from None
    except json.JSONDecodeError as why:
        raise error(f"{where}: not JSON: {why}") from None
    except RecursionError:
        raise error(f"{where}: brackets are nested too deeply") from None
    except MemoryError:
        raise error(f"{where}: more than fits into memory") from None
    except _Twice as why:
        raise error(f"{where}: the key {json.dumps(str(why))} is there twice") from None
    except ValueError:          # the parsers raise no other ValueError: int() and str() refuse more than 4,300 digits
        raise error(f"{where}: a number has too many digits") from None


def bytes_of(path: pathlib.Path, error: type[Exception]) -> bytes:
    """Return the bytes of a file. Raises `error` if it is missing, a directory, a device, a pipe, or larger than BYTES_MAX."""
    try:
        status = path.stat()        # before opening it: open() on a pipe waits for a writer, maybe for ever
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path}: {'a directory' if stat.S_ISDIR(status.st_mode) else 'a device or a pipe'}, not a file")
        if status.st_size > BYTES_MAX:
            raise error(f"{path}: {status.st_size:,} bytes; at most {BYTES_MAX:,} are read")
        return path.read_bytes()
    except OSError as why:
        raise error(f"{path}: cannot be read: {why.strerror or why}") from None
    except ValueError:
        raise error(f"{path}: not a valid file name") from None


def text_of(path: pathlib.Path, error: type[Exception]) -> str:
    """Return the text of a UTF-8 file; CR LF and CR become newlines. Raises `error` as `bytes_of` does, and on bad UTF-8."""
    with parsing(path, error):
        return bytes_of(path, error).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def toml_of(text: str, where: object, error: type[Exception]) -> dict[str, Any]:
    """Parse a text in TOML. `where` is the file's name; raises `error`."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > DOTS_MAX:
            raise error(f"{where}: more than {DOTS_MAX:,} dots in line {number}")
    with parsing(where, error):
        return tomllib.loads(text)


def json_of(text: str, where: object, error: type[Exception]) -> Any:
    """Parse a text in JSON. `where` is the file's name; raises `error`, also if an object has a key twice: Python's parser takes the
    last one."""
    with parsing(where, error):
        return json.loads(text, object_pairs_hook=_object)


class _Twice(Exception):
    """A key that an object in JSON has twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise _Twice(key)
        out[key] = value
    return out
