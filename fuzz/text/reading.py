# SPDX-License-Identifier: MIT
"""Files of data, read so that a bad one costs one line and no more: `file: what is wrong, where`.

Each kind of file has an error of its own (EntryError, RecordError ...), which these functions raise. A parser may run out of stack
on nested brackets, or of digits on a long number; that is the file's fault, too.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import stat
import tomllib
from collections.abc import Iterator
from typing import Any

BYTES_MAX = 1 << 20         # that a file of data may have; of those that are kept in corpus/, the ledger has most: 30,000
DOTS_MAX = 1000             # in a line of TOML: of a key a.b.c ... the parser makes every beginning, which are as many bytes as n * n


@contextlib.contextmanager
def parsing(where: object, error: type[Exception]) -> Iterator[None]:
    """Raise `error` for whatever a parser raises on the text of `where`."""
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
    except ValueError:          # the only other one of int(), of the parsers and of their numbers when they are told
        raise error(f"{where}: a number has too many digits") from None


def bytes_of(path: pathlib.Path, error: type[Exception]) -> bytes:
    """The bytes of a file. `error` if it cannot be read: it is missing, a directory, a device, or too large."""
    try:
        status = path.stat()        # before it is opened: to open a pipe may take for ever
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path}: {'a directory' if stat.S_ISDIR(status.st_mode) else 'a device or a pipe'}, not a file")
        if status.st_size > BYTES_MAX:
            raise error(f"{path}: {status.st_size:,} bytes; at most {BYTES_MAX:,} are read")
        return path.read_bytes()
    except OSError as why:
        raise error(f"{path}: cannot be read: {why.strerror or why}") from None
    except ValueError:
        raise error(f"{path}: no name of a file") from None


def text_of(path: pathlib.Path, error: type[Exception]) -> str:
    """The text of a file in UTF-8, with the line ends of any system as newlines."""
    with parsing(path, error):
        return bytes_of(path, error).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def toml_of(text: str, where: object, error: type[Exception]) -> dict[str, Any]:
    """The table that a text in TOML is."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > DOTS_MAX:
            raise error(f"{where}: more than {DOTS_MAX:,} dots in line {number}")
    with parsing(where, error):
        return tomllib.loads(text)


def json_of(text: str, where: object, error: type[Exception]) -> Any:
    """The value that a text in JSON is."""
    with parsing(where, error):
        return json.loads(text)
