# SPDX-License-Identifier: MIT
"""The state file of a scope: its results, one line for each program. Lines are only appended.

Each line has a checksum. A damaged line is reported, and its program is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import sys
from dataclasses import asdict
from typing import IO, Any

import msgspec
from vmrace.fuzz.programs.enumerate import Scope
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text import writing
from vmrace.fuzz.verify.scope_result import Result
from vmrace.variants.family import Family

FORMAT = 4                  # of a state file; 1 had no checksums, 2 had sentences for reasons, 3 had other names for size and operations


class StateError(Exception):
    """The error of a state file that cannot be used, or belongs to another proof. Its text is one line."""


class Unwritable(StateError):
    """The error of a state file, or its directory, that cannot be written."""


def header(family: Family, variant: str, scope: Scope) -> dict[str, Any]:
    """Identify a proof: hashes of the linked kernel and of the code that explores and judges, the scope, and a key over all these."""
    from vmrace.fuzz.verify.subject import vmrace_hash
    image = Executor(family, variant, checked=True).image(scope.cpus).digest
    here = pathlib.Path(__file__).resolve().parents[2]
    paths = [here / path for path in ("fuzz/programs/enumerate.py", "variants/family.py", "variants/user_model.py", "variants/program.py")]
    oracle = getattr(sys.modules.get(family.check.__module__), "__file__", None)
    if oracle:
        paths.append(pathlib.Path(oracle))
    vmrace = hashlib.blake2b("\n".join([vmrace_hash(), *(path.read_text() for path in paths)]).encode(), digest_size=8).hexdigest()
    fields = asdict(scope) | {"operations": sorted(scope.operations)}
    head = {"scope_proof": FORMAT, "variant": f"{family.name}/{variant}", "image": image, "vmrace": vmrace, "scope": fields}
    return head | {"key": hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=8).hexdigest()}


class Damaged(Exception):
    """The error of a line in a state file that is not as it was written. Its text is one line."""


class State:
    """The results so far, in memory and in a state file, which is locked. `results` maps a program's number to its result.

    `damaged` has an error for each line whose checksum or contents are wrong; no result is taken from such a line.
    """

    def __init__(self, path: pathlib.Path, head: dict[str, Any]):
        self.path, self.key = path, head["key"]
        self.results: dict[int, Result] = {}
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
            raise StateError(f"{self.path}: another proof is at work on it") from None
        self.file.seek(0)
        data = self.file.read()
        whole = data[:data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        try:
            first = json.loads(lines[0]) if lines else head if head_cut(data, head) else None
        except (ValueError, RecursionError, MemoryError):
            first = None
        if not isinstance(first, dict) or "scope_proof" not in first:
            raise StateError(f"{self.path}: not the state of a proof")
        for name in ("scope_proof", "variant", "scope", "image", "vmrace", "key"):
            if first.get(name) != head[name]:
                raise StateError(f"{self.path}: is of another {WORDS.get(name, name)} ({_short(first.get(name))}, now "
                                 f"{_short(head[name])}); remove it, or name another")
        if whole != data:                   # the last line was cut short when the proof was killed
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
                    result = result_of(line, self.key)
                except Damaged as why:
                    self.damaged.append(f"{self.path}:{number}: damaged, {why}: its program is run again")
                    self._blank(at, len(line))
                else:
                    self.results[result.number] = result
            at += len(line) + 1

    def _blank(self, at: int, size: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(b" " * size)

    def add(self, result: Result) -> None:
        """Add a result, in memory and in the file. Raises Unwritable."""
        wrong = result.wrong()
        assert not wrong, f"{result.program}: {wrong}"
        self.results[result.number] = result
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


def line_of(result: Result, key: str) -> str:
    """Write a result as its line in a state file: JSON, whose last field is a checksum of the rest with the key of the proof."""
    body = json.dumps(msgspec.to_builtins(result))
    return f'{body[:-1]}, "sum": "{_checksum(body.encode("ascii"), key)}"}}'


def result_of(line: bytes, key: str) -> Result:
    """Read a line that `line_of` wrote. Raises Damaged if it was changed, or has the key of another proof."""
    found = SUMMED.fullmatch(line)
    if found is None:
        raise Damaged("it has no checksum")
    body = found[1] + b"}"
    if _checksum(body, key) != found[2].decode("ascii"):
        raise Damaged("its checksum does not fit")
    try:
        result = READER.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        what, _, place = str(error).partition(" - at `$.")
        raise Damaged(f"not a result: {f'{place[:-1]}: ' if place else ''}{what}") from None
    if wrong := result.wrong():
        raise Damaged(f"not a result: {wrong}")
    return result


def _checksum(body: bytes, key: str) -> str:
    """Compute the checksum of a line. The key makes a line of another proof invalid."""
    return hashlib.blake2b(body, digest_size=8, key=key.encode("ascii")).hexdigest()


SUMMED = re.compile(rb'(\{.*), "sum": "([0-9a-f]{16})"\}', re.DOTALL)
READER = msgspec.json.Decoder(Result)
WORDS = {"scope_proof": "format", "vmrace": "version of vmrace"}


def head_cut(data: bytes, head: dict[str, Any]) -> bool:
    """True if the file is empty, or has only a part of the first line."""
    return b"\n" not in data and json.dumps(head).encode("ascii").startswith(data)


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) and "/" not in value else json.dumps(value) if isinstance(value, dict) else str(value)


def default_state(head: dict[str, Any]) -> pathlib.Path:
    """Name the default state file, in `.vmrace/`. The name has the key, so each proof has its own file."""
    room = pathlib.Path(".vmrace")
    writing.write(room / ".gitignore", "*\n")
    return room / f"{head['variant'].replace('/', '-')}-{head['key']}.jsonl"
