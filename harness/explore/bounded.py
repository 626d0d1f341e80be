# SPDX-License-Identifier: MIT
"""Every run with at most N preemptions, except runs that reach a known state.

Musuvathi, Qadeer, "Partial-Order Reduction for Context-Bounded State Exploration" (2007): the beginnings of two runs that order
their dependent events alike end in the same state. If a state was reached before, with the same processes on the cpus and with
no more preemptions, nothing new begins there. Wakeup trees do not help here: reversing races may reach a class that takes few
preemptions only by way of classes that take more.

A bound is for programs with too many classes, or with runs that never end. If running all classes takes little time, that is less
work, and exploration.py tries it first.
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
from vmrace.harness.explore.wakeup import NONE_ASLEEP, Branch, Place, Sleep, Step
from vmrace.harness.machine.machine import Machine

SPENT: Final = "spent"


class Bounded(Optimal):
    """An exploration of all runs with at most `bound` preemptions. It is used like Optimal, but may run a class more than once."""

    def __init__(self, bound: int, routes: Mapping[Name, int] | None, up: bool, locations: Locations | None):
        self.bound = bound
        super().__init__(routes, up, locations)

    def _forget(self) -> None:
        super()._forget()
        self.preemptions = {SPENT: 0}           # of the present run so far; in a table, because the record undoes changes of tables
        # class of the beginning of a run, the process that goes on there, the tasks that have the shared cpus (the class does not say
        # that where a task may lose its cpu at any time) -> the numbers of preemptions it was reached with, and the sleepers there
        self.reached: dict[tuple[int, int, tuple[int, ...]], list[tuple[int, Set[int]]]] = {}

    def _reverse_races(self) -> None:
        """Do nothing: a place has a branch for each process that can run there from the moment it is reached."""

    def put_to_sleep(self, place: Place, event: Event) -> None:
        """Put the process to sleep only if it goes on: another process then comes first only by preempting it."""
        if event.how == GOES_ON:
            super().put_to_sleep(place, event)

    def _goes_on(self, m: Machine, enabled: Container[int]) -> int:
        """Return the process that is preempted if another one is next; NO_PROCESS if none is."""
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
        at, spent, running = len(self.record.events), self.preemptions[SPENT], self._goes_on(m, enabled)
        assert at == len(self.tree.places), (at, len(self.tree.places))
        sleep = self._sleep_here(m, running)
        first = [process for process in sorted(enabled, key=lambda process: (process != running, process))
                 if process not in sleep.processes and (running == NO_PROCESS or process == running or spent < self.bound)]
        if not first or self._was_reached(m, running, spent, sleep.processes.keys()):
            self.blocked = m.aborting = True
            raise Abort
        self._check_length(m, at)
        self.tree.places.append(Place(sleep, [Branch([Step(process, None)], at) for process in first]) if len(first) > 1 else sleep)
        self._count_preemption(running, first[0])
        return (first[0], *enabled[first[0]])

    def _sleep_here(self, m: Machine, running: int) -> Sleep:
        """Return the sleep set: processes that were preempted, and with whose next event no event since then conflicts. Each of them
        could have gone on instead of being preempted."""
        if not self.record.events:
            return NONE_ASLEEP
        last = self.record.events[-1]
        sleep = self.tree.sleep_after(last, self.tree.sleep_at(last.number))
        if running == NO_PROCESS and not last.yields_cpu and not m.current.finished and sleep.processes:
            process = self.record.process_of(m.current)       # it waits for a lock that a sleeping process might have released
            sleep = sleep.after(process, self.locations.announced(self.runnable.pending(process, m.current)))
        return sleep

    def _was_reached(self, m: Machine, running: int, spent: int, asleep: Set[int]) -> bool:
        """True if this state was reached before, with no more preemptions and no more sleepers. If not, remember it."""
        holders = tuple(cpu.running.id if cpu.running is not None else NO_PROCESS for cpu in m.cpus if cpu.number in self.cpus.shared)
        visits = self.reached.setdefault((trace_hash(self), running, holders), [])
        if any(before <= spent and slept <= asleep for before, slept in visits):
            return True
        visits.append((spent, asleep))
        return False

    def _resume(self, m: Machine) -> Choice:
        running = self._goes_on(m, self.runnable.enabled(m))
        chosen = super()._resume(m)
        self.tree.drop_plan()                   # a branch here is one process, without a guess of its accesses
        self._count_preemption(running, chosen[0])
        return chosen

    def _count_preemption(self, running: int, process: int) -> None:
        """Count a preemption if another process than `running`, which could go on, is next."""
        if running != NO_PROCESS and running != process:
            assert self.preemptions[SPENT] < self.bound, (self.preemptions[SPENT], self.bound)
            self.record.set(self.preemptions, SPENT, self.preemptions[SPENT] + 1)

    def _runs_on(self) -> int:
        if self.scout is not None:
            return super()._runs_on()
        return 1 if self.preemptions[SPENT] < self.bound else EVENTS_MAX
