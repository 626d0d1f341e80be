# SPDX-License-Identifier: MIT
"""A state file: the results of a long command so far, one line for each, so that a killed command can continue. Lines are only appended.

The first line identifies the command. Each other line has a checksum. A damaged line is reported, and its result is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import IO, Any, Generic, TypeVar

import msgspec
from vmrace.fuzz.text import writing

R = TypeVar("R")


class StateError(Exception):
    """The error of a state file that cannot be used, or belongs to another command. Its text is one line."""


class Unwritable(StateError):
    """The error of a state file, or its directory, that cannot be written."""


class Damaged(Exception):
    """The error of a line in a state file that is not as it was written. Its text is one line."""


def with_key(head: dict[str, Any]) -> dict[str, Any]:
    """Add to a first line the key of the command: a hash over all its fields."""
    return head | {"key": hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=8).hexdigest()}


class StateFile(Generic[R]):
    """The results so far in a state file, which is locked. `head` is its first line; its first field names the kind of command.

    `read(line, key)` reads a line, or raises Damaged. `take` gets each result of the file. `damaged` has an error for each line whose
    checksum or contents are wrong; no result is taken from such a line. `of` and `again` are words for errors: the command, and its part
    that a damaged line makes necessary again.
    """

    def __init__(self, path: pathlib.Path, head: dict[str, Any], read: Callable[[bytes, str], R], take: Callable[[R], None],
                 of: str = "proof", again: str = "its program is run again"):
        self.path, self.key, self.read, self.take, self.of, self.again = path, head["key"], read, take, of, again
        self.damaged: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = path.open("a+b")
        except OSError as error:
            raise Unwritable(f"{path}: cannot be written: {writing.why(error)}") from None
        try:
            self._open(head)
        except StateError:
            self.close()
            raise

    def _open(self, head: dict[str, Any]) -> None:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"{self.path}: another {self.of} is at work on it") from None
        self.file.seek(0)
        data = self.file.read()
        whole = data[:data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        try:
            first = json.loads(lines[0]) if lines else head if _head_cut(data, head) else None
        except (ValueError, RecursionError, MemoryError):
            first = None
        kind = next(iter(head))
        if not isinstance(first, dict) or kind not in first:
            raise StateError(f"{self.path}: not the state of a {self.of}")
        for name in head:
            if first.get(name) != head[name]:
                word = "format" if name == kind else WORDS.get(name, name)
                raise StateError(f"{self.path}: is of another {word} ({_short(first.get(name))}, now {_short(head[name])}); remove it, or "
                                 "name another")
        if whole != data:                   # the last line was cut short when the command was killed
            self.file.truncate(len(whole))
        if not lines:
            self._write(json.dumps(head))
        self._read(lines)

    def _read(self, lines: list[bytes]) -> None:
        """Read the results. A damaged line is overwritten with spaces, so that it is reported once."""
        at = 0
        for number, line in enumerate(lines, 1):
            if number > 1 and line.strip(b" "):
                try:
                    result = self.read(line, self.key)
                except Damaged as why:
                    self.damaged.append(f"{self.path}:{number}: damaged, {why}: {self.again}")
                    self._blank(at, len(line))
                else:
                    self.take(result)
            at += len(line) + 1

    def _blank(self, at: int, size: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(b" " * size)

    def append(self, result: R) -> None:
        """Add a result to the file. Raises Unwritable."""
        self._write(line_of(result, self.key))

    def _write(self, line: str) -> None:
        """Append a line. Raises Unwritable, and then leaves the lines before it unchanged."""
        file, data = self.file.fileno(), line.encode("ascii") + b"\n"
        end = os.fstat(file).st_size
        try:
            while data:                         # without Python's buffer, which would write again when the file is closed
                data = data[os.write(file, data):]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(file, end)
            raise Unwritable(f"{self.path}: cannot be written: {writing.why(error)}") from None

    def close(self) -> None:
        """Close and unlock the file."""
        self.file.close()


def line_of(result: object, key: str) -> str:
    """Write a result as its line in a state file: JSON, whose last field is a checksum of the rest with the key of the command."""
    body = json.dumps(msgspec.to_builtins(result))
    return f'{body[:-1]}, "sum": "{checksum(body.encode("ascii"), key)}"}}'


def decoded(line: bytes, key: str, reader: msgspec.json.Decoder[R]) -> R:
    """Read a line that `line_of` wrote. Raises Damaged if it was changed, or has the key of another command."""
    found = SUMMED.fullmatch(line)
    if found is None:
        raise Damaged("it has no checksum")
    body = found[1] + b"}"
    if checksum(body, key) != found[2].decode("ascii"):
        raise Damaged("its checksum does not fit")
    try:
        return reader.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        what, _, place = str(error).partition(" - at `$.")
        raise Damaged(f"not a result: {f'{place[:-1]}: ' if place else ''}{what}") from None


def checksum(body: bytes, key: str) -> str:
    """Compute the checksum of a line. The key makes a line of another command invalid."""
    return hashlib.blake2b(body, digest_size=8, key=key.encode("ascii")).hexdigest()


SUMMED = re.compile(rb'(\{.*), "sum": "([0-9a-f]{16})"\}', re.DOTALL)
WORDS = {"vmrace": "version of vmrace"}


def _head_cut(data: bytes, head: dict[str, Any]) -> bool:
    """True if the file is empty, or has only a part of the first line."""
    return b"\n" not in data and json.dumps(head).encode("ascii").startswith(data)


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) and "/" not in value else json.dumps(value) if isinstance(value, dict) else str(value)


def default_state(name: str, key: str) -> pathlib.Path:
    """Name the default state file of a command, in `.vmrace/`. The name has the key, so each command has its own file."""
    room = pathlib.Path(".vmrace")
    writing.write(room / ".gitignore", "*\n")
    return room / f"{name}-{key}.jsonl"
