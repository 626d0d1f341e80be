# SPDX-License-Identifier: MIT
"""Each corpus entry on each variant of its family is one test: `pytest -n auto corpus` is the regression replay."""

from __future__ import annotations

import functools
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from fuzz.entry import emit, load, parse
from fuzz.executor import Executor
from fuzz.verdict import judge_entry
from variants.interface import family

ROOT = pathlib.Path(__file__).parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:       # of a shell's background: what the tests start has to hear of Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collect_file(parent: Any, file_path: pathlib.Path) -> Any:
    if file_path.suffix == ".toml" and ROOT / "corpus" in file_path.parents and file_path.name != "claims.toml":
        return EntryFile.from_parent(parent, path=file_path)
    return None


class EntryFile(pytest.File):
    """One entry."""

    def collect(self) -> Iterator[pytest.Item]:
        entry = load(self.path)
        yield TextItem.from_parent(self, name="text")
        for variant in family(entry.family).variants:
            yield EntryItem.from_parent(self, name=variant)


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
        verdict = judge_entry(entry, _executor(entry.family, self.name))
        assert verdict.text == entry.expect[self.name], verdict.detail

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        return self.path, 0, f"{self.path.stem} on {self.name}"


@functools.cache
def _executor(family_name: str, variant: str) -> Executor:
    return Executor(family(family_name), variant, checked=True)
