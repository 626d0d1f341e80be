# SPDX-License-Identifier: MIT
"""The places of the present run, each with its sleep set and wakeup tree, and the plan that the run follows."""

from __future__ import annotations

from vmrace.harness.explore.access import Access, Locations
from vmrace.harness.explore.event import EVENTS_MAX, Event
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.explore.runnable import Choice, Runnable
from vmrace.harness.explore.tokens import Tokens
from vmrace.harness.explore.wakeup import NONE_ASLEEP, Branch, Place, Plan, Sleep, Step
from vmrace.harness.machine.machine import Machine


class SearchTree:
    """The places of the run in `record`: `places[number]` is the place before the event with that number.

    A place with only one branch is just its sleep set; `place()` makes a Place of it when a second branch comes. `plan` is the branch
    that the run follows, and `planned_at` the number of its first event. `promised` has the planned accesses of these events: a
    guess if the reversal changed what an event reads.
    """

    def __init__(self, record: RunRecord, locations: Locations):
        self.record = record
        self.tokens = Tokens(record, locations)
        self.clear()

    def clear(self) -> None:
        """Forget all places."""
        self.places: list[Place | Sleep] = []
        self.drop_plan()

    def drop_plan(self) -> None:
        """Follow no plan from here on."""
        self.plan: Branch | None = None
        self.planned_at = 0
        self.promised: dict[int, tuple[Access, ...] | None] = {}

    def follow(self, plan: Branch, at: int) -> None:
        """Follow that plan. Its first event has the number `at`."""
        self.plan, self.planned_at = plan, at
        self.promised = {number: step.accesses for number, step in enumerate(plan.steps, at) if isinstance(step, Step)}

    def place(self, number: int) -> Place:
        """Return the place before that event as a Place, to which branches can be added."""
        place = self.places[number]
        if not isinstance(place, Place):
            place = self.places[number] = Place(place, [Branch([self.record.events[number]], number)])
        return place

    def back_to_a_branch(self) -> int | None:
        """Drop the last places, back to one with something left to run first. Return its number; None if there is none.

        Each place loses the branch that was run.
        """
        places = self.places
        while places:
            place, number = places[-1], len(places) - 1
            if isinstance(place, Place):
                if number < len(self.record.events):
                    branch = place.tree.pop(0)
                    assert branch.process == self.record.events[number].process, (number, branch.process)
                    place.done += 1
                if place.has_more():
                    return number
            places.pop()
        return None

    def plan_at(self, number: int, plan: Plan | None) -> None:
        """Have that run begin at the place before that event; None: have every process that can run first run first there."""
        self.place(number).add(number, plan)

    def sleep_at(self, number: int) -> Sleep:
        """Return the sleep set of the place before that event."""
        place = self.places[number]
        return place.sleep if isinstance(place, Place) else place

    def sleep_after(self, event: Event, sleep: Sleep) -> Sleep:
        """Return the processes of `sleep` that still sleep after the event.

        A planned event wakes the processes that conflict with its guess, too, because the plan may have parted from them only for that.
        """
        if event.number in self.promised:
            promised = self.promised[event.number]
            sleep = NONE_ASLEEP if promised is None else sleep.after(event.process, promised)
        if not sleep.processes:
            return sleep
        sleep = sleep.after(event.process, event.accesses)
        used_up = self.tokens.used_up(event) if self.tokens.first else None
        return sleep if used_up is None else sleep.without(used_up)

    def next_planned(self, m: Machine, at: int, runnable: Runnable, branches: list[Branch]) -> Choice | None:
        """Return the choice of the next process of the plan; None if there is no plan, or that process cannot run.

        If the plan ends in several branches, add those whose process can run to `branches`, and follow the first of them.
        """
        plan = self.plan
        if plan is None:
            return None
        step, length = at - self.planned_at, len(plan.steps)
        assert step >= 0, (at, self.planned_at)
        if step < length:
            chosen = runnable.choice(m, plan.steps[step].process)
            if chosen is None:
                self.plan_at(plan.root, None)
            return chosen
        chosen = None
        if step == length:
            children, plan.children = plan.children, []
            for branch in children:
                choice = runnable.choice(m, branch.process)
                if choice is None:
                    self.plan_at(branch.root, None)
                else:
                    chosen = chosen or choice
                    branches.append(branch)
            if branches:
                self.follow(branches[0], at)
        return chosen

    def points_of_next(self) -> int:
        """Return the number of points for which the plan has its next process run before another choice."""
        if self.plan is None:
            return EVENTS_MAX
        steps, number = self.plan.steps, len(self.record.events) - self.planned_at
        assert 0 <= number < len(steps), (number, len(steps))
        process, count = steps[number].process, 0
        while number < len(steps) and steps[number].process == process:
            count += steps[number].points
            number += 1
        return EVENTS_MAX if number == len(steps) and not self.plan.children else count
