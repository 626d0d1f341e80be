# SPDX-License-Identifier: MIT
"""The checks of the ledger, done again: entries judged, programs explored, costs counted, commands run (see ledger.py)."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from vmrace.fuzz.claims.ledger import CHAIN_RUNS, Check, Claim, program_of
from vmrace.fuzz.corpus.entry import EntryError, load
from vmrace.fuzz.corpus.index import named
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.corpus.verdict import bug, parse_verdict
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.harness.incomplete import of_error
from vmrace.variants.family import family
from vmrace.variants.program import Program

UNDONE = ("inconclusive", "exit 3", "exit 130")     # how what is found begins where a check came to nothing


# ---- running -----------------------------------------------------------------------------------------------------------------

@dataclass
class Result:
    """One check, done again."""

    check: Check
    found: str
    detail: str = ""

    @property
    def holds(self) -> bool:
        return self.check.fits(self.found)

    @property
    def changed(self) -> bool:
        """True if something else was found; not if the check could not be done."""
        return not self.holds and not self.found.startswith(UNDONE)


@dataclass
class Judged:
    """A claim with its checks done again."""

    claim: Claim
    results: list[Result] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return all(result.holds for result in self.results)


class Runner:
    """Does checks; images are linked once, and what several claims rest on is done once."""

    def __init__(self, corpus: pathlib.Path, command: Callable[[list[str]], object], replays: int = REPLAYS):
        """`command` runs what stands behind `vmrace` on a command line, and exits."""
        self.corpus = corpus
        self.command = command
        self.replays = replays
        self.done: dict[Check, Result] = {}
        self._executors: dict[tuple[str, str], Executor] = {}
        self._costs: dict[tuple[str, int], Any] = {}

    def judge(self, claim: Claim) -> Judged:
        return Judged(claim, [self.run(check) for check in claim.tests])

    def run(self, check: Check) -> Result:
        if check not in self.done:
            try:
                self.done[check] = getattr(self, f"_{check.kind}")(check)
            except EntryError:
                raise
            except Exception as error:              # ours: it says nothing of the claim
                self._executors.clear()
                self._costs.clear()
                self.done[check] = Result(check, f"inconclusive: {of_error(error)}")
        return self.done[check]

    def _executor(self, family_name: str, variant: str) -> Executor:
        key = (family_name, variant)
        if key not in self._executors:
            self._executors[key] = Executor(family(family_name), variant, checked=True)
        return self._executors[key]

    def _entry(self, check: Check) -> Result:
        entry = load(named(check.entry, self.corpus))
        expected = parse_verdict(check.wanted)
        asked = msgspec.structs.replace(entry, expect={check.variant: expected} if expected is not None else {})
        judged = judge_entry(asked, self._executor(entry.family, check.variant), replays=self.replays)
        return Result(check, str(judged.verdict), judged.detail)

    def _verify(self, check: Check) -> Result:
        entry = load(named(check.verify, self.corpus))
        return self._every(check, self._executor(entry.family, check.variant), entry.program, entry.title)

    def _program(self, check: Check) -> Result:
        family_name, _, variant = check.variant.partition("/")
        return self._every(check, self._executor(family_name, variant), program_of(check), "")

    def _every(self, check: Check, executor: Executor, program: Program, first: str) -> Result:
        lacks = executor.lacks(program)
        if lacks:
            return Result(check, "n/a", f"lacks {', '.join(lacks)}")
        executor.only(first)
        found = explore_on(executor, program, runs_max=check.runs)
        if not found.complete:
            return Result(check, f"inconclusive: {found.why}")
        if found.proved:
            return Result(check, f"proved in {found.classes}")
        told = [f"{bug(title)} in {found.classes_with(title)} of {found.classes}, "
                f"least preemptions {found.fewest(title).preemptions}"
                for title in sorted(found.titles, key=lambda title: (title != first, title))]
        return Result(check, "; ".join(told))

    def _of(self, name: str, runs: int) -> Any:
        from vmrace.fuzz.measure.cost import Costs
        if (name, runs) not in self._costs:
            family_name, _, variant = name.partition("/")
            self._costs[name, runs] = Costs(family(family_name), variant, runs)
        return self._costs[name, runs]

    def _cost(self, check: Check) -> Result:
        from vmrace.fuzz.measure.cost import SITUATIONS
        fitting = [one for one in SITUATIONS if (one.operation, one.what) == (check.cost, check.of)]
        if not fitting:
            known = [one.what for one in SITUATIONS if one.operation == check.cost]
            return Result(check, "no such situation", f"of {check.cost!r} there are: {'; '.join(known) or 'none'}")
        base, mine = (self._of(name, 1).measure(fitting[0]).alone for name in (check.base, check.variant))
        if base is None or mine is None or not base.operations or not mine.operations:
            return Result(check, "n/a")
        from vmrace.fuzz.measure.meter import COLUMNS as COUNTED
        changes = [f"{mine.of(name) - base.of(name):+.0f} {name}" for name in COUNTED if mine.of(name) != base.of(name)]
        if check.lock:
            changes.append(f"{mine.under[check.lock] - base.under[check.lock]:+d} under {check.lock}")
        return Result(check, ", ".join(changes) or "the same", f"from {base.of('points'):.0f} to {mine.of('points'):.0f} points")

    def _chain(self, check: Check) -> Result:
        chains = self._of(check.variant, CHAIN_RUNS).serialise(check.chain)
        failed = sum(chain.failed for chain in chains)
        text = f"{chains[0].chain:.1f} points for 1 fault, {chains[-1].chain:.1f} for {check.chain}"
        return Result(check, text, f"mean of {CHAIN_RUNS} schedules{f', {failed} left out' if failed else ''}")

    def _command(self, check: Check) -> Result:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                self.command(shlex.split(check.command)[1:])
                code: Any = 0
            except SystemExit as error:
                code = error.code or 0
        last = [line for line in said.getvalue().splitlines() if line.strip()][-1:]
        return Result(check, f"exit {code}", "".join(last))
