# SPDX-License-Identifier: MIT
"""Wakeup trees and sleep sets: what is to be run first at a place of a run, and what no more (Abdulla et al., POPL 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmrace.harness.explore.access import RIVALS, Access, conflict
from vmrace.harness.explore.event import Event


class Step:
    """An event that is only planned: its process, what it will touch (None if that is not known), what must come before it."""

    __slots__ = ("accesses", "number", "past", "points", "process")

    def __init__(self, process: int, accesses: tuple[Access, ...] | None, past: int = 0, number: int = 0, points: int = 1):
        self.process = process
        self.accesses = accesses
        self.past = past
        self.number = number
        self.points = points


class Plan:
    """A run that is to begin somewhere: events in one of the orders that agree with happens-before. `mask`: the bits of them
    that count in the past of one of them. `planned`: those that are only planned; all others are of the present run, and what
    they touch is in `marks`."""

    __slots__ = ("marks", "mask", "planned", "steps")

    def __init__(self, steps: list[Event | Step], mask: int, planned: list[Event | Step], marks: Mapping[int, Sequence[int]]):
        self.steps = steps
        self.mask = mask
        self.planned = planned
        self.marks = marks

    def before(self, step: Event | Step) -> int:
        return step.past & self.mask & ~(1 << step.number)

    def drop(self, position: int) -> None:
        step = self.steps.pop(position)
        self.mask &= ~(1 << step.number)
        if step in self.planned:
            self.planned.remove(step)

    def starts(self, process: int, accesses: tuple[Access, ...] | None) -> int | None:
        """Can it begin with `process`? The position of that one's first event, or -1 if it has none and is independent of all."""
        for position, step in enumerate(self.steps):
            if step.process == process:
                return None if self.before(step) else position
        if accesses is None:
            return None
        marks, mask = self.marks, self.mask
        for location, mode in accesses:
            mark = marks[location]
            for rival in RIVALS[mode]:
                if mark[rival] & mask:
                    return None
        for step in self.planned:
            if step.accesses is None or conflict(accesses, step.accesses):
                return None
        return -1


class Branch:
    """A node of a wakeup tree: these events are run in this order, then one of `children`. `root`: the number of the place
    that it was planned for."""

    __slots__ = ("children", "root", "steps")

    def __init__(self, steps: Sequence[Event | Step], root: int, children: list[Branch] | None = None):
        self.steps = steps
        self.root = root
        self.children = children or []

    @property
    def process(self) -> int:
        return self.steps[0].process


class Sleep:
    """What must not run first at a place any more: process -> accesses (None: not known). It is never changed."""

    __slots__ = ("locations", "processes")

    def __init__(self, processes: Mapping[int, tuple[Access, ...] | None]):
        self.processes = processes
        self.locations: set[int] | None = None      # that they touch, if that is known of all; made when it is needed

    def with_(self, more: Mapping[int, tuple[Access, ...] | None]) -> Sleep:
        return Sleep({**self.processes, **more})

    def after(self, who: int, accesses: tuple[Access, ...]) -> Sleep:
        """Who still sleeps after an event. A process that runs although it sleeps (where a plan leads to what is known, which is
        not always seen) is no longer at what it was to do."""
        if self.locations is None and None not in self.processes.values():
            self.locations = {location for wanted in self.processes.values() for location, _ in wanted}     # type: ignore[union-attr]
        if self.locations is not None and who not in self.processes:
            for location, _ in accesses:
                if location in self.locations:
                    break
            else:
                return self
        left = {process: wanted for process, wanted in self.processes.items()
                if wanted is not None and process != who and not conflict(wanted, accesses)}
        return Sleep(left) if len(left) < len(self.processes) else self


NOBODY = Sleep({})
UNASKED, ASKED_FOR, DONE = 0, 1, 2


class Place:
    """A place in the present run where there is a choice: what sleeps, and what is to be run first, the present one first.

    `widened`: whether all that can be run first is to be run, since a plan turned out to be impossible."""

    __slots__ = ("done", "sleep", "tree", "widened")

    def __init__(self, sleep: Sleep, tree: list[Branch]):
        self.sleep = sleep
        self.tree = tree
        self.widened = UNASKED
        self.done = 0                   # branches that are explored

    def more(self) -> bool:
        """Is something left to be run first?"""
        return bool(self.tree) or self.widened == ASKED_FOR

    def add(self, number: int, plan: Plan | None) -> bool:
        """Have that run begin here, or all that can if it is not known which. False if that is, or was to be, run anyway."""
        if plan is None:
            new, self.widened = self.widened == UNASKED, max(self.widened, ASKED_FOR)
            return new
        if any(plan.starts(process, accesses) is not None for process, accesses in self.sleep.processes.items()):
            return False
        return insert(self.tree, plan, number)


def insert(tree: list[Branch], plan: Plan, root: int) -> bool:
    """Add the plan, which is used up, to a wakeup tree, unless a branch leads to an equivalent of it already; then False."""
    while plan.steps:
        for branch in tree:
            if plan.starts(branch.process, branch.steps[0].accesses) is None:
                continue
            for number, step in enumerate(branch.steps):
                position = 0 if plan.steps[0].process == step.process else plan.starts(step.process, step.accesses)
                if position is None:                    # they part here
                    branch.children = [Branch(branch.steps[number:], branch.root, branch.children), Branch(plan.steps, root)]
                    branch.steps = branch.steps[:number]
                    return True
                if number == len(branch.steps) - 1 and not branch.children:
                    return False
                if position >= 0:
                    plan.drop(position)
                    if not plan.steps:
                        return False
            tree = branch.children
            break
        else:
            tree.append(Branch(plan.steps, root))
            return True
    return False
