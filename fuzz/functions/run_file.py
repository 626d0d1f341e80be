# SPDX-License-Identifier: MIT
"""The record of a failure of plain functions: its program, and its schedule by the names of its points. TOML, in a file *.run.

A record is data: its program runs only if the user who replays it names the function, too (see fuzz/functions/allowed.py).

    format = 1
    title = "CHECK: the program's own check fails"
    functions = "tests.programs.lost_update:make"
    args = ["2"]
    expect = "proved in 12"
    schedule = ["cpu0 until before write x.value in add", "cpu1 to the end", "cpu0 to the end"]

`expect` is the verdict that a replay has to find. A new record expects its failure, which is also what a record without the key expects.
If the program is repaired, `vmrace corpus accept FILE.run` writes the verdict of now, and the record is a regression test from then on.
"""

from __future__ import annotations

import hashlib
import pathlib
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug, parse_verdict
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
    """A kept failure. `functions` is MODULE:FUNCTION; `args` are as on the command line: literals of Python, or plain text. `expect`: the
    verdict that a replay has to find; None in a record of earlier versions, which expect their failure."""

    title: str
    functions: str
    args: tuple[str, ...]
    schedule: tuple[Line, ...]
    expect: Verdict | None = None

    @property
    def expected(self) -> Verdict:
        """The verdict that a replay has to find."""
        return self.expect or bug(self.title)

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
    expect: str = ""


def emit(record: Record) -> str:
    return "\n".join([f"format = {FORMAT}", f"title = {_quote(record.title)}", f"functions = {_quote(record.functions)}",
                      f"args = [{', '.join(map(_quote, record.args))}]", f"expect = {_quote(str(record.expected))}", "schedule = [",
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
    if not slug(raw.title):
        raise RecordError(f"{path}: title: {raw.title!r} has no letter or digit, which a record is named by")
    expect = parse_verdict(raw.expect) if raw.expect else None
    if raw.expect and (expect is None or expect.word is Word.ABSENT):
        raise RecordError(f"{path}: expect: {raw.expect!r} is no verdict of a program (one of BUG TITLE, proved in N, ok in N)")
    try:
        return Record(raw.title, raw.functions, tuple(raw.args), tuple(map(schedules.parse, raw.schedule)), expect)
    except ValueError as error:
        raise RecordError(f"{path}: schedule: {error}") from None


def find(place: pathlib.Path) -> list[pathlib.Path]:
    """List the paths of the records below a directory, or the one file: all that are named like one, also unreadable ones."""
    if place.is_dir():
        return sorted(place.rglob(f"*{SUFFIX}"))
    return [place] if place.suffix == SUFFIX else []


def save(record: Record, directory: pathlib.Path) -> pathlib.Path:
    """Write a record under its name, and return the path. If that failure is kept already, its file stays, and with it the verdict that
    it expects. RecordError if the file cannot be written, or is there and is no record."""
    path = directory / record.name
    try:
        with writing.alone(directory):
            if path.is_file():
                load(path)
            else:
                writing.write(path, emit(record))
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {writing.why(error)}") from None
    return path


def expect(path: pathlib.Path, verdict: Verdict) -> None:
    """Write the verdict that the record in a file expects from now on. RecordError if the file cannot be read or written."""
    try:
        with writing.alone(path.parent):
            writing.write(path, emit(replace(load(path), expect=verdict)))
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {writing.why(error)}") from None
