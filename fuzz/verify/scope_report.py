# SPDX-License-Identifier: MIT
"""The report of a scope: its table of verdicts, the last line, JSON, and the line of progress."""

from __future__ import annotations

import hashlib
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, Scope
from vmrace.fuzz.text.document import reason_of
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT
from vmrace.fuzz.text.terminal import COLUMNS, LINE_EVERY
from vmrace.fuzz.text.wording import are, count
from vmrace.fuzz.verify import reasons
from vmrace.fuzz.verify.scope_result import Result
from vmrace.harness.explore.exploration import EQUIVALENCE
from vmrace.harness.sanitizers import table

if TYPE_CHECKING:
    from vmrace.fuzz.verify.scope_proof import Proof

UNDECIDED_TOLD = 3          # inconclusive programs listed for each reason
Said = Callable[[str], None]


def clock(seconds: float) -> str:
    """Format a duration in seconds as `1:05`, or from an hour on as `1:00:05`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def stated(scope: Scope) -> str:
    """Describe a scope in one line, with each of its limits."""
    parts = [f"at most {count(scope.size, 'operation')} in tasks on {count(scope.cpus, 'cpu')}",
             f"setups of at most {count(scope.setup, 'operation')}" if scope.setup else "no setup"]
    if scope.operations:
        parts.append(f"only {', '.join(scope.operations)}")
    words = {"page": "page of each address space", "file": "file", "fpage": "page of each file"}
    parts += [count(number, words[kind]) if kind in words else f"{number} as the largest number" for kind, number in scope.operands.items()]
    if scope.preemptions is not None:
        parts.append(f"schedules of at most {count(scope.preemptions, 'preemption')}")
    return "; ".join(parts)


class Table:
    """The results of a scope, counted by verdict, by title, and by reason for inconclusive ones."""

    def __init__(self, name: str, scope: Scope, forms: list[Form], all_count: int, results: dict[int, Result]):
        self.name, self.scope, self.forms, self.all_count, self.results = name, scope, forms, all_count, results
        self.counts = Counter(result.verdict for result in results.values())
        self.counts[Word.NOT_RUN] = len(forms) - len(results)
        assert all(number < len(forms) for number in results), f"a result of a program that is not among the {len(forms)} of the scope"
        self.undecided = sorted((one for one in results.values() if one.verdict is Word.INCONCLUSIVE), key=lambda one: one.number)
        self.whys = Counter(result.why for result in self.undecided if result.why is not None)
        self.titles: dict[str, list[Result]] = {}
        for result in sorted(results.values(), key=lambda one: one.number):
            for title in result.titles:
                self.titles.setdefault(title, []).append(result)
        self.classes = sum(result.classes for result in results.values())
        self.blocked = sum(result.blocked for result in results.values())
        self.seconds = sum(result.seconds for result in results.values())

    @property
    def verdict(self) -> Word:
        """BUG if any program has a finding; proved if every program of the scope is proved; else inconclusive."""
        if self.counts[Word.BUG]:
            return Word.BUG
        return Word.PROVED if self.forms and self.counts[Word.PROVED] == len(self.forms) else Word.INCONCLUSIVE

    @property
    def open(self) -> int:
        """The number of programs that are neither proved nor have a finding."""
        return self.counts[Word.INCONCLUSIVE] + self.counts[Word.NOT_RUN]

    @property
    def code(self) -> int:
        """The exit code of the verdict."""
        return {Word.PROVED: 0, Word.BUG: CHANGED, Word.INCONCLUSIVE: COULD_NOT}[self.verdict]

    @property
    def digest(self) -> str:
        """A hash over the classes of schedules of all programs. For a scope that was run completely, it is the same on every machine."""
        each = sorted(f"{result.program} {result.verdict.value} {result.digest}" for result in self.results.values())
        return hashlib.blake2b("\n".join(each).encode(), digest_size=12).hexdigest()

    def smallest(self, title: str) -> Result:
        """Return the first of the smallest programs with a title: the list of programs is ordered by size."""
        return self.titles[title][0]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report, except the last."""
        yield f"  {'verdict':<14} {'programs':>10}   of {len(self.forms):,}"
        for verdict in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE, Word.NOT_RUN):
            if self.counts[verdict] or verdict is Word.PROVED:
                yield f"  {verdict.value:<14} {self.counts[verdict]:>10,}   {self.counts[verdict] / max(1, len(self.forms)):.1%}"
        if self.titles:
            yield ""
            yield f"  {'programs':>8}  BUG title, and the first of the smallest programs that have it"
        for title, results in sorted(self.titles.items(), key=lambda one: (-len(one[1]), one[0])):
            yield f"  {len(results):>8,}  {title}"
            yield f"            {self.smallest(title).program}"
        if self.whys:
            yield ""
            yield f"  {'programs':>8}  reason for inconclusive, and the smallest programs with it"
        for why, number in self.whys.most_common():
            yield f"  {number:>8,}  {why}"
            if hint := reasons.hint(why):
                yield from textwrap.wrap(f"hint: {hint}", COLUMNS, initial_indent=" " * 12, subsequent_indent=" " * 18)
            those = [one.program for one in self.undecided if one.why == why]
            yield from (f"            {program}" for program in those[:UNDECIDED_TOLD])
            if number > UNDECIDED_TOLD:
                yield f"            ... and {number - UNDECIDED_TOLD:,} more (--json has them all)"
        yield ""
        yield (f"  {count(self.classes, 'execution')} ({EQUIVALENCE.partition(' (')[0]}), {self.blocked:,} blocked, "
               f"{clock(self.seconds)} of work; {table.summary('scope')}")

    def last_line(self) -> str:
        """Write the verdict on the scope, with its denominator and the exit code."""
        total, bound = len(self.forms), self.scope.preemptions
        bounded = "" if bound is None else f" of at most {count(bound, 'preemption')}"
        if self.verdict is Word.PROVED:
            return f"vmrace: proved: all {count(total, 'program')}, every schedule{bounded}   (exit 0)"
        rest = f"{self.open:,} of {count(total, 'program')} {are(self.open)} undecided"
        if self.verdict is Word.BUG:
            return (f"vmrace: BUG: {count(len(self.titles), 'title')} in {self.counts[Word.BUG]:,} of {count(total, 'program')}"
                    + (f"; {rest}" if self.open else f"; all others proved{', for schedules' * bool(bounded)}{bounded}") + "   (exit 1)")
        return f"vmrace: inconclusive: no BUG, but {rest}   (exit 3)"

    def events(self) -> list[dict[str, Any]]:
        """List each title and each undecided program, as JSON objects."""
        bugs = [{"kind": "bug", "title": title, "programs": len(results), "smallest": self.smallest(title).program}
                for title, results in sorted(self.titles.items())]
        return bugs + [{"kind": "inconclusive", "program": one.program, "why": str(one.why), "reason": reason_of(one.why)}
                       for one in self.undecided]

    def as_json(self, head: dict[str, Any], interrupted: bool) -> dict[str, Any]:
        """Return the counts and the identity of the scope as a JSON object. `head` is the header of the state file."""
        return {
            "verdict": self.verdict.value, **{key: head[key] for key in ("variant", "image", "vmrace", "scope", "key")},
            "programs": len(self.forms), "stand_for": self.all_count, "equivalence": EQUIVALENCE,
            "counts": {verdict.value: self.counts[verdict] for verdict in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE, Word.NOT_RUN)},
            "inconclusive": {str(why): number for why, number in self.whys.items()}, "classes": self.classes, "blocked": self.blocked,
            "executions": self.classes, "seconds": round(self.seconds, 3), "digest": self.digest, "interrupted": interrupted}


class Meter:
    """A printer of one line of progress every LINE_EVERY seconds."""

    def __init__(self, echo: Said, forms: int, as_json: bool):
        self.echo, self.forms, self.as_json = echo, forms, as_json
        self.last = time.monotonic()

    def tell(self, proof: Proof) -> None:
        """Print the progress of the proof, if it is time for a line."""
        if self.as_json or time.monotonic() - self.last < LINE_EVERY:
            return
        self.last = time.monotonic()
        counts = Counter(result.verdict for result in proof.state.results.values())
        estimate = proof.estimate()
        rest = "time left unknown" if estimate is None else (
            f"left {clock(estimate.middle)} ({clock(estimate.low)} .. {clock(estimate.high)})")
        self.echo(f"  {clock(proof.seconds)}   {self.forms - proof.to_do:,} of {count(self.forms, 'program')}   "
                  f"proved {counts[Word.PROVED]:,}   BUG {counts[Word.BUG]:,}   inconclusive {counts[Word.INCONCLUSIVE]:,}   {rest}")
