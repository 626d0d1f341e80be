# SPDX-License-Identifier: MIT
"""Optimal dynamic partial-order reduction: one run of each class of schedules, and no run twice.

Abdulla, Aronis, Jonsson, Sagonas, "Optimal Dynamic Partial Order Reduction" (POPL 2014): wakeup trees and sleep sets. Two schedules
are equivalent if they order every two dependent events alike (Mazurkiewicz); equivalent runs have the same findings and end in the
same state. The explorer looks for races in each finished run: two dependent events of different processes that no event between
them orders. For each race it plans a run with the reverse order. The plan goes into the wakeup tree of the place of the first
event, unless a branch there leads, or has led, to an equivalent run.

Processes are the tasks and the interrupts. An exploration has a fixed cpu for each interrupt; routes.py goes through all
assignments. Happens-before is a set of event numbers for each event.

The machine asks for more than the published algorithm has:
  * A lock can be acquired only while it is free, so a release and the acquire after it cannot be reversed. The two acquires can, if
    only that hand-over orders them. The same holds for cpus and interrupt gates (access.py).
  * A finding halts its cpu only: the exploration must see the races of everything that the other cpus would still do.
  * The place where an interrupt can enter depends on the process that its cpu runs, so a planned run may turn out to be impossible.
    Then every process that can run is run first at the place that it was planned for (Flanagan, Godefroid, POPL 2005). This loses no
    class; it may lead to known runs, which are blocked.
  * The work of an event behind its point depends on the values that it reads there. If a reversal may change them, its plan says that
    the event may touch every location that is ever touched without a point. Such a plan may part from a process of which it is
    independent in truth. Then that process does not sleep behind it, and the run may turn out to be known at its end.
  * An access that no other process can notice is no event. Random runs teach which accesses these are, and so does each run; when
    one more access turns out to be shared, the exploration begins again (access.py). It therefore makes no difference to the class
    of a run among which of these accesses an interrupt enters.
  * A run repeats its beginning from the last run at full speed; the explorer watches from the place where the two part. There, too,
    a process runs on: the machine writes down its points, and makes them events when the explorer has to choose (event_builder.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from vmrace.harness import points
from vmrace.harness.errors import Abort
from vmrace.harness.explore.access import MAY_BE_QUIET, Locations
from vmrace.harness.explore.cpus import Cpus, Name
from vmrace.harness.explore.event import EVENTS_MAX as EVENTS_MAX
from vmrace.harness.explore.event import Event, step_of
from vmrace.harness.explore.event_builder import EventBuilder
from vmrace.harness.explore.prefix import Prefix
from vmrace.harness.explore.reversal import Reversal
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.explore.runnable import Choice, Runnable, can_be_acquired
from vmrace.harness.explore.search_tree import SearchTree
from vmrace.harness.explore.spinning import Spinning
from vmrace.harness.explore.wakeup import ASKED_FOR, DONE, NONE_ASLEEP, Branch, Place, Sleep, Step
from vmrace.harness.machine.machine import Machine, m

YIELDS_MAX: Final = 2       # a task that yields more often is left there: see machine.yielded
SCOUTS_MIN = 2              # the least number of random runs before the exploration begins again: learning late costs all earlier runs
SCOUTS_MAX = 100            # the most; between the two, the number of runs that were lost
SCOUTED = 8                 # points for which a process runs on, on average, in a random run


def _never() -> bool:
    return False


def _nothing(result: Any) -> None:
    pass


class Optimal:
    """An exploration of one program. `for run in explorer.runs(execute): ...` where `execute(explorer)` runs the program once.

    After each run `events` has its events, and `blocked` is true if the run was ended early because it turned out to be known.
    """

    explores = True
    yields_max = YIELDS_MAX

    def __init__(self, routes: Mapping[Name, int] | None = None, up: bool = False, locations: Locations | None = None):
        self.locations = locations or Locations(up)     # those of another explorer of the program, which has learned already
        self.locations.forget_processes()
        self.cpus = Cpus(routes or {})
        self.record = RunRecord()
        self.tree = SearchTree(self.record, self.locations)
        self.runnable = Runnable(self.record, self.cpus)
        self.builder = EventBuilder(self.record, self.tree, self.locations, self.cpus, self.runnable)
        self.reversal = Reversal(self.record, self.tree, self.locations, self.cpus, self.runnable)
        self.labels: dict[Any, int] = {}        # see classes.trace_hash
        self.spinning: Spinning | None = None
        self.scout: random.Random | None = None     # makes the decisions of a random run, which is only to teach something
        self.restarts = 0               # the number of times that the exploration began again because something was learned
        self.enough: Callable[[], bool] = _never            # called between two runs: true if the exploration must stop
        self.stopped = False            # `enough` returned true
        self.scouted: Callable[[Any], None] = _nothing      # called with the result of each random run
        self.blocked = self.nothing_left = False
        self._forget()

    def _forget(self) -> None:
        self.record.clear()
        self.tree.clear()
        self.branch = 0                 # the number of the event at which the present run parts from the last one
        self.branch_step = 0
        self.run_count = 0
        self.blocked_count = 0

    @property
    def events(self) -> list[Event]:
        return self.record.events

    # ---- the search ----------------------------------------------------------------------------------------------

    def runs(self, execute: Callable[[Optimal], Any]) -> Iterator[Any]:
        """Execute every run once, until `enough()`. Yield what `execute` returns; None for a run that was blocked."""
        while True:
            if self.enough():
                self.stopped = True
                return
            self._start()
            result = execute(self)
            self._finish(m)
            if not (self.nothing_left or self.learned):
                self.run_count += 1
                self.blocked = self.blocked or m.void
                self.blocked_count += self.blocked
                yield None if self.blocked else result
                self._reverse_races()
            if self.learned:
                lost = self.run_count
                self._start_again()
                self.restarts += 1
                self._scout(execute, min(max(lost, SCOUTS_MIN), SCOUTS_MAX))
            elif not self._backtrack():
                return

    @property
    def learned(self) -> bool:
        """True if the last run taught something that earlier runs were made without: the exploration must begin again."""
        return self.cpus.learned or self.locations.restart

    def _start_again(self) -> None:
        self.locations.forget()
        self._forget()

    def _scout(self, execute: Callable[[Optimal], Any], count: int) -> None:
        """Make `count` random runs, which teach early what would cost all runs before it later."""
        for number in range(count):
            if self.enough():
                return
            self.scouted(self.sample(execute, number))
            self._start_again()

    def sample(self, execute: Callable[[Optimal], Any], seed: int) -> Any:
        """Make one random run with that seed. `events` has its events; the exploration so far is forgotten."""
        self._forget()
        self.scout = random.Random(seed)
        self._start()
        result = execute(self)
        self._finish(m)
        self.scout = None
        return result

    def _reverse_races(self) -> None:
        self.reversal.reverse_races(self.branch)

    def _backtrack(self) -> bool:
        """Go back to the last place with something left to run first. False if there is none."""
        number, events = self.tree.back_to_a_branch(), self.record.events
        if number is None:
            return False
        if number < len(events):
            self.put_to_sleep(self.tree.place(number), events[number])
            self.branch_step = step_of(events[number])
            self.record.take_back(number)
        self.branch = number
        return True

    def put_to_sleep(self, place: Place, event: Event) -> None:
        """Put the process of the event to sleep at that place: all runs that begin with this event there are made."""
        place.put_to_sleep(event)

    # ---- one run: the machine asks for decisions -----------------------------------------------------------------

    def _start(self) -> None:
        self.blocked = self.nothing_left = False    # nothing_left: no process is left to run where the run parts from the last one
        self.misrouted = False          # an interrupt can only go to a cpu of another route, which has this run
        self.only_waiters = False       # the only processes that can run are tasks that go on to wait for ever
        self.cpus.learned = False
        self.limit = False              # the run has more than EVENTS_MAX events or points
        self.reversal.waiting = []
        self.builder.start()
        self.tree.drop_plan()
        self.live = not self.tree.places    # the explorer watches the run; before that the run repeats the last one

    def begin(self, m: Machine) -> None:
        self.cpus.shared = {cpu.number for cpu in m.cpus if cpu.shared}
        if not self.tree.places:
            for _ in m.pending:
                self.builder.raise_interrupt((-1,), -1)
        self.prefix = Prefix(self.record, self.branch_step)
        self.tree.tokens.begin(m)
        if self.live:
            self._watch(m)
        else:
            self.prefix.want_next(m)

    def _watch(self, m: Machine) -> None:
        """Watch every point from here on."""
        self.live = True
        self.builder.watch(m)
        m.follow(self.builder.trail)
        function_of = m.image.function_of
        if function_of is not None:
            if self.spinning is None:
                self.spinning = Spinning(function_of)
            self.spinning.begin()
            m.spinning = self.spinning

    def at(self, m: Machine) -> int:
        if self.live:
            if self.only_waiters:
                return m.current.id
            task, current = m.current, self.builder.current
            assert task.at is not None
            kind, obj, arg = task.at
            assert current is not None
            goes_on = False
            if kind == points.ACQUIRE:
                if getattr(obj, "owner", None) is task or not can_be_acquired(obj, arg, task):
                    return self._decide(m, False)
                goes_on = m.step < m.wanted
            if goes_on or (kind in MAY_BE_QUIET and m.step < EVENTS_MAX and self.locations.visible(current.process, task.at) is None):
                self.builder.trail += (task.at, task.held)
                return task.id
        elif self.prefix.switches:
            return self.prefix.answer(m)
        else:
            self._watch(m)
        return self._decide(m, False)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if not self.live:
            if self.prefix.forced:
                return self.prefix.forced.pop()
            self._watch(m)
        decision = -1 if self.only_waiters else self._decide(m, True)
        return self._let_wait(m, choices) if self.only_waiters else decision

    def _let_wait(self, m: Machine, choices: Sequence[int]) -> int:
        """Return the decision for a task that goes on to the point where it waits for ever."""
        tasks = [choice for choice in choices if choice < len(m.tasks)]
        if not tasks:
            self.misrouted = m.aborting = True
            raise Abort
        return tasks[0]

    def wake(self, m: Machine) -> None:
        self.builder.woke_or_raised(m)

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        self.builder.touched(m, what, kind)

    def ended(self, m: Machine) -> None:
        """Note that no process can go on, though not all have ended: a waiting process races with the holder of its lock."""
        self._close_last(m)
        if not self.only_waiters:
            self.reversal.find_waiting(m)
            self.only_waiters = True
            m.follow(None)

    def _finish(self, m: Machine) -> None:
        """Close the last event, and learn which tasks interrupts found to be `current`."""
        self._close_last(m)
        if m.looked:
            self.locations.watch({task.id for task in m.tasks if task.cpu.number in m.looked})

    def _close_last(self, m: Machine) -> None:
        if self.builder.current is not None:
            self.builder.advance(m).yields_cpu = True
            self.builder.close(m)

    @property
    def rerouted(self) -> bool:
        """True if the last run belongs to another route, too: an interrupt that this route sends to another cpu never entered."""
        return self.cpus.is_of_another_route(self.record.events)

    # ---- decisions -----------------------------------------------------------------------------------------------

    def _decide(self, m: Machine, asked: bool) -> int:
        """End the running event and choose the next process. `asked`: the running task cannot go on."""
        builder = self.builder
        if builder.current is not None:
            event = builder.advance(m)
            if asked:
                event.yields_cpu = True
            assert m.fair is not None or m.step == event.step + event.points - asked, (m.step, event.step)     # no point was left out
            builder.close(m)
        chosen = self._resume(m) if len(self.record.events) < len(self.tree.places) else self._open(m)
        if chosen is None:
            return m.current.id
        builder.begin(m, chosen, asked)
        m.want(m.step + 1 if self.cpus.shared else min(m.step + self._runs_on(), EVENTS_MAX))
        return chosen[1]

    def _runs_on(self) -> int:
        """Return the number of points for which the chosen process runs on before another choice."""
        if self.scout is not None:
            return int(self.scout.expovariate(1 / SCOUTED)) + 1
        return self.tree.points_of_next()

    def _resume(self, m: Machine) -> Choice:
        """Choose the next branch at the place where the present run parts from the last one."""
        at, tree = len(self.record.events), self.tree
        assert at == self.branch, (at, self.branch)
        place = tree.place(at)
        branches = place.tree
        while True:
            if branches:
                chosen = self.runnable.choice(m, branches[0].process)
                if chosen is not None:
                    tree.follow(branches[0], at)
                    return chosen
                tree.plan_at(branches.pop(0).root, None)    # the plan is impossible: every process that can run there runs first instead
            elif place.widened == ASKED_FOR:
                place.widened = DONE
                branches += [Branch([Step(process, None)], at) for process in self.runnable.enabled(m)
                             if process not in place.sleep.processes]
            else:
                self.nothing_left = m.aborting = True
                raise Abort

    def _open(self, m: Machine) -> Choice | None:
        """Choose at a place that no run has reached. None if the run ends here."""
        tree, at = self.tree, len(self.record.events)
        sleep = tree.sleep_after(self.record.events[-1], tree.sleep_at(at - 1)) if at else NONE_ASLEEP
        branches: list[Branch] = []
        chosen = tree.next_planned(m, at, self.runnable, branches)
        if chosen is None:
            tree.drop_plan()
            chosen = self._awake(m, sleep)
            if chosen is None:
                return None
        self._check_length(m, at)
        tree.places.append(Place(sleep, branches) if len(branches) > 1 else sleep)
        return chosen

    def _check_length(self, m: Machine, at: int) -> None:
        if at >= EVENTS_MAX or m.step >= EVENTS_MAX:
            self.limit = m.aborting = True
            raise Abort

    def _awake(self, m: Machine, sleep: Sleep) -> Choice | None:
        """Choose a process that does not sleep, without a plan: the running process if it can go on. None if no process can run."""
        asleep, scout, runnable = sleep.processes, self.scout, self.runnable
        chosen = runnable.preferred(m, asleep) if scout is None else None
        if chosen is not None:
            return chosen
        enabled = runnable.enabled(m)
        awake = [process for process in enabled if process not in asleep]
        if awake:
            process = min(awake) if scout is None else scout.choice(sorted(awake))
            return (process, *enabled[process])
        if enabled:
            self.reversal.find_waiting(m)    # a process that waits for a lock need not wait if it comes before the holder
            self.blocked = m.aborting = True
            raise Abort
        self.ended(m)
        return None
