# SPDX-License-Identifier: MIT
"""One run of a variant, as a property sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared
from vmrace.harness.machine.machine import m
from vmrace.variants.program import Program
from vmrace.variants.user_model import VALUES, name_of


@dataclass(frozen=True)
class Access:
    """One access of a process or a device to a word of memory or of a file.

    `kind`: "load", "store" and the other kinds of vmrace.variants.user_model. `who`: the process (m0) or the file (f0). `where`: the page,
    and the word in it. `value`: what was loaded or stored; each operation of a program stores a value that no other one stores. `writer`:
    the process or file that this value was stored in first; "" if it was never stored. `since` and `until`: its first and its last step.
    """

    kind: str
    who: str
    where: Any
    value: Any
    writer: str
    since: int
    until: int


class Run:
    """A run that has just ended. It is valid until the property returns, since the next run begins where this one was."""

    def __init__(self, executor: Executor, prepared: Prepared, outcome: Outcome):
        self._executor, self._prepared, self._outcome = executor, prepared, outcome

    @property
    def program(self) -> Program:
        return self._prepared.program

    @property
    def titles(self) -> list[str]:
        """The titles of what the sanitizers have found. A run with a BUG or a deadlock has ended there."""
        return self._outcome.titles

    @property
    def title(self) -> str:
        """The first of `titles`, or an empty text."""
        return self._outcome.title or ""

    @property
    def at_rest(self) -> bool:
        """True if the run has come to its end: no finding has cut it short."""
        return not m.aborting and not self._outcome.limit_hit

    @property
    def steps(self) -> int:
        return self._outcome.steps

    def accesses(self, *kinds: str) -> Iterator[Access]:
        """Yield the accesses of the setup and of the run, of these kinds or of all, in the order of their ends."""
        first: dict[Any, str] = {}
        for kind, who, where, value, since, until in [*self._prepared.history, *m.history]:
            if kind in VALUES and value not in first:
                first[value] = name_of(who)
            if not kinds or kind in kinds:
                yield Access(kind, name_of(who), where, value, first.get(value, ""), since, until)

    @property
    def loads(self) -> list[Access]:
        return list(self.accesses("load"))

    def ancestors(self, process: str) -> set[str]:
        """Return the processes that a process was forked from, directly or not, in this run or in its setup."""
        parents: dict[str, set[str]] = {}
        for fork in self.accesses("fork"):
            parents.setdefault(name_of(fork.value), set()).add(fork.who)
        out: set[str] = set()
        waiting = [process]
        while waiting:
            for parent in parents.get(waiting.pop(), set()) - out:
                out.add(parent)
                waiting.append(parent)
        return out

    @property
    def pages(self) -> dict[str, str]:
        """The pages at the end, by name: the number of references, and the flags, as in the last column of a story."""
        return self._executor.family.describe(self._prepared.image)
