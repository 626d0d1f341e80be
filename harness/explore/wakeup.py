# SPDX-License-Identifier: MIT
"""Wakeup trees and sleep sets: the runs to begin at a place, and the processes not to run first there (Abdulla et al., POPL 2014)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from vmrace.harness.explore.access import RIVALS, TAKE, Access, conflict
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.tokens import count, wait, waits_in_vain


class Step:
    """A planned event: its process, its accesses (None: not known), the bits of the events that must come before it, its points."""

    __slots__ = ("accesses", "number", "past", "points", "process")

    def __init__(self, process: int, accesses: tuple[Access, ...] | None, past: int = 0, number: int = 0, points: int = 1):
        self.process = process
        self.accesses = accesses
        self.past = past
        self.number = number
        self.points = points


class Plan:
    """A run that is to begin at a place: events in one of the orders that agree with happens-before.

    `planned` has the steps that are only planned. The other steps are events of the present run: `marks` says which locations they
    touch, and `mask` has their bits. `tokens`: those of each completion at that place.
    """

    __slots__ = ("marks", "mask", "planned", "steps", "tokens")

    def __init__(self, steps: list[Event | Step], mask: int, planned: list[Event | Step], marks: Mapping[int, Sequence[int]],
                 tokens: Counter[int]):
        self.tokens = tokens
        self.steps = steps
        self.mask = mask
        self.planned = planned
        self.marks = marks

    def before(self, step: Event | Step) -> int:
        """Return the bits of the events in the plan that must come before the step."""
        return step.past & self.mask & ~(1 << step.number)

    def drop(self, position: int) -> None:
        """Drop the step at that position, which no other step of the plan must precede."""
        step = self.steps.pop(position)
        assert not self.before(step), (step.number, self.before(step))
        self.mask &= ~(1 << step.number)
        if step in self.planned:
            self.planned.remove(step)

    def first_position(self, process: int, accesses: tuple[Access, ...] | None) -> int | None:
        """Return the position of the first step of `process` if an equivalent of the plan begins with it.

        -1 if the plan has no step of `process`, and `accesses` do not conflict with any of its steps. None if the plan cannot begin with
        `process`.
        """
        for position, step in enumerate(self.steps):
            if step.process == process:
                waits = self.tokens and wait(step) is not None
                return None if self.before(step) or (waits and not self._goes_on(position)) else position
        if accesses is None:
            return None
        marks, mask = self.marks, self.mask
        for location, mode in accesses:
            if mode == TAKE and not self._goes_on(-1, location):
                return None
            mark = marks[location]
            for rival in RIVALS[mode]:
                if mark[rival] & mask:
                    return None
        for step in self.planned:
            if step.accesses is None or conflict(accesses, step.accesses):
                return None
        return -1

    def _goes_on(self, position: int, taken: int = -1) -> bool:
        """True if each wait still has a token when the step at `position` comes first; with -1, if another process takes one of `taken`."""
        tokens = self.tokens.copy()
        if position < 0:
            tokens[taken] -= 1
            if tokens[taken] < 0:
                return False
        order = [self.steps[position], *self.steps[:position], *self.steps[position + 1:]] if position >= 0 else self.steps
        for step in order:
            if waits_in_vain(step, tokens):
                return False
            count(tokens, step)
        return True


class Branch:
    """A node of a wakeup tree: run these steps in this order, then one of `children`. `root` is the number of the place that the
    branch was planned for."""

    __slots__ = ("children", "root", "steps")

    def __init__(self, steps: Sequence[Event | Step], root: int, children: list[Branch] | None = None):
        assert steps, root
        self.steps = steps
        self.root = root
        self.children = children or []

    @property
    def process(self) -> int:
        """The process that runs first."""
        return self.steps[0].process


class Sleep:
    """A sleep set: the processes that must not run first at a place any more -> their next accesses (None: not known). Immutable."""

    __slots__ = ("locations", "processes")

    def __init__(self, processes: Mapping[int, tuple[Access, ...] | None]):
        self.processes = processes
        self.locations: set[int] | None = None      # the locations of all these accesses, if all are known; made when needed

    def with_(self, more: Mapping[int, tuple[Access, ...] | None]) -> Sleep:
        """Return a sleep set that has these processes, too."""
        return Sleep({**self.processes, **more})

    def after(self, process: int, accesses: tuple[Access, ...]) -> Sleep:
        """Return the processes that still sleep after an event of `process` with these accesses.

        A plan may lead to a known run without anything to show it. Then a process may run although it sleeps; its next event is
        another one after that, so it sleeps no more.
        """
        if self.locations is None and None not in self.processes.values():
            self.locations = {location for pending in self.processes.values() for location, _ in pending}     # type: ignore[union-attr]
        if self.locations is not None and process not in self.processes:
            for location, _ in accesses:
                if location in self.locations:
                    break
            else:
                return self
        asleep = {sleeper: pending for sleeper, pending in self.processes.items()
                  if pending is not None and sleeper != process and not conflict(pending, accesses)}
        return Sleep(asleep) if len(asleep) < len(self.processes) else self


    def without(self, completion: int) -> Sleep:
        """Return the processes that still sleep when that completion has no token left: those that wait for it cannot go on any more."""
        return Sleep({sleeper: pending for sleeper, pending in self.processes.items() if (completion, TAKE) not in (pending or ())})


NONE_ASLEEP = Sleep({})
UNASKED, ASKED_FOR, DONE = 0, 1, 2


class Place:
    """A place of the present run with a choice: its sleep set, and its wakeup tree, whose first branch is the present run.

    `widened` is ASKED_FOR if a plan turned out to be impossible, so that every process that can run must run first here; DONE if
    each of them has a branch.
    """

    __slots__ = ("done", "sleep", "tree", "widened")

    def __init__(self, sleep: Sleep, tree: list[Branch]):
        self.sleep = sleep
        self.tree = tree
        self.widened = UNASKED
        self.done = 0                   # the number of branches that are explored

    def put_to_sleep(self, event: Event) -> None:
        """Add the process of the event to the sleep set."""
        assert all(branch.process != event.process for branch in self.tree), (event.number, event.process)
        self.sleep = self.sleep.with_({event.process: event.asleep_by()})

    def has_more(self) -> bool:
        """True if something is left to run first."""
        return bool(self.tree) or self.widened == ASKED_FOR

    def add(self, number: int, plan: Plan | None) -> None:
        """Have that run begin here, unless it is done or planned already; None: have every process that can run first run first."""
        if plan is None:
            self.widened = max(self.widened, ASKED_FOR)
        elif all(plan.first_position(process, accesses) is None for process, accesses in self.sleep.processes.items()):
            insert(self.tree, plan, number)


def insert(tree: list[Branch], plan: Plan, root: int) -> None:
    """Add the plan to a wakeup tree, unless a branch leads to an equivalent of it already. The plan is used up."""
    while plan.steps:
        for branch in tree:
            if plan.first_position(branch.process, branch.steps[0].accesses) is None:
                continue
            for number, step in enumerate(branch.steps):
                position = 0 if plan.steps[0].process == step.process else plan.first_position(step.process, step.accesses)
                if position is None:                    # they part here
                    assert number, branch.process
                    branch.children = [Branch(branch.steps[number:], branch.root, branch.children), Branch(plan.steps, root)]
                    branch.steps = branch.steps[:number]
                    return
                if number == len(branch.steps) - 1 and not branch.children:
                    return
                if plan.tokens:
                    count(plan.tokens, step)
                if position >= 0:
                    plan.drop(position)
                    if not plan.steps:
                        return
            tree = branch.children
            break
        else:
            tree.append(Branch(plan.steps, root))
            return
