# SPDX-License-Identifier: MIT
"""Corpus entries: one race a file, TOML, written by a canonical printer so that `emit(parse(text)) == text`.

Plain keys come first, the table of verdicts last. Comments and triage do not change an entry's identity, which is a hash of program and
schedule.
"""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

import msgspec
from vmrace.fuzz.corpus.verdict import Verdict, Word, parse_verdict
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import parsing, text_of, toml_of
from vmrace.fuzz.text.toml import _quote, slug
from vmrace.fuzz.text.wording import count
from vmrace.harness.replay import named_schedule
from vmrace.harness.replay.named_schedule import Line
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import TASK_KEY, Op, Program, ProgramError, TaskProgram, over_limits, parse_ops
from vmrace.variants.spelling import did_you_mean

FORMAT = 1
LEDGER = "claims.toml"        # beside the entries, and none of them: see fuzz/claims/checks
FIELDS = ("format", "title", "asks", "source", "found_on", "cpus", "preempt", "setup", "schedule", "expect")


class EntryError(Exception):
    """A corpus file that cannot be used: one line that names the file and the place."""


class Entry(msgspec.Struct, kw_only=True):
    """One race: what it asks, the program, the schedule by name, and the verdict expected of each variant."""

    title: str
    asks: str
    source: str
    found_on: str
    program: Program
    schedule: tuple[Line, ...]
    expect: dict[str, Verdict]
    comment: str = ""
    path: pathlib.Path | None = None

    @property
    def family(self) -> str:
        return self.found_on.partition("/")[0]

    @property
    def variant(self) -> str:
        return self.found_on.partition("/")[2]

    def is_absent(self, variant: str) -> bool:
        """True if the variant lacks an operation of the program, as far as is known."""
        return variant in self.expect and self.expect[variant].word is Word.ABSENT

    @property
    def identity(self) -> str:
        """The identity of the race: eight hex digits, a hash of program and schedule."""
        text = "\n".join(program_lines(self.program) + [str(line) for line in self.schedule])
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def name(self) -> str:
        """The entry's family, title and identity, which its file is named by: family/title-identity."""
        return f"{self.family}/{slug(self.title)}-{self.identity}"


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of the file, before programs and schedules are read. The tasks (cpu0 ...) have been taken out."""

    format: int
    title: str
    asks: str
    source: str
    found_on: str
    schedule: list[str]
    setup: list[str] = []
    cpus: int | msgspec.UnsetType = msgspec.UNSET
    preempt: bool = False
    expect: dict[str, str] = {}


def load(path: pathlib.Path) -> Entry:
    """Read one entry. EntryError, naming the file and the place, if the file is no entry."""
    entry = parse(text_of(path, EntryError), str(path))
    entry.path = path
    return entry


def load_all(place: pathlib.Path) -> tuple[list[Entry], list[EntryError]]:
    """Read the entries below a directory, or the one of a file. Returns them, and an error for each file that is no entry. EntryError if
    there is no such place."""
    good, bad = [], []
    for path in find(place):
        try:
            good.append(load(path))
        except EntryError as error:
            bad.append(error)
    return good, bad


def parse(text: str, where: str = "entry") -> Entry:
    """Read an entry from its text. EntryError, naming `where` and the place, if the text is no entry. A byte order mark, which some
    editors write, is ignored: the canonical form has none, as it has no line ends of Windows."""
    text = text.removeprefix("\ufeff")
    raw = toml_of(text, where, EntryError)
    with parsing(where, EntryError):
        return _entry(raw, text, where)


def _entry(raw: dict[str, Any], text: str, where: str) -> Entry:
    number = raw.get("format")
    if not isinstance(number, int):
        raise EntryError(f"{where}: format: missing, or no number (this vmrace reads format {FORMAT})")
    if number != FORMAT:
        newer = " Update vmrace to read it." if number > FORMAT else ""
        raise EntryError(f"{where}: format: {number}, this vmrace reads {FORMAT}.{newer}")
    tasks = {key: raw.pop(key) for key in list(raw) if TASK_KEY.fullmatch(key)}
    for key in raw:
        if key not in FIELDS:
            raise EntryError(f"{where}: unknown field {key!r}{did_you_mean(key, (*FIELDS, 'cpu0', 'cpu1'))}")
    try:
        fields = msgspec.convert(raw, _Raw)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$.")
        raise EntryError(f"{where}: {place.rstrip('`') + ': ' if place else ''}{why}") from None
    if not slug(fields.title):
        raise EntryError(f"{where}: title: {fields.title!r} has no letter or digit, which an entry is named by")
    entry = Entry(title=fields.title, asks=fields.asks, source=fields.source, found_on=fields.found_on,
                  program=_program(fields, tasks, where), schedule=_schedule(fields.schedule, where),
                  expect=_expect(fields.expect, where), comment=_comment(text))
    _check(entry, where)
    return entry


def _comment(text: str) -> str:
    """Return the lines of comment above the first key."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return "".join(line + "\n" for line in lines)


