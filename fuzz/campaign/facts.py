# SPDX-License-Identifier: MIT
"""Facts that the runs of a campaign have shown, each with a witness: a program that shows it.

lockdep sees a cycle only if a single run has all its edges. A campaign has seen far more: one program acquires b while it holds a, and
another one a while it holds b. A goal is a set of facts that together could be a deadlock: a cycle of lock orders, or a lock that is
acquired in an interrupt and elsewhere with interrupts on. composing.py makes a program of their witnesses, and searches it. The facts are
those of sanitizers/lockdep.py; a fast image collects them over the runs of a program at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vmrace.harness.sanitizers.lockdep import Lockdep
from vmrace.variants.program import Program

ORDER, IN_IRQ, IRQS_ON = "order", "in an interrupt", "with interrupts on"
LOADED, STORED = "loaded", "stored"
TRIES_MAX = 3               # compositions of one goal, each with random schedules of its own
LOCKS_MAX = 3               # in a cycle


class Fact(NamedTuple):
    """`what` is a lock that is acquired while `held` is held (kind ORDER), in an interrupt, or with interrupts on. `shared`: by a reader;
    `held_shared`: a reader holds `held`. Or it is a field that is LOADED or STORED while the locks `held` are held (accesses.py)."""

    kind: str
    what: str
    shared: bool = False
    held: str = ""
    held_shared: bool = False

    def __str__(self) -> str:
        if self.kind in (LOADED, STORED):
            return f"{self.what} {self.kind} with {self.held or 'no lock'} held"
        if self.kind == ORDER:
            return f"{self.what} acquired while {self.held} is held"
        return f"{self.what} acquired {self.kind}"


Goal = tuple[Fact, ...]


@dataclass(frozen=True)
class Witness:
    """A program that shows a fact. `easily`: in a run without preemption."""

    program: Program
    easily: bool

    def better_than(self, other: Witness | None) -> bool:
        """True if a composition should rather be made of this one."""
        return other is None or (not self.easily, self.program.size) < (not other.easily, other.program.size)


def facts_of(lockdep: Lockdep) -> list[Fact]:
    """List the facts that lockdep has collected since it last forgot them, sorted."""
    out = [Fact(ORDER, lock, shared, held, held_shared)
           for held, after in lockdep.after.items() for lock, ways in after.items() for held_shared, shared in ways]
    out += [Fact(IN_IRQ, lock, shared) for lock, shared in lockdep.used_in_irq]
    out += [Fact(IRQS_ON, lock, shared) for lock, shared in lockdep.used_irqs_on]
    return sorted(out)


@dataclass
class FactsLearnt:
    """New facts with their witnesses, and the goals that were tried."""

    witnesses: dict[Fact, Witness] = field(default_factory=dict)
    tried: list[Goal] = field(default_factory=list)
    met: list[Goal] = field(default_factory=list)


class Facts:
    """The facts of a campaign. If `news` is not None, everything that is new is added to it as well."""

    def __init__(self) -> None:
        self.witnesses: dict[Fact, Witness] = {}
        self.tried: dict[Goal, int] = {}
        self.met: set[Goal] = set()                     # two accesses that tasks of one program have made
        self.news: FactsLearnt | None = None

    def copy(self) -> Facts:
        """Return a copy that collects news."""
        made = Facts()
        made.witnesses, made.tried, made.news = dict(self.witnesses), dict(self.tried), FactsLearnt()
        made.met = set(self.met)
        return made

    def add(self, learnt: FactsLearnt) -> None:
        """Add what a copy has learnt."""
        for fact, witness in learnt.witnesses.items():
            self.witness([fact], witness)
        for goal in learnt.tried:
            self.try_goal(goal)
        for goal in learnt.met:
            self.meet(goal)

    def witness(self, facts: Sequence[Fact], witness: Witness) -> None:
        """Record a witness of facts. If it is the first that shows a fact easily, the goals with that fact may be tried again."""
        for fact in facts:
            known = self.witnesses.get(fact)
            if witness.better_than(known):
                self.witnesses[fact] = witness
                if self.news is not None:
                    self.news.witnesses[fact] = witness
                if known is not None and witness.easily and not known.easily:
                    self.tried = {goal: times for goal, times in self.tried.items() if fact not in goal}

    def try_goal(self, goal: Goal) -> None:
        """Record that a composition for a goal was made."""
        self.tried[goal] = self.tried.get(goal, 0) + 1
        if self.news is not None:
            self.news.tried.append(goal)

    def meet(self, goal: Goal) -> None:
        """Record that one program has shown both accesses of a goal."""
        if goal not in self.met:
            self.met.add(goal)
            if self.news is not None:
                self.news.met.append(goal)

    def goals(self) -> list[Goal]:
        """List the goals of locks that were tried least, sorted; none that was tried TRIES_MAX times."""
        every = sorted({*self._unsafe_in_interrupts(), *self._cycles()})
        least = min((self.tried.get(goal, 0) for goal in every), default=TRIES_MAX)
        return [goal for goal in every if self.tried.get(goal, 0) == least < TRIES_MAX]

    def _unsafe_in_interrupts(self) -> Iterator[Goal]:
        for fact in self.witnesses:
            if fact.kind == IN_IRQ:
                for shared in (False, True):
                    other = Fact(IRQS_ON, fact.what, shared)
                    if other in self.witnesses and not (fact.shared and shared):        # readers do not wait for each other
                        yield fact, other

    def _cycles(self) -> Iterator[Goal]:
        """Yield the cycles of at most LOCKS_MAX lock orders, each once, in which each waiter really waits for the holder; none with locks
        of a shorter one."""
        after: dict[str, list[Fact]] = {}
        for fact in sorted(self.witnesses):
            if fact.kind == ORDER:
                after.setdefault(fact.held, []).append(fact)
        paths: list[Goal] = [(fact,) for facts in after.values() for fact in facts if fact.what > fact.held]    # from the least lock on
        shorter: list[set[str]] = []
        for _ in range(LOCKS_MAX - 1):
            longer: list[Goal] = []
            closed: list[set[str]] = []
            for path in paths:
                first, last = path[0], path[-1]
                for fact in after.get(last.what, ()):
                    if last.shared and fact.held_shared:
                        continue                        # a reader does not wait for a reader
                    goal = (*path, fact)
                    locks = {one.held for one in goal}
                    if fact.what == first.held and not (fact.shared and first.held_shared):
                        if not any(locks > others for others in shorter):
                            closed.append(locks)
                            yield goal
                    elif fact.what > first.held and fact.what not in locks:
                        longer.append(goal)
            shorter += closed
            paths = longer
