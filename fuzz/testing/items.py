# SPDX-License-Identifier: MIT
"""Kept failures as tests: a record of plain functions is one item, an entry is one item for each variant of its family."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from vmrace.fuzz.corpus.entry import EntryError, emit, load, parse
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.corpus.sample import Sample
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.functions import allowed, run_file
from vmrace.fuzz.functions.judge import NoSchedule, judge_record
from vmrace.fuzz.functions.replayed import Replayed, lines_of_replay
from vmrace.fuzz.functions.run_file import Record, RecordError
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.target import TargetError, split
from vmrace.fuzz.testing.plan import plan_of
from vmrace.fuzz.verify.certificate import KeptProof
from vmrace.fuzz.verify.kept import RECHECKED_MAX, kept
from vmrace.fuzz.verify.subject import VerifyError
from vmrace.harness.errors import ProgramError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.finding import Kind, kind_of
from vmrace.harness.printable import printable
from vmrace.variants.family import family


class NotAsExpected(Exception):
    """The failure of an item. Its text is for people, and needs no traceback."""


@contextlib.contextmanager
def same_path() -> Iterator[None]:
    """Put back the search path of modules, which importing a program by its name changes: the session of pytest is its user's."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


class _Item(pytest.Item):
    """A test of a file of data."""

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, NotAsExpected | EntryError | RecordError | TargetError | ProgramError | VerifyError):
            return "\n".join(printable(line) for line in str(excinfo.value).splitlines())
        return super().repr_failure(excinfo, style)

    def shown_path(self) -> pathlib.Path:
        here = pathlib.Path.cwd()
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path


class BadItem(_Item):
    """A file that is not what its name says. It fails as one test of its own, and all others run."""

    def __init__(self, error: Exception, **more: Any) -> None:
        super().__init__(**more)
        self.error = error

    def runtest(self) -> None:
        raise NotAsExpected(printable(self.error))

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, self.path.name


class CorpusDirectory(pytest.Dir):  # type: ignore[misc]     # final for type checkers only; Directory alone would walk nothing
    """A directory of kept failures. A directory or a link to nothing that is named like one is an item: pytest would pass over it."""

    def collect(self) -> Iterator[Any]:
        yield from super().collect()
        for path in sorted(self.path.iterdir()):
            if not path.is_file() and (found := collected(self, path)) is not None:
                yield found


# ---- records of plain functions ---------------------------------------------------------------------------------------------

class RunFile(pytest.File):
    """A record. It is read, and nothing that it names is imported."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            record = run_file.load(self.path)
        except RecordError as error:
            yield BadItem.from_parent(self, name="text", error=error)
            return
        yield RunItem.from_parent(self, name="replay", record=record)


class RunItem(_Item):
    """The verdict of a record is the one that it expects."""

    def __init__(self, record: Record, **more: Any) -> None:
        super().__init__(**more)
        self.record = record

    def runtest(self) -> None:
        record, path = self.record, self.shown_path()
        named = next((one for one in plan_of(self.config).allowed if split(one) == split(record.functions)), None)
        try:
            allowed.require(self.path, record.functions, named, _how_to_allow(record.functions))
            with same_path():
                done = Replayed(path, record, judge_record(record))
        except NoSchedule as error:
            raise NotAsExpected(f"{path}: schedule: {error}") from None
        self.user_properties += [("vmrace_verdict", str(done.judged.verdict)), ("vmrace_expected", str(record.expected))]
        if not done.as_expected:
            raise NotAsExpected("\n".join(lines_of_replay(done)))

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, self.path.name


def _how_to_allow(functions: str) -> str:
    return f'pytest --vmrace-allow {functions}, or functions = ["{functions}"] under [tool.vmrace] in the pyproject.toml of your project'


# ---- entries of families ----------------------------------------------------------------------------------------------------

class EntryFile(pytest.File):
    """One entry. A file that cannot be read fails as one test of its own."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            entry = load(self.path)
        except EntryError as error:
            yield BadItem.from_parent(self, name="text", error=error)
            return
        yield TextItem.from_parent(self, name="text")
        for variant in family(entry.family).variants:
            expected = entry.expect.get(variant)
            quick = expected is not None and expected.word is Word.BUG and kind_of(entry.title) is not Kind.LIVELOCK
            yield EntryItem.from_parent(self, name=variant, quick=quick)


class TextItem(_Item):
    """The file is in canonical form, under its own name."""

    def runtest(self) -> None:
        text = self.path.read_text()
        entry = parse(text, str(self.path))
        if emit(entry) != text:
            raise NotAsExpected(f"{self.path}: is not in canonical form (vmrace replay --accept writes it)")
        if (self.path.parent.name, self.path.stem) != tuple(entry.name.split("/")):
            raise NotAsExpected(f"{self.path}: an entry of this program and schedule is named {entry.name}.toml")


class EntryItem(_Item):
    """The verdict of one variant is the one the entry expects. `quick`: it takes twenty runs, and not a thousand, or all schedules.

    The runs of a sample, and of a proof that takes no longer than a sample or two, are made again, and a certificate of them has to hold.
    A certificate of a longer proof is believed.
    """

    def __init__(self, quick: bool, **more: Any) -> None:
        super().__init__(**more)
        self.quick = quick

    def runtest(self) -> None:
        entry = load(self.path)
        if self.name not in entry.expect:
            raise NotAsExpected(f"{self.path}: no verdict for {self.name} (vmrace replay --accept writes it)")
        executor = _executor(entry.family, self.name)
        believed, made = kept(entry, executor), list[Exploration | Sample]()
        long = isinstance(believed, KeptProof) and believed.verdict.number > RECHECKED_MAX
        judged = judge_entry(entry, executor, made=made.append, certified=believed.verdict if believed is not None and long else None)
        self.user_properties += [("vmrace_verdict", str(judged.verdict)), ("vmrace_expected", str(entry.expect[self.name]))]
        if judged.verdict != entry.expect[self.name]:
            raise NotAsExpected(f"{self.path}: {self.name}\n  expected  {entry.expect[self.name]}\n  found     {judged.verdict}: "
                                f"{judged.detail}\n  next: vmrace replay {self.shown_path()} --variant {self.name}")
        wrong = [f"{believed.path}: {line}" for runs in made for line in believed.wrong(runs)] if believed is not None else []
        if wrong:
            raise NotAsExpected("\n".join(f"certificate does not hold: {line}" for line in wrong))

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, f"{self.path.stem} on {self.name}"


@functools.cache
def _executor(family_name: str, variant: str) -> Executor:
    return Executor(family(family_name), variant, checked=True)


def collected(parent: pytest.Collector, path: pathlib.Path) -> pytest.Collector | None:
    """Return the collector of a file of data, or None if it is none of ours."""
    plan = plan_of(parent.config)
    kind = RunFile if plan.is_record(path) else EntryFile if plan.is_entry(path) else None
    return kind.from_parent(parent, path=path) if kind is not None else None
