# SPDX-License-Identifier: MIT
"""Entries against variants: the table of `vmrace replay`."""

from __future__ import annotations

import pathlib
import traceback
from collections import Counter
from collections.abc import Callable

from vmrace.fuzz.corpus.entry import Entry, EntryError, expect
from vmrace.fuzz.corpus.index import handle
from vmrace.fuzz.corpus.judge import PROVE_MAX, Judged, follow, judge_entry
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop
from vmrace.harness.incomplete import of_error
from vmrace.variants.family import family


class Table:
    """Every entry on every variant of its family, with what was expected of it."""

    def __init__(self, entries: list[Entry], backend: str = "greenlets", only: str | None = None, prove: bool = False, times: int = 1):
        self.prove = prove              # try to prove what is not found
        self.times = times              # each schedule is followed
        self.entries = entries
        self.backend = backend
        self.only = only
        self.judged: dict[tuple[int, str], Judged] = {}
        self.runs = 0
        self.unstable: list[str] = []
        self.errors: list[tuple[str, str]] = []         # of ours: where, and what
        self._executors: dict[tuple[str, str], Executor] = {}

    def _variants(self, entry: Entry) -> list[str]:
        return [name for name in family(entry.family).variants if self.only in (None, name)]

    def executor(self, family_name: str, variant: str) -> Executor:
        key = (family_name, variant)
        if key not in self._executors:
            self._executors[key] = Executor(family(family_name), variant, self.backend, checked=True)
        return self._executors[key]

    def replay(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Judge everything, and follow every schedule `times` times: what comes to another end is unstable. `say` hears of progress."""
        for number, entry in enumerate(self.entries):
            for variant in self._variants(entry):
                say(f"  {number + 1} of {count(len(self.entries), 'entry')}: {entry.name} on {variant}")
                executor = self.executor(entry.family, variant)
                try:
                    judged = judge_entry(entry, executor, prove=PROVE_MAX if self.prove else 0)
                except EntryError:
                    raise
                except Exception as error:          # ours: it says nothing of the entry, and nothing of the others
                    del self._executors[entry.family, variant]
                    self.judged[number, variant] = _failed(error)
                    self.errors.append((traceback.format_exc(), f"{type(error).__name__}: {error}"))
                    continue
                self.runs += judged.runs
                self.judged[number, variant] = judged
                ends = Counter(follow(entry, executor) for _ in range(self.times)) if self.times > 1 else Counter()
                if len(ends) > 1 or (judged.digest and not all(end.startswith(judged.digest) for end in ends)):
                    self.unstable.append(f"{entry.name} on {variant}: {judged.verdict} {judged.digest}".rstrip()
                                         + "".join(f"; {often} of {self.times}: {end}" for end, often in ends.most_common()))

    @property
    def surprises(self) -> list[tuple[Entry, str, Verdict, Judged]]:
        """Where a verdict is not the one expected; a variant the entry does not mention expects nothing."""
        out = []
        for (number, variant), judged in self.judged.items():
            entry = self.entries[number]
            expected = entry.expect.get(variant)
            if expected is not None and judged.verdict.decided and expected not in (judged.verdict, judged.accepted):
                out.append((entry, variant, expected, judged))
        return out

    @property
    def undecided(self) -> list[str]:
        """Where nothing can be said: we erred, or the budget of a proof ran out."""
        return [f"{self.entries[number].name} on {variant}: {judged.verdict}" for (number, variant), judged in self.judged.items()
                if not judged.verdict.decided]

    @property
    def code(self) -> int:
        """The exit code: 0 all as expected, 1 something is not, 3 something is undecided."""
        return 1 if self.surprises or self.unstable else 3 if self.undecided else 0

    def lines(self, digests: bool = False) -> list[str]:
        columns = list(dict.fromkeys(variant for entry in self.entries for variant in self._variants(entry)))
        wide = max(len("ENTRY"), *(len(entry.name) for entry in self.entries)) + 2
        out = [f"{'ENTRY':<{wide}}" + "  ".join(f"{name:<18}" for name in columns)]
        for number, entry in enumerate(self.entries):
            cells = []
            for name in columns:
                judged = self.judged.get((number, name))
                text = judged.verdict.word.value if judged is not None else "-"
                cells.append(f"{text + (' ' + judged.digest if digests and judged is not None and judged.digest else ''):<18}")
            out.append(f"{entry.name:<{wide}}" + "  ".join(cells).rstrip())
        out = [line.rstrip() for line in out]
        for entry, variant, expected, judged in self.surprises:
            why, *more = judged.detail.split("; ")
            out += [f"{entry.name}  {variant}", f"  expected  {expected}", f"  found     {judged.verdict}: {why}",
                    *(f"            {line}" for line in more), *_what_to_do(entry, variant, judged)]
        out += [f"unstable: {line}" for line in self.unstable]
        out += self.undecided
        return out

    def accept(self) -> list[pathlib.Path]:
        """Write what was found as what is expected, each entry where it was read. What is not stable cannot be accepted. Once it has
        begun to write, it writes all."""
        stop.look()
        out = []
        for number, entry in enumerate(self.entries):
            if any(line.startswith(f"{entry.name} on ") for line in self.unstable):
                continue
            each = {variant: self.judged[number, variant].accepted for variant in self._variants(entry)}
            fresh = {variant: accepted for variant, accepted in each.items() if accepted is not None}
            if not fresh.items() <= entry.expect.items() and entry.path is not None:
                out.append(expect(entry.path, fresh))
        return out

    def summary(self, seconds: float, bad: int, code: int) -> str:
        """The last line. `bad`: files that could not be used; `code`: the exit code."""
        missing = sum(judged.verdict.word is Word.ABSENT for judged in self.judged.values())
        verdicts = len(self.judged) - missing
        state = "all as expected" if not self.code else f"{len(self.surprises)} not as expected, {len(self.unstable)} unstable"
        if self.undecided:
            state += f", {len(self.undecided)} undecided"
        if bad:
            state += f", {count(bad, 'file')} not used"
        often = f", each schedule followed {self.times} times" if self.times > 1 else ""
        return (f"{count(len(self.entries), 'entry')}, {count(len({v for _, v in self.judged}), 'variant')}: {count(verdicts, 'verdict')} "
                f"from {count(self.runs, 'run')}"
                f"{often}, {missing} not applicable, {state}   ({seconds:.1f} s, exit {code})")


def _failed(error: Exception) -> Judged:
    why = of_error(error)
    return Judged(Verdict(Word.INCONCLUSIVE, why=why), str(why))


def _what_to_do(entry: Entry, variant: str, judged: Judged) -> list[str]:
    """The commands for a verdict that is not the one expected."""
    name = handle(entry)
    accept = f"vmrace corpus accept {name} --variant {variant}={judged.accepted.word.value if judged.accepted else ''}"
    if judged.elsewhere and not judged.accepted:
        return [f"  if you renamed a point: vmrace shrink {name} --refind"]
    if not judged.accepted:
        return ["  this is our bug: please report it"]
    if judged.verdict.word in (Word.DIVERGED, Word.LOST):
        why = "if you renamed a point: " if judged.verdict.word is Word.DIVERGED else "if it should still fail:"
        return [f"  if you fixed the race:   {accept}", f"  {why} vmrace shrink {name} --refind"]
    return [f"  if that is right: {accept}"]


