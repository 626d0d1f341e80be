# SPDX-License-Identifier: MIT
"""Sweeps: programs of two operations from one state of pages, each with single preemptions at the accesses to such a page.

Random programs seldom have two operations that race on a page in a rare state. lru_free_2_4 has 35,000 triples (state, operation,
operation). A campaign of 100,000 runs tries 15,000 of them, and the operations of most of these share nothing. A sweep runs only pairs that
conflict (sweeps.py). It runs their schedules without preemption, and some of those with one preemption at a conflicting access. In the
state that the double free needs, 8 of the 60 pairs of all operations show it, each in three of five sweeps with all of these, 92 runs. A
random exploration of such a program has 47 runs, and one of fifteen shows it.

A preemption at one site for the same two operations is tried in TIMES states only: in all states, the sweeps of cow_swap_2_6 would take
700,000 runs. When a state is swept again, from another setup, it may be tried TIMES more. A pair is run with at most CHILDREN_MAX of them
at a time, so the other preemptions are left to other states. With 60 at a time, 150,000 runs of cow_swap_2_6/pre_2_6_26 swept 2,000 pairs
instead of 6,500. Of ten seeds, one found its unnecessary copy beside shrink_page_list after 124,000 runs and one did not find it; with 6,
these two find it after 24,000 and 39,000.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from vmrace.fuzz.campaign.accesses import Accesses
from vmrace.fuzz.campaign.facts import Fact
from vmrace.fuzz.campaign.runs import Runs
from vmrace.fuzz.campaign.start_states import Setup, few
from vmrace.fuzz.campaign.sweeps import Pair, Preemption, Sweeps, pairs_of
from vmrace.fuzz.programs import generate
from vmrace.fuzz.run.executor import Outcome, Prepared, SetupFailed
from vmrace.fuzz.sampling.contention import UNSEEN, Contention
from vmrace.fuzz.sampling.portfolio import Spent, leads_of
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.sites import line, outermost
from vmrace.harness.schedulers import Mutate, NoPreempt
from vmrace.harness.schedulers.mutate import STRIDE, Bred
from vmrace.harness.schedulers.nopreempt import INTERRUPTS
from vmrace.variants.program import Op, Program, TaskProgram

NAME = "swept"
CPUS = 2
OPERANDS = 3            # attempts to find operands with which an operation touches a page in the state
CHILDREN_MAX = 6        # schedules with one preemption, of each run without


class NamedRuns(Runs, Protocol):
    """The shard that makes the runs, and knows the facts of its image."""

    @property
    def named(self) -> dict[Any, Fact]:
        """The cache of facts, see Accesses."""


class OnPages(Accesses):
    """A recorder of one run, which also notes where the accesses to some pages are made. `sites`: of each step that makes one."""

    def __init__(self, named: dict[Any, Fact], pages: set[str]) -> None:
        super().__init__(named)
        self.pages = pages
        self.sites: dict[int, str] = {}
        self._on: dict[Any, bool] = {}

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        super().__call__(kind, obj, arg)
        if kind not in UNSEEN and self._is_on(obj):
            self.sites[m.step] = line(m.image, sys._getframe(1))

    def _is_on(self, place: Any) -> bool:
        """True if a place is in one of the pages."""
        on = self._on.get(place)
        if on is None:
            obj = place[0] if isinstance(place, tuple) else place
            on = self._on[place] = outermost(obj).partition(".")[0] in self.pages
        return on

    def facts(self) -> frozenset[Fact]:
        """Return the accesses to the pages that tasks made, not interrupts."""
        return frozenset(fact for place, fact, _, tasks in self.made_facts if max(tasks) >= 0 and self._is_on(place))


class Sweeping:
    """The sweep of one state, for a shard. It ends with Spent if no run or no time is left, and a pair that it cut is not recorded."""

    def __init__(self, shard: NamedRuns, sweeps: Sweeps, state: str):
        self.shard, self.sweeps, self.state = shard, sweeps, state
        self.setup = sweeps.setup(state)

    def begin(self, setups: Sequence[Setup], operations: Sequence[str]) -> None:
        """Run each operation alone after the first of these setups that reaches the state with CPUS cpus."""
        touching: dict[str, tuple[Op, frozenset[Fact]]] = {}
        for self.setup in setups:
            prepared = self._prepared([])
            if prepared is not None and self.pages(prepared):
                touching = self._touching(operations)
                break
        self.sweeps.begin(self.state, self.setup, tuple(pairs_of([touching[name] for name in operations if name in touching])))

    def _touching(self, operations: Sequence[str]) -> dict[str, tuple[Op, frozenset[Fact]]]:
        """Map each operation that touches a page in the state to its operands and accesses. Operands are drawn at random; those with which
        an operation touched such a page are then tried with the others."""
        base, tried = self.program([]), set[Op]()
        touching: dict[str, tuple[Op, frozenset[Fact]]] = {}
        for attempt in range(OPERANDS):
            useful = {} if attempt != 1 else generate.operands_of(op for op, _ in touching.values())
            for name in operations:
                op = generate.near(self.shard.rng, base, [name], useful)
                if name not in touching and op not in tried:
                    tried.add(op)
                    prepared = self._prepared([op])
                    facts = self._alone(prepared) if prepared is not None else None
                    if facts:
                        touching[name] = op, facts
        return touching

    def program(self, ops: Sequence[Op]) -> Program:
        """Return the program that runs each of these operations on a cpu of its own."""
        return Program(self.setup, tuple(TaskProgram(cpu, (op,)) for cpu, op in enumerate(ops)) or (TaskProgram(0, ()),), CPUS)

    def _prepared(self, ops: Sequence[Op]) -> Prepared | None:
        try:
            return self.shard.fast.prepare(self.program(ops))
        except SetupFailed:
            return None

    def pages(self, prepared: Prepared) -> set[str]:
        """Name the pages in the state. To be asked before the first run of the program."""
        return {page for page, text in self.shard.fast.family.describe(prepared.image).items() if few(text) == self.state}

    def _alone(self, prepared: Prepared) -> frozenset[Fact]:
        """Run one operation, and once more after the interrupts if there are some. Returns its accesses to pages in the state."""
        pages, facts = self.pages(prepared), frozenset[Fact]()
        for lead in (0, INTERRUPTS) if prepared.raised else (0,):
            facts |= self._lead(prepared, lead, pages)[1].facts()
        return facts

    def _lead(self, prepared: Prepared, lead: int, pages: set[str]) -> tuple[Outcome, OnPages]:
        seen = OnPages(self.shard.named, pages)
        with m.watched(seen, m.observer):
            return self._run(prepared, NoPreempt(lead)), seen

    def _run(self, prepared: Prepared, scheduler: Scheduler) -> Outcome:
        if self.shard.over():
            raise Spent
        return self.shard.one(prepared.program, prepared, NAME, scheduler)

    def explore(self, pair: Pair, prepared: Prepared) -> list[Bred]:
        """Run the schedules of a pair: those without preemption, and those with one at a contended access to a page in the state, at most
        CHILDREN_MAX for each of the former. Returns the former. The pair is recorded at the end."""
        contention, pages = Contention(), self.pages(prepared)
        leads: list[tuple[Outcome, OnPages]] = []
        for lead in leads_of(len(pair)):
            ran, seen = self._lead(prepared, lead, pages)
            contention.add(seen)
            if all((ran.switches, ran.forced) != (other.switches, other.forced) for other, _ in leads):
                leads.append((ran, seen))
        self.shard.check(prepared.program, self.shard.rng.choice(leads)[0])
        bases = [Bred(ran.switches, ran.forced, ran.steps) for ran, _ in leads]
        tried: set[Preemption] = set()
        for base, (_, seen) in zip(bases, leads, strict=True):
            tried |= self._children(pair, prepared, replace(base), seen, contention)
        self.sweeps.run(self.state, pair, sorted(tried))
        return bases

    def _children(self, pair: Pair, prepared: Prepared, base: Bred, seen: OnPages, contention: Contention) -> set[Preemption]:
        """Run the schedules with one preemption of a run without. Returns the preemptions that were made."""
        names = " and ".join(sorted({op.name for op in pair}))
        at = {step: (seen.sites[step], names) for steps in contention.within(seen).values() for step in steps if step in seen.sites}
        base.breed(self.shard.rng, [[step for step, one in at.items() if self.sweeps.worth(one, self.state)]], seen.others)
        del base.children[CHILDREN_MAX:]
        tried = {at[child // STRIDE] for child in base.children}
        mutate = Mutate(self.shard.rng)
        mutate.base = base
        while base.children:
            self._run(prepared, mutate)
        return tried
