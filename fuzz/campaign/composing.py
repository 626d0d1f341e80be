# SPDX-License-Identifier: MIT
"""Searches for a goal of facts.py: a program is composed of the witnesses, and run with preemptions at the steps that the facts name.

Each witness is first reduced to one task that still shows its facts. The composed program must show in its runs without preemption all
facts that the witnesses show in theirs, else the goal is dropped. These runs are repeated on a checked image, which reports a cycle of
lock orders that one run has. Then each of them is preempted once at every step at which a task is about to acquire a lock of the goal
while it holds another one, or at which an interrupt would hit the holder. The campaign's own schedules follow. For a goal of two
accesses the steps are those of the accesses, and no other schedules follow: there are hundreds of such goals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from vmrace.fuzz.campaign.accesses import Accesses
from vmrace.fuzz.campaign.facts import IN_IRQ, ORDER, Fact, Facts, Goal, facts_of
from vmrace.fuzz.campaign.runs import Runs
from vmrace.fuzz.programs.compose import composed, only_tasks
from vmrace.fuzz.run.executor import Outcome, Prepared, SetupFailed
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.portfolio import Ran, leads_of
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE
from vmrace.harness.schedulers import Mutate, NoPreempt
from vmrace.harness.schedulers.mutate import Bred
from vmrace.variants.program import Program


class RecordedRuns(Runs, Protocol):
    """The shard that makes the runs, and records accesses."""

    def recorder(self) -> Accesses:
        """Return a recorder of accesses on the fast image."""

    def watch(self, prepared: Prepared, ran: Ran, places: Places) -> None:
        """Replay a run with this recorder."""


class Edges(Places):
    """A recorder of a run: `steps` are those at which a preemption can close the cycle of a goal."""

    def __init__(self, goal: Goal) -> None:
        super().__init__()
        self.goal = goal
        self.steps: list[int] = []

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        super().__call__(kind, obj, arg)
        if any(_is_near(fact, kind, obj) for fact in self.goal):
            self.steps.append(m.step)
            self.others[m.step] = len(m.choices()) - 1


def _is_near(fact: Fact, kind: int, obj: Any) -> bool:
    """True if the running task is at a step of the fact: it acquires the second lock of an order, or holds a lock that interrupts use."""
    me = m.current
    if fact.kind == ORDER:
        return kind == ACQUIRE and _named(obj, fact.what) and any(_named(lock, fact.held) for lock in me.held.locks)
    return fact.kind != IN_IRQ and not me.irq_depth and any(_named(lock, fact.what) for lock in me.held.locks)


def _named(lock: Any, name: str) -> bool:
    return name in (getattr(lock, "cls", ""), lock.name)


class Composing:
    """The search for one goal of locks, for a shard. `children_max` bounds the directed schedules of each run without preemption."""

    children_max = 60

    def __init__(self, shard: RecordedRuns, facts: Facts, goal: Goal):
        self.shard, self.goal = shard, goal
        self.witnesses = {fact: facts.witnesses[fact] for fact in goal}

    @property
    def text(self) -> list[str]:
        """The facts with their witnesses, a line for each."""
        return [f"{fact}: {_line(witness.program)}" for fact, witness in self.witnesses.items()]

    def program(self) -> tuple[Program, Prepared] | None:
        """Return a program that shows all facts of the goal, and has run without preemption; None if there is none."""
        parts: dict[Program, None] = {}
        for witness in dict.fromkeys(self.witnesses.values()):
            parts[self._reduced(witness.program, [fact for fact in self.goal if self.witnesses[fact] == witness])] = None
        programs = list(composed(list(parts)))
        self.shard.rng.shuffle(programs)
        for program in programs:
            prepared = self._showing(program, [fact for fact in self.goal if self.witnesses[fact].easily])
            if prepared is not None:
                return program, prepared
        return None

    def direct(self, program: Program, prepared: Prepared) -> None:
        """Run the program without preemption, also on a checked image, and then with one at each step that the goal names."""
        shard = self.shard
        mutate = Mutate(shard.rng)
        for lead in leads_of(len(program.tasks)):
            ran = shard.one(program, prepared, "nopreempt", NoPreempt(lead))
            shard.check(program, ran)
            mutate.base = Bred(ran.switches, ran.forced, ran.steps)
            mutate.base.breed(shard.rng, *self._steps(prepared, ran))
            del mutate.base.children[self.children_max:]
            while mutate.base.children and not shard.over():
                shard.one(program, prepared, "composed", mutate)

    def _steps(self, prepared: Prepared, ran: Outcome) -> tuple[list[list[int]], dict[int, int]]:
        """Replay a run. Returns the steps that the goal names, and the number of other tasks that could run at each."""
        edges = Edges(self.goal)
        self.shard.watch(prepared, ran, edges)
        return [edges.steps], edges.others

    def _reduced(self, program: Program, facts: Sequence[Fact]) -> Program:
        """Return the program with one of its tasks that shows the facts alone, or the program."""
        for number in range(len(program.tasks) if len(program.tasks) > 1 else 0):
            alone = only_tasks(program, [number])
            if self._showing(alone, facts) is not None:
                return alone
        return program

    def _showing(self, program: Program, facts: Sequence[Fact]) -> Prepared | None:
        """Prepare the program, if its runs without preemption show the facts."""
        try:
            prepared = self.shard.fast.prepare(program)
        except SetupFailed:
            return None
        prepared.image.lockdep.begin_anew()         # the setup and earlier programs show nothing of this one
        return prepared if any(self._shows(program, prepared, lead, facts) for lead in leads_of(len(program.tasks))) else None

    def _shows(self, program: Program, prepared: Prepared, lead: int, facts: Sequence[Fact]) -> bool:
        """Run the program without preemption. True if its runs so far show the facts."""
        self.shard.one(program, prepared, "nopreempt", NoPreempt(lead))
        return {*facts} <= {*facts_of(prepared.image.lockdep)}


class Meeting(Composing):
    """The search for two accesses: the composed program must make both to one place, from different tasks."""

    children_max = 12

    def _steps(self, prepared: Prepared, ran: Outcome) -> tuple[list[list[int]], dict[int, int]]:
        seen = self.shard.recorder()
        self.shard.watch(prepared, ran, seen)
        return [seen.at.get(fact, []) for fact in self.goal], seen.others

    def _shows(self, program: Program, prepared: Prepared, lead: int, facts: Sequence[Fact]) -> bool:
        seen = self.shard.recorder()
        with m.watched(seen):
            self.shard.one(program, prepared, "nopreempt", NoPreempt(lead))
        if len(facts) > 1:
            return self.goal in seen.together()
        return {*facts} <= seen.at.keys()


def _line(program: Program) -> str:
    """Write a program in one line: the setup, then each task after a bar."""
    return " | ".join("; ".join(map(str, ops)) or "-" for ops in (program.setup, *(task.ops for task in program.tasks)))
