# SPDX-License-Identifier: MIT
"""The record of a failure of plain functions: its program, and its schedule by the names of its points. TOML, in a file *.run.

A record is data: its program runs only if the user who replays it names the function, too (see fuzz/functions/allowed.py).

    format = 1
    title = "CHECK: the program's own check fails"
    functions = "tests.programs.lost_update:make"
    args = ["2"]
    schedule = ["cpu0 until before write x.value in add", "cpu1 to the end", "cpu0 to the end"]
"""

from __future__ import annotations

import hashlib
import pathlib
from dataclasses import dataclass
from typing import Any

import msgspec
from vmrace.fuzz.run.target import NoSuch, split
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import parsing, text_of, toml_of
from vmrace.fuzz.text.toml import _quote, slug
from vmrace.harness.replay import named_schedule as schedules
from vmrace.harness.replay.named_schedule import Line

FORMAT = 1
SUFFIX = ".run"


class RecordError(Exception):
    """The error that a file is not a record, or cannot be read or written; its message is one line that names the file."""


@dataclass(frozen=True)
class Record:
    """A kept failure. `functions` is MODULE:FUNCTION; `args` are as on the command line: literals of Python, or plain text."""

    title: str
    functions: str
    args: tuple[str, ...]
    schedule: tuple[Line, ...]

    @property
    def name(self) -> str:
        """The name of its file, like lost_update-check-the-program-s-own-check-fails-bad27183.run."""
        said = "\n".join([self.functions, *self.args, *map(str, self.schedule)])
        module = self.functions.partition(":")[0].rpartition(".")[2]
        return f"{module}-{slug(self.title)}-{hashlib.blake2b(said.encode(), digest_size=4).hexdigest()}{SUFFIX}"


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    title: str
    functions: str
    schedule: list[str]
    args: list[str] = []


def emit(record: Record) -> str:
    return "\n".join([f"format = {FORMAT}", f"title = {_quote(record.title)}", f"functions = {_quote(record.functions)}",
                      f"args = [{', '.join(map(_quote, record.args))}]", "schedule = [",
                      *(f"  {_quote(str(line))}," for line in record.schedule), "]", ""])


def load(path: pathlib.Path) -> Record:
    """Read a record; nothing that it names is imported. RecordError, with the file and the place, if it is not a record."""
    with parsing(path, RecordError):
        return _parse(toml_of(text_of(path, RecordError), path, RecordError), path)


def _parse(table: dict[str, Any], path: pathlib.Path) -> Record:
    try:
        raw = msgspec.convert(table, _Raw)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: {error}") from None
    if raw.format != FORMAT:
        raise RecordError(f"{path}: format: {raw.format}, this vmrace reads {FORMAT}")
    try:
        split(raw.functions)
    except NoSuch as error:
        raise RecordError(f"{path}: functions: {error}") from None
    try:
        return Record(raw.title, raw.functions, tuple(raw.args), tuple(map(schedules.parse, raw.schedule)))
    except ValueError as error:
        raise RecordError(f"{path}: schedule: {error}") from None


def save(record: Record, directory: pathlib.Path) -> pathlib.Path:
    """Write a record under its name, and return the path. RecordError if it cannot be written."""
    path = directory / record.name
    try:
        writing.write(path, emit(record))
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {writing.why(error)}") from None
    return path
