# SPDX-License-Identifier: MIT
"""Each corpus entry on each variant of its family is one test: `pytest -n auto corpus` is the regression replay."""

from __future__ import annotations

import functools
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from vmrace.fuzz.corpus.entry import LEDGER, EntryError, emit, load, parse
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.finding import Kind, kind_of
from vmrace.harness.printable import printable
from vmrace.variants.family import family

CORPUS = pathlib.Path(__file__).parent / "corpus"

# A shell's background job hears no Ctrl-C, and one under nohup no SIGHUP; what the tests start has to hear both.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--tier", choices=["short", "long", "all"], default="short",
                     help="short: what covers every room in minutes. long: the tests marked `long`, and no others.")
    parser.addoption("--moments", type=int, default=1, help="How often each command is interrupted in tests/fuzz/test_interrupts.py.")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Deselect the tests of the other tier, and count them as deselected."""
    tier = config.getoption("--tier")
    if tier != "all":
        kept = [item for item in items if (item.get_closest_marker("long") is not None) == (tier == "long")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture
def moments(request: Any) -> int:
    return int(request.config.getoption("--moments"))


def pytest_collect_file(parent: Any, file_path: pathlib.Path) -> Any:
    return EntryFile.from_parent(parent, path=file_path) if _is_entry(file_path) else None


def pytest_collect_directory(parent: Any, path: pathlib.Path) -> Any:
    return CorpusDirectory.from_parent(parent, path=path) if path == CORPUS or CORPUS in path.parents else None


def _is_entry(path: pathlib.Path) -> bool:
    return path.suffix == ".toml" and CORPUS in path.parents and path.name != LEDGER


class CorpusDirectory(pytest.Dir):
    """Entries, and what is called so and is no file: pytest itself would pass over a directory or a link to nothing."""

    def collect(self) -> Iterator[Any]:
        yield from super().collect()
        for path in sorted(self.path.iterdir()):
            if _is_entry(path) and not path.is_file():
                yield EntryFile.from_parent(self, path=path)


class EntryFile(pytest.File):
    """One entry. A file that cannot be read fails as one test of its own, and all others run."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            entry = load(self.path)
        except EntryError as error:
            yield BadItem.from_parent(self, name="text", error=error)
            return
        yield TextItem.from_parent(self, name="text")
        for variant in family(entry.family).variants:
            item = EntryItem.from_parent(self, name=variant)
            expected = entry.expect.get(variant)
            if expected is None or expected.word is not Word.BUG or kind_of(entry.title) is Kind.LIVELOCK:
                item.add_marker(pytest.mark.long)       # a thousand schedules, or all of them, or twenty that reach the limit of steps
            yield item


class BadItem(pytest.Item):
    """A file that is no entry."""

    def __init__(self, error: EntryError, **more: Any) -> None:
        super().__init__(**more)
        self.error = error

    def runtest(self) -> None:
        pytest.fail(printable(self.error), pytrace=False)

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, self.path.name


class TextItem(pytest.Item):
    """The file is in canonical form, under its own name."""

    def runtest(self) -> None:
        text = self.path.read_text()
        entry = parse(text, str(self.path))
        assert emit(entry) == text
        assert self.path.stem == entry.name.rpartition("/")[2]
        assert self.path.parent.name == entry.family


class EntryItem(pytest.Item):
    """The verdict of one variant is the one the entry expects."""

    def runtest(self) -> None:
        entry = load(self.path)
        assert self.name in entry.expect, f"{self.path}: no verdict for {self.name} (vmrace replay --accept writes it)"
        judged = judge_entry(entry, _executor(entry.family, self.name))
        assert judged.verdict == entry.expect[self.name], f"{judged.verdict}: {judged.detail}"

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, f"{self.path.stem} on {self.name}"


@functools.cache
def _executor(family_name: str, variant: str) -> Executor:
    return Executor(family(family_name), variant, checked=True)