def _program(fields: _Raw, tasks: dict[str, Any], where: str) -> Program:
    if not tasks:
        raise EntryError(f"{where}: no task: an entry has at least cpu0")
    try:
        setup = parse_ops(fields.setup, "setup")
        made = []
        for key in sorted(tasks):
            found = TASK_KEY.fullmatch(key)
            assert found is not None
            made.append(TaskProgram(int(found[1]), parse_ops(tasks[key], key)))
    except ProgramError as error:
        raise EntryError(f"{where}: {error}") from None
    cpus = fields.cpus if isinstance(fields.cpus, int) else max(task.cpu for task in made) + 1
    wrong = over_limits(cpus, (task.cpu for task in made))
    if wrong:
        raise EntryError(f"{where}: {wrong}")
    program = Program(setup, tuple(made), cpus, fields.preempt)
    if sorted(tasks) != sorted(program.keys()):
        raise EntryError(f"{where}: tasks of a cpu are named cpu0, cpu0_task1, cpu0_task2: {', '.join(sorted(tasks))}")
    return program


def _schedule(lines: list[str], where: str) -> tuple[Line, ...]:
    out = []
    for number, line in enumerate(lines):
        try:
            out.append(named_schedule.parse(line))
        except ValueError as error:
            raise EntryError(f"{where}: schedule[{number}]: {error}") from None
    return tuple(out)


def _check(entry: Entry, where: str) -> None:
    """Check that the fields agree: the family, its variants, and the cpus that the schedule names. EntryError if they do not."""
    if entry.family not in FAMILIES:
        raise EntryError(f"{where}: found_on: no family {entry.family!r}{did_you_mean(entry.family, FAMILIES)}")
    known = family(entry.family).variants
    for field, name in (("found_on", entry.variant), *(("expect", name) for name in entry.expect)):
        if name not in known:
            raise EntryError(f"{where}: {field}: no variant {name!r} in {entry.family}{did_you_mean(name, known)}")
    keys = entry.program.keys()
    for number, line in enumerate(entry.schedule):
        cpu = int(line.actor.rpartition("cpu")[2].partition("_")[0]) if "cpu" in line.actor else int(line.actor[4:])
        if cpu >= entry.program.cpus or (line.actor.startswith("cpu") and line.actor not in keys):
            raise EntryError(f"{where}: schedule[{number}]: {line.actor} does not exist (the program has {', '.join(keys)}"
                             f" on {count(entry.program.cpus, 'cpu')})")


def _expect(texts: dict[str, str], where: str) -> dict[str, Verdict]:
    out = {}
    for name, text in texts.items():
        verdict = parse_verdict(text)
        if verdict is None:
            raise EntryError(f"{where}: expect: {name}: {text!r} is no verdict (one of BUG TITLE, proved in N, ok in N, n/a)")
        out[name] = verdict
    return out


def program_lines(program: Program) -> list[str]:
    out = []
    needed = max(task.cpu for task in program.tasks) + 1
    if program.cpus != needed:
        out.append(f"cpus = {program.cpus}")
    if program.preempt:
        out.append("preempt = true")
    out += _list("setup", program.setup)
    for key, task in zip(program.keys(), program.tasks, strict=True):
        out += _list(key, task.ops)
    return out


def _list(key: str, items: tuple[Op, ...] | tuple[Line, ...]) -> list[str]:
    if not items:
        return [f"{key} = []"]
    return [f"{key} = [", *(f"  {_quote(str(item))}," for item in items), "]"]


def emit(entry: Entry) -> str:
    """Return the canonical text of an entry."""
    lines = [
        f"format = {FORMAT}",
        f"title = {_quote(entry.title)}",
        f"asks = {_quote(entry.asks)}",
        f"source = {_quote(entry.source)}",
        f"found_on = {_quote(entry.found_on)}",
        "",
        *program_lines(entry.program),
        *_list("schedule", entry.schedule),
        "",
        "[expect]",
        *(f"{name} = {_quote(str(verdict))}" for name, verdict in entry.expect.items()),
    ]
    return entry.comment + "\n".join(lines) + "\n"


def write(entry: Entry, path: pathlib.Path) -> pathlib.Path:
    """Write an entry, whole or not at all. EntryError if that fails."""
    try:
        writing.write(path, emit(entry))
    except OSError as error:
        raise EntryError(f"{path}: cannot be written: {writing.why(error)}") from None
    entry.path = path
    return path


def save(entry: Entry, directory: pathlib.Path) -> pathlib.Path:
    """Write an entry under `directory`, by its name. If that race is kept already, its text stays, and only the verdicts are added.
    EntryError if the directory cannot be written."""
    path = directory / f"{entry.name}.toml"
    with changing(path):
        if path.is_file():
            kept = load(path)
            kept.expect = {**kept.expect, **entry.expect}
            return write(kept, path)
        return write(entry, path)


@contextlib.contextmanager
def changing(path: pathlib.Path) -> Iterator[None]:
    """Keep other processes from changing an entry while it is read and written. EntryError if its directory cannot be used."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(writing.alone(path.parent))
        except OSError as error:
            raise EntryError(f"{path}: cannot be written: {writing.why(error)}") from None
        yield


def expect(path: pathlib.Path, verdicts: dict[str, Verdict]) -> pathlib.Path:
    """Add verdicts to the entry in a file, as the file is now. EntryError if it cannot be read or written."""
    with changing(path):
        kept = load(path)
        kept.expect = {**kept.expect, **verdicts}
        return write(kept, path)


def find(place: pathlib.Path) -> list[pathlib.Path]:
    """List the paths of the entries below a directory, or the one file: all that are named like an entry, also unreadable ones.
    EntryError if there is no such place."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise EntryError(f"{place}: {'neither a file nor a directory' if place.exists() else 'no such file or directory'}")
    return sorted(path for path in place.rglob("*.toml") if path.name != LEDGER)
