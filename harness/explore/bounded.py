# SPDX-License-Identifier: MIT
"""Every run with at most so many preemptions, but for those that come to what is known.

Musuvathi, Qadeer, "Partial-Order Reduction for Context-Bounded State Exploration" (2007): the beginnings of two runs that order
their dependent events alike end in the same state. From one that was reached before, with the same processes on the cpus and with
no more preemptions, nothing new begins. Wakeup trees are of no use here: a class that is possible with few preemptions
may only be found, by reversing races, by way of others that take more of them.

So this is what a bound is for: the runs of a program that has too many classes, or runs without end. Where all classes are
soon run, that is less work (exploration.py begins with that).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Set
from typing import Final

from vmrace.harness.errors import Abort
from vmrace.harness.explore.access import Locations
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.cpus import Name
from vmrace.harness.explore.event import EVENTS_MAX, GOES_ON, NO_PROCESS, Event
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.runnable import Choice
from vmrace.harness.explore.wakeup import NOBODY, Branch, Place, Sleep, Step
from vmrace.harness.machine.machine import Machine

SPENT: Final = "spent"


class Bounded(Optimal):
    """As Optimal. After each run `events` holds it; more than one may be of the same class."""

    def __init__(self, bound: int, routes: Mapping[Name, int] | None, up: bool, locations: Locations | None):
        self.bound = bound
        super().__init__(routes, up, locations)

    def _forget(self) -> None:
        super()._forget()
        self.preemptions = {SPENT: 0}           # in the present run so far; a table, as what is set is undone in tables
        # class of a beginning, who goes on there, who has the cpus that are shared (which that class does not say where they may
        # be lost at any time) -> with how many preemptions it was reached, and who slept there
        self.reached: dict[tuple[int, int, tuple[int, ...]], list[tuple[int, Set[int]]]] = {}

    def _reverse_races(self) -> None:
        """Nothing: what can come first at a place is known when it is reached."""

    def put_to_sleep(self, place: Place, event: Event) -> None:
        if event.how == GOES_ON:                # others come first only by preempting its process
            super().put_to_sleep(place, event)

    def _goes_on(self, m: Machine, enabled: Container[int]) -> int:
        """The process that is preempted if another one is next."""
        if not self.record.events or self.record.events[-1].yields_cpu:
            return NO_PROCESS
        process = self.record.process_of(m.current)
        return process if process in enabled else NO_PROCESS

    def _open(self, m: Machine) -> Choice | None:
        if self.scout is not None:
            return super()._open(m)
        enabled = self.runnable.enabled(m)
        if not enabled:
            self.ended(m)
            return None
        at, spent, mine = len(self.record.events), self.preemptions[SPENT], self._goes_on(m, enabled)
        sleep = self._sleep_here(m, mine)
        first = [process for process in sorted(enabled, key=lambda process: (process != mine, process))
                 if process not in sleep.processes and (mine == NO_PROCESS or process == mine or spent < self.bound)]
        if not first or self._was_reached(m, mine, spent, sleep.processes.keys()):
            self.blocked = m.aborting = True
            raise Abort
        self._check_length(m, at)
        self.tree.places.append(Place(sleep, [Branch([Step(process, None)], at) for process in first]) if len(first) > 1 else sleep)
        self._pay(mine, first[0])
        return (first[0], *enabled[first[0]])

    def _sleep_here(self, m: Machine, mine: int) -> Sleep:
        """Who was preempted, and nothing has happened since that what it was to do depends on: it could have done that before."""
        if not self.record.events:
            return NOBODY
        last = self.record.events[-1]
        sleep = self.tree.sleep_after(last, self.tree.sleep_at(last.number))
        if mine == NO_PROCESS and not last.yields_cpu and not m.current.finished and sleep.processes:
            process = self.record.process_of(m.current)       # it waits for a lock, which somebody might have given back
            sleep = sleep.after(process, self.locations.announced(self.runnable.pending(process, m.current)))
        return sleep

    def _was_reached(self, m: Machine, mine: int, spent: int, asleep: Set[int]) -> bool:
        """Begins nothing here that is not known? If so, that is known from now on."""
        has = tuple(cpu.running.id if cpu.running is not None else NO_PROCESS for cpu in m.cpus if cpu.number in self.cpus.shared)
        known = self.reached.setdefault((trace_hash(self), mine, has), [])
        if any(before <= spent and slept <= asleep for before, slept in known):
            return True
        known.append((spent, asleep))
        return False

    def _resume(self, m: Machine) -> Choice:
        mine = self._goes_on(m, self.runnable.enabled(m))
        chosen = super()._resume(m)
        self.tree.drop_plan()                   # a branch is one process here, and no guess
        self._pay(mine, chosen[0])
        return chosen

    def _pay(self, mine: int, process: int) -> None:
        if mine != NO_PROCESS and mine != process:
            self.record.set(self.preemptions, SPENT, self.preemptions[SPENT] + 1)

    def _runs_on(self) -> int:
        if self.scout is not None:
            return super()._runs_on()
        return 1 if self.preemptions[SPENT] < self.bound else EVENTS_MAX
