# SPDX-License-Identifier: MIT
"""Repeating the checks of the ledger: judging entries, exploring programs, counting costs, running commands (see ledger.py)."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
from vmrace.variants.family import family, identity
from vmrace.variants.program import Program

if TYPE_CHECKING:
    from vmrace.fuzz.measure.cost import Costs

UNDONE = ("inconclusive", "exit 3", "exit 130")     # the beginnings of results of checks that could not be done


# ---- running -----------------------------------------------------------------------------------------------------------------

@dataclass
class Result:
    """The result of a repeated check."""

    check: Check
    found: str
    detail: str = ""

    @property
    def holds(self) -> bool:
        """True if the result is the expected one."""
        return self.check.fits(self.found)

    @property
    def changed(self) -> bool:
        """True if the check was done and has another result than expected."""
        return not self.holds and not self.found.startswith(UNDONE)


@dataclass
class Judged:
    """A claim with the results of its repeated checks."""

    claim: Claim
    results: list[Result] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """True if every check has its expected result."""
        return all(result.holds for result in self.results)


class Runner:
    """A runner of checks. It links each image once, and does a check once even if several claims share it."""

    def __init__(self, corpus: pathlib.Path, command: Callable[[list[str]], object], replays: int = REPLAYS):
        """`command` runs the words after `vmrace` of a command line, and raises SystemExit. `replays` confirm each BUG of an entry."""
        self.corpus = corpus
        self.command = command
        self.replays = replays
        self.done: dict[Check, Result] = {}
        self._executors: dict[tuple[str, str], Executor] = {}
        self._costs: dict[tuple[str, int], Costs] = {}

    def judge(self, claim: Claim) -> Judged:
        """Repeat the checks of a claim."""
        return Judged(claim, [self.repeat(check) for check in claim.tests])

    def repeat(self, check: Check) -> Result:
        """Repeat a check. An error of vmrace makes it inconclusive; EntryError is raised for an entry that cannot be used."""
        if check not in self.done:
            try:
                self.done[check] = getattr(self, f"_{check.kind}")(check)
            except EntryError:
                raise
            except Exception as error:              # an error of vmrace, which is no evidence about the claim
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
        return self._every(check, self._executor(entry.family, check.variant), entry.program, entry.title, entry.found_on)

    def _program(self, check: Check) -> Result:
        family_name, _, variant = check.variant.partition("/")
        return self._every(check, self._executor(family_name, variant), program_of(check), "")

    def _every(self, check: Check, executor: Executor, program: Program, first: str, found_on: str = "") -> Result:
        """Run every schedule. The finding `first`, a title of the variant `found_on`, is reported before the others."""
        lacks = executor.lacks(program)
        if lacks:
            return Result(check, "n/a", f"lacks {', '.join(lacks)}")
        executor.only(first)
        found = explore_on(executor, program, runs_max=check.runs)
        if not found.complete:
            return Result(check, f"inconclusive: {found.why}")
        if found.proved:
            return Result(check, f"proved in {found.classes}")
        name = f"{executor.family.name}/{executor.variant}"
        each = [f"{bug(title)} in {found.classes_with(title)} of {found.classes}, "
                f"least preemptions {found.fewest(title).preemptions}"
                for title in sorted(found.titles, key=lambda title: (identity(name, title) != identity(found_on, first), title))]
        return Result(check, "; ".join(each))

    def _of(self, name: str, runs: int) -> Costs:
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
        output = io.StringIO()
        code: str | int = 0
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                self.command(shlex.split(check.command)[1:])
            except SystemExit as error:
                code = error.code or 0
        last = [line for line in output.getvalue().splitlines() if line.strip()][-1:]
        return Result(check, f"exit {code}", "".join(last))
