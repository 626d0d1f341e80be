# SPDX-License-Identifier: MIT
"""The settings of one run of pytest: from the command line, the mark of a test, [tool.vmrace] and the defaults, in this order."""

from __future__ import annotations

import fnmatch
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from vmrace.fuzz.corpus.entry import LEDGER
from vmrace.fuzz.functions import run_file
from vmrace.fuzz.run import project
from vmrace.fuzz.run.target import TargetError
from vmrace.fuzz.testing.stash import PLAN
from vmrace.variants.spelling import did_you_mean

KEPT = pathlib.Path(".vmrace")      # where failures are kept, unless the project names a corpus
CORPUS = "corpus"                   # where kept failures are collected from, unless the project names a corpus
RUNS, SECONDS, SEED = 1_000, 10.0, 0
OWN = ("runs", "seconds", "preemptions", "seed")


def plan_of(config: pytest.Config) -> Plan:
    """Return the settings of this run of pytest, which are read once. pytest.UsageError if they cannot be used."""
    if PLAN not in config.stash:
        config.stash[PLAN] = Plan(config)
    plan: Plan = config.stash[PLAN]
    return plan


@dataclass(frozen=True)
class Limits:
    """The limits of one search or exploration."""

    runs: int
    seconds: float
    preemptions: int | None
    seed: int


class Plan:
    """The settings of a run of pytest. pytest.UsageError, with one line, if they cannot be used."""

    def __init__(self, config: pytest.Config):
        self.config = config
        here = pathlib.Path.cwd()
        try:
            self.settings, self.folder = project.settings_here()
            self.kept = project.corpus_of(self.settings, self.folder) or KEPT
        except TargetError as error:
            raise pytest.UsageError(f"vmrace: {error}") from None
        self.given = {name: self._option(name) for name in OWN}
        named = [here / place for place in config.getoption("--vmrace-corpus")]
        for place in named:
            if not place.is_dir():
                raise pytest.UsageError(f"vmrace: --vmrace-corpus: {place}: no such directory")
        own = [self.folder / (self.settings.corpus or CORPUS)] if self.folder is not None and self._has_table() else []
        self.corpora = [place.resolve() for place in (*own, *named)]
        self.files = {(here / str(arg).partition("::")[0]).resolve() for arg in config.args}
        self.allowed: list[str] = config.getoption("--vmrace-allow")

    def _has_table(self) -> bool:
        from vmrace.fuzz.text.reading import text_of, toml_of
        assert self.folder is not None
        path = self.folder / project.PROJECT
        return "vmrace" in toml_of(text_of(path, TargetError), path, TargetError).get("tool", {})

    def _option(self, name: str) -> Any:
        text = self.config.getoption(f"--vmrace-{name}")
        if text is None:
            return None
        try:
            value: float = float(text) if name == "seconds" else int(text)
        except ValueError:
            raise pytest.UsageError(f"vmrace: --vmrace-{name}: {text!r} is no number") from None
        if name != "seed" and (wrong := project.out_of_limits(name, value)):
            raise pytest.UsageError(f"vmrace: --vmrace-{wrong}")
        return value

    # ---- what is collected -------------------------------------------------------------------------------------------

    def is_corpus(self, path: pathlib.Path) -> bool:
        """True if a directory is a corpus, or in one."""
        place = path.resolve()
        return any(place == corpus or corpus in place.parents for corpus in self.corpora)

    def is_record(self, path: pathlib.Path) -> bool:
        """True if a path is that of a record of plain functions, to be collected."""
        return path.suffix == run_file.SUFFIX and (self.is_corpus(path.parent) or path.resolve() in self.files)

    def is_entry(self, path: pathlib.Path) -> bool:
        """True if a path is that of an entry, to be collected."""
        return path.suffix == ".toml" and path.name != LEDGER and self.is_corpus(path.parent)

    def not_reached(self) -> list[str]:
        """Return a line for each corpus that this run of pytest does not come to, although no file or folder was named for it."""
        source = getattr(self.config, "args_source", None)
        if source is None or source.name == "ARGS":
            return []
        return [f"vmrace: {corpus} has {count} kept failures, and none is collected: {why}"
                for corpus in self.corpora if corpus.is_dir() and (why := self._why_not_reached(corpus))
                and (count := sum(self.is_record(path) or self.is_entry(path) for path in corpus.rglob("*")))]

    def _why_not_reached(self, corpus: pathlib.Path) -> str:
        tops = [top for top in self.files if top == corpus or top in corpus.parents]
        if not tops:
            return "it is in none of testpaths"
        ignored = self.config.getini("norecursedirs")
        parts = corpus.relative_to(tops[0]).parts
        return next((f"norecursedirs has {pattern!r}" for pattern in ignored for part in parts if fnmatch.fnmatch(part, pattern)), "")

    # ---- the limits of a test ----------------------------------------------------------------------------------------

    def check(self, given: Mapping[str, Any], where: str) -> None:
        """Check the limits of a mark or a call. pytest.UsageError, with the test's id `where`, if one cannot be used."""
        for name, value in given.items():
            if name not in OWN:
                raise pytest.UsageError(f"{where}: vmrace has no limit {name!r}{did_you_mean(name, OWN)}")
            wrong = "" if name == "seed" and isinstance(value, int) else f"seed: {value!r} is no number" if name == "seed" else (
                project.out_of_limits(name, value))
            if wrong:
                raise pytest.UsageError(f"{where}: vmrace: {wrong}")

    def limits(self, node: pytest.Item, given: dict[str, Any]) -> Limits:
        """Return the limits of one call in a test. `given`: those that the call names. pytest.UsageError as of `check`."""
        self.check(given, node.nodeid)
        marked: dict[str, Any] = {}
        for mark in node.iter_markers("vmrace"):                # the closest comes first
            marked = {**mark.kwargs, **marked}
        settings = {name: getattr(self.settings, name, None) for name in OWN}
        defaults = {"runs": RUNS, "seconds": SECONDS, "preemptions": None, "seed": SEED}
        sources = (self.given, given, marked, settings, defaults)
        return Limits(**{name: next((one[name] for one in sources if one.get(name) is not None), None) for name in OWN})   # type: ignore[arg-type]
