# SPDX-License-Identifier: MIT
"""Optimal dynamic partial-order reduction: one run of each class of equivalent schedules, and no run twice.

Abdulla, Aronis, Jonsson, Sagonas, "Optimal Dynamic Partial Order Reduction" (POPL 2014): wakeup trees and sleep sets. Two
schedules are equivalent if they order every two dependent events alike (Mazurkiewicz); equivalent runs have the same
findings and end in the same state. A finished run is searched for races (two dependent events of different processes with
nothing between that orders them); for each, the reverse order is put into the wakeup tree of the place where the first
of the two happened, unless what is there or has been there leads to it already.

Processes are the tasks and the interrupts. A cpu that an interrupt is raised for may not be chosen twice, so `routes` fixes
it beforehand (see verify.py: all routes are explored). Happens-before is a bit set of event numbers for each event.

What is special here:
  * Taking a lock is possible only while it is free, so an unlock and the lock after it cannot be reversed; the two locks
    can, if nothing but that hand-over orders them. The same holds for cpus and interrupt gates (access.py).
  * A finding halts its cpu, no more: the races of what the others would still do must be seen.
  * Where an interrupt can enter depends on what runs on its cpu, so a planned run may turn out to be impossible. Then all that
    could run first at the place it was planned for is run first there (Flanagan, Godefroid, POPL 2005): that is never wrong,
    and may come to runs that are known already, which are blocked.
  * What an event does behind its point depends on what it reads there. Where a reversal may change that, its plan says that it may
    touch all that is ever touched without a point. Such a plan may part from a process that it does not depend on, in truth; so
    that one does not sleep behind it either, and the run may turn out to be known at its end.
  * What nobody else can tell is no event: it is learned which accesses these are, by random runs and as one goes, and whenever
    more of them turn out to be shared, all begins again (access.py). So where an interrupt enters among them makes no class.
  * Runs repeat a prefix of the last run at full speed and are only watched from where they differ. Even there a process runs on
    at its own: the machine writes down its points (the trail), and what they come to is worked out when somebody has to choose.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from vmrace.harness import points
from vmrace.harness.errors import Abort
from vmrace.harness.explore.access import (
    BEGIN,
    CONFLICTS,
    END,
    GIVE,
    GIVE_SHARED,
    GIVES,
    LEAVE_SHARED,
    MAY_BE_QUIET,
    PART_READ,
    PART_WRITE,
    PASS,
    PASS_ALONE,
    READ,
    RIVALS,
    TAKE,
    TAKE_SHARED,
    TAKES,
    TRY,
    WRITE,
    Access,
    Locations,
    Point,
    conflict,
    touched_mode,
)
from vmrace.harness.explore.event import ASKED, EVENTS_MAX, NEVER_GIVEN, SWITCH, Event, Taking, step_of
from vmrace.harness.explore.spinning import Read, Spinning
from vmrace.harness.explore.wakeup import ASKED_FOR, DONE, NOBODY, Branch, Place, Plan, Sleep, Step
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.task import HALTED, IRQ_DEPTH_MAX, NEVER, PARK, PARKED, SLEEPING, TASKS_MAX, Task, preemptible

YIELDS_MAX: Final = 2       # a task that yields more often is left there: see machine.yielded
SCOUTS_MIN = 2              # random runs before it starts again: what is learned late is learned at the cost of all that was run
SCOUTS_MAX = 100            # as many as were worth nothing, but no more than that
SCOUTED = 8                 # points at a time, on average, in such a run

IRQS_FROM = TASKS_MAX       # the number of the first process that is an interrupt; below are tasks
Choice = tuple[int, int, Task]              # a process, the decision that lets it run, and the task it runs on

Name = tuple[Any, ...]
# mode -> those it comes after: all of its rivals, unless one can only take it over from them
MEETS = [tuple(rival for rival in rivals if not (TAKES >> mode & 1 and GIVES >> rival & 1)) for mode, rivals in enumerate(RIVALS)]
_NOTHING: Point = (points.LOCAL, None, None)
_UNSEEN: Any = object()


def _never() -> bool:
    return False


def _nothing(result: Any) -> None:
    pass


def _no_marks() -> list[int]:
    return [0] * len(RIVALS)


class Optimal:
    """An exploration of one program. `for run in explorer.runs(execute): ...` where `execute(explorer)` runs the program once.

    After each run `events` holds it, `blocked` says that it was left halfway, as it turned out to be known.
    """

    explores = True
    yields_max = YIELDS_MAX

    def __init__(self, routes: Mapping[Name, int] | None = None, up: bool = False, locations: Locations | None = None):
        self.routes = routes or {}      # interrupt -> cpu; those not in it go to cpu 0
        self.locations = locations or Locations(up)     # what another explorer of the program has learned is good for this one
        self.locations.forget_processes()
        self.names: dict[Name, int] = {}        # of interrupts: (who raises it, how many before) -> process
        self.irq_name: dict[int, Name] = {}
        self.gated: dict[int, int] = {}         # cpu -> how deep interrupts can be nested there, if any come to it
        self.unsaid: dict[Any, tuple[tuple[Access, ...], list[tuple[int, tuple[int, ...]]]]] = {}
        self.labels: dict[Any, int] = {}        # see classes.trace_hash
        self.spinning: Spinning | None = None
        self.scout: random.Random | None = None     # what decides, in a run that only is to teach something
        self.restarts = 0               # how often the exploration began again, for something was learned
        self.enough: Callable[[], bool] = _never            # asked between two runs: must the exploration stop?
        self.stopped = False            # it was told to
        self.scouted: Callable[[Any], None] = _nothing      # hears of each random run
        self.blocked = self.nothing = False
        self._forget()

    def _forget(self) -> None:
        self.events: list[Event] = []
        self.turns: list[Event] = []            # those for which the machine had to be told something
        self.places: list[Place | Sleep] = []   # of each event: what sleeps, if there is nothing else to be said
        self.marks: defaultdict[int, list[int]] = defaultdict(_no_marks)        # location -> mode -> the bits of all such events
        self.takings: defaultdict[int, list[Taking]] = defaultdict(list)        # location -> who has taken it, in order
        self.last: dict[int, Event | None] = {}                 # process -> its last event
        self.woken: dict[int, int] = {}                         # process -> the event that let it go on
        self.undo: list[tuple[int, dict[Any, Any], Any, Any]] = []      # event, table, key, what was there before the event changed it
        self.irqs: list[tuple[int, int]] = []                   # irq number -> process, the event that raised it or -1
        self.raised: dict[int, int] = {}                        # process -> how many it has raised
        self.parks: list[tuple[int, int, list[Read]]] = []      # event after which its task is parked, the step of that, what it reads
        self.branch = 0
        self.branch_step = 0
        self.run_count = 0
        self.blocked_count = 0

    # ---- the search ----------------------------------------------------------------------------------------------

    def runs(self, execute: Callable[[Optimal], Any]) -> Iterator[Any]:
        """Execute every run once, until `enough()`. What `execute` gives is yielded, but for runs that were blocked (None)."""
        while True:
            if self.enough():
                self.stopped = True
                return
            self._start()
            result = execute(self)
            self._finish(m)
            if not (self.nothing or self._learned()):
                self.run_count += 1
                self.blocked = self.blocked or m.void
                self.blocked_count += self.blocked
                yield None if self.blocked else result
                self._reverse_races()
            if self._learned():
                worthless = self.run_count
                self._start_again()
                self.restarts += 1
                self._scout(execute, min(max(worthless, SCOUTS_MIN), SCOUTS_MAX))
            elif not self._backtrack():
                return

    def _learned(self) -> bool:
        return self.learned or self.locations.restart

    def _start_again(self) -> None:
        self.locations.forget()
        self._forget()

    def _scout(self, execute: Callable[[Optimal], Any], count: int) -> None:
        """Make random runs: what is learned late is learned at the cost of all that was run before."""
        for number in range(count):
            if self.enough():
                return
            self.scouted(self.sample(execute, number))
            self._start_again()

    def sample(self, execute: Callable[[Optimal], Any], seed: int) -> Any:
        """Make one random run, from nothing; `events` holds it."""
        self._forget()
        self.scout = random.Random(seed)
        self._start()
        result = execute(self)
        self._finish(m)
        self.scout = None
        return result

    def _backtrack(self) -> bool:
        """Go to the last place with something left to run first."""
        places = self.places
        while places:
            place = places[-1]
            if isinstance(place, Place):
                number = len(places) - 1
                event = self.events[number] if number < len(self.events) else None
                if event is not None:
                    place.tree.pop(0)
                    place.done += 1
                if place.more():
                    if event is not None:
                        self.put_to_sleep(place, event)
                        self.branch_step = step_of(event)
                        self.take_back(number)
                    self.branch = number
                    return True
            places.pop()
        return False

    def put_to_sleep(self, place: Place, event: Event) -> None:
        """All that begins with it there is run."""
        place.sleep = place.sleep.with_({event.process: event.asleep_by()})

    def place(self, number: int) -> Place:
        place = self.places[number]
        if not isinstance(place, Place):
            place = self.places[number] = Place(place, [Branch([self.events[number]], number)])
        return place

    def take_back(self, number: int) -> None:
        """That event, and those after it."""
        events, undo, last = self.events, self.undo, self.last
        while undo and undo[-1][0] >= number:
            _, table, key, old = undo.pop()
            if old is None:
                del table[key]
            else:
                table[key] = old
        marks, before = self.marks, (1 << number) - 1
        for event in reversed(events[number:]):
            last[event.process] = event.before
            for location, mode in event.accesses:
                marks[location][mode] &= before
                if TAKE <= mode <= TRY:
                    self._untake(event, location)
        del events[number:]
        while self.turns and self.turns[-1].number >= number:
            self.turns.pop()
        while self.irqs and self.irqs[-1][1] >= number:
            self.irqs.pop()
        while self.parks and self.parks[-1][0] >= number:
            self.parks.pop()

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self.undo.append((len(self.events), table, key, table.get(key)))
        table[key] = value

    # ---- one run -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.blocked = False
        self.nothing = False            # nothing turned out to be left to run
        self.misrouted = False          # an interrupt can only go where its route does not lead: another route has this run
        self.drains = False             # nobody can run any more, but for going to wait for ever
        self.learned = False
        self.limit = False
        self.waiting: list[Event] = []          # what never came about: see ended
        self.current: Event | None = None
        self.trail: list[Any] = []              # points of the process that runs, since `current`, and what it held there
        self.inner: Point | None = None         # the quiet point that `current` is at, if it is, and what it held there
        self.inner_held: Any = None
        self.plan: Branch | None = None         # what is to be run, and the number of the event that its first step is for
        self.planned_at = 0
        self.promised: dict[int, tuple[Access, ...] | None] = {}        # event -> what it was planned to touch, if that was a guess
        self.before = 0, False, True, False     # of `current`: how deep in interrupts, are they off, does it have its cpu, for itself
        self.live = not self.places

    def begin(self, m: Machine) -> None:
        self.multi = {cpu.number for cpu in m.cpus if cpu.shared}
        if not self.places:
            for _ in m.pending:
                self._name_irq((-1,), -1)
        self.asleep: set[int] = set()
        self.found = self.noted = self.since = 0
        turns = [(event.number, event.step, event.decision) for event in self.turns if event.how == SWITCH]
        turns += [(number + 1, step, PARK) for number, step, _ in self.parks]   # before the switch, if any, that the next event begins with
        self.pre_switches = [(step, decision) for _, step, decision in sorted(turns, reverse=True)]
        self.pre_reads = [reads for _, _, reads in reversed(self.parks)]
        self.pre_forced = [event.decision for event in reversed(self.turns) if event.how == ASKED]
        if self.live:
            self._watch(m)
        else:
            self._want_next(m)

    def _watch(self, m: Machine) -> None:
        """From here on see every point."""
        m.follow(self.trail)
        function_of = m.image.function_of
        if function_of is not None:
            if self.spinning is None:
                self.spinning = Spinning(function_of)
            self.spinning.begin()
            m.spinning = self.spinning

    def _want_next(self, m: Machine) -> None:
        """In the prefix: be asked at the next switch, then where the new part begins."""
        m.want(self.pre_switches[-1][0] if self.pre_switches else self.branch_step if self.branch_step >= 0 else NEVER)

    def at(self, m: Machine) -> int:
        if self.live:
            if self.drains:
                return m.current.id
            task = m.current
            assert task.at is not None
            kind, obj, arg = task.at
            assert self.current is not None
            if kind == points.ACQUIRE:
                if getattr(obj, "owner", None) is task or not _can_be_taken(obj, arg, task):
                    return self._decide(m, False)
                goes_on = m.step < m.wanted
            else:
                goes_on = False
            if goes_on or (kind in MAY_BE_QUIET and m.step < EVENTS_MAX and self.locations.seen(self.current.process, task.at) is None):
                self.trail += (task.at, task.held)
                return task.id
        elif self.pre_switches:
            decision = self.pre_switches.pop()[1]
            if decision == PARK:
                m.current.reads = self.pre_reads.pop()
            self._want_next(m)
            return decision
        else:
            self._go_live(m)
        return self._decide(m, False)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if not self.live:
            if self.pre_forced:
                return self.pre_forced.pop()
            self._go_live(m)
        decision = -1 if self.drains else self._decide(m, True)
        return self._drain(m, choices) if self.drains else decision

    @property
    def rerouted(self) -> bool:
        """The last run is of another route as well: an interrupt that this one sends elsewhere never entered."""
        entered = {event.process for event in self.events if event.enters}
        return any(cpu and self.names.get(name) not in entered for name, cpu in self.routes.items())

    def _drain(self, m: Machine, choices: Sequence[int]) -> int:
        """Somebody who waits for ever goes and does so."""
        tasks = [choice for choice in choices if choice < len(m.tasks)]
        if not tasks:
            self.misrouted = m.aborting = True
            raise Abort
        return tasks[0]

    def wake(self, m: Machine) -> None:
        """Somebody was woken, or an interrupt raised, by the running event."""
        if self.current is None or not (self.asleep or len(self.irqs) < m.irqs_raised):
            return
        event = self._advance()
        for id in [id for id in self.asleep if m.tasks[id].waiting is not SLEEPING]:
            self._speak()
            self.asleep.discard(id)
            self._set(self.woken, id, event.number)
            where = m.tasks[id].cpu.number
            if where in self.multi:
                event.grows()
                event.accesses += ((self.locations.number(("ready", where)), WRITE),)
        while len(self.irqs) < m.irqs_raised:
            self._speak()
            raiser = self.irq_name.get(event.process, (event.process,))
            before = self.raised.get(event.process, 0)
            self._set(self.raised, event.process, before + 1)
            self._name_irq((*raiser, before), event.number)

    def _name_irq(self, name: Name, event: int) -> None:
        if event < 0:
            name = (*name, len(self.irqs))
        self.irqs.append((self.process_of_name(name), event))

    def process_of_name(self, name: Name) -> int:
        process = self.names.get(name)
        if process is None:
            process = self.names[name] = IRQS_FROM + len(self.names)
            self.irq_name[process] = name
            cpu = self.routes.get(name, 0)
            if self.gated.get(cpu, 0) < IRQ_DEPTH_MAX:
                self.gated[cpu] = self.gated.get(cpu, 0) + 1
                self.learned = True
        return process

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        if self.current is not None:
            event = self._advance()
            if self.locations.is_moot(what, kind) or self._was_announced(event, (self.locations.number(what), touched_mode(kind))):
                return
            self._speak()
            event.grows()
            event.accesses += (self.locations.touched(what, kind),)

    def _was_announced(self, event: Event, access: Access) -> bool:
        """True if the point that runs has said that already."""
        return access in (event.accesses if self.inner is None else self.locations.announced(self.inner))

    def _speak(self) -> None:
        """Others can tell that the running point is passed."""
        if self.inner is not None:
            self.locations.speak(self.inner)
            self.inner = None

    def _shuts(self, m: Machine, held: Any) -> None:
        """The point before was taken to be quiet: is an interrupt, or another task of the cpu, shut out only after it?"""
        was = self.inner_held
        gate = self.task.cpu.number in self.gated and held.irqs_off and not was.irqs_off
        cpu = m.preempt and (held.irqs_off or held.spinning) and not (was.irqs_off or was.spinning)
        if gate or cpu:
            self._speak()

    def _go_live(self, m: Machine) -> None:
        self.live = True
        self.found, self.noted = len(m.findings), len(m.notes)
        self.since = len(self.events)
        self.asleep = {task.id for task in m.tasks if task.waiting is SLEEPING and not task.finished}
        self._watch(m)

    def _decide(self, m: Machine, asked: bool) -> int:
        """The running event is over: which process is next?"""
        if self.current is not None:
            event = self._advance()
            if asked:
                event.free = True
            assert m.fair is not None or m.step == event.step + event.points - asked, (m.step, event.step)     # no point was left out
            self._close(m)
        at = len(self.events)
        chosen = self._resume(m) if at < len(self.places) else self._open(m)
        if chosen is None:
            return m.current.id
        process, decision, task = chosen
        enters = decision >= len(m.tasks)
        pending: tuple[int, Any, Any] = _NOTHING if enters else self._pending(process, task)
        accesses = self.locations.seen(process, pending)
        if pending[0] == points.WAKE or pending[0] == points.ACQUIRE:
            accesses = self.locations.of(*pending, task)
        self.current = event = Event(at, process, task.cpu.number, m.step, pending, accesses or (), self.last.get(process))
        if asked or decision != m.current.id:
            event.how, event.decision = ASKED if asked else SWITCH, decision
        if pending[0] == points.TRYLOCK:
            event.got = getattr(pending[1], "owner", None) is None
        self.task = task
        if self.gated or self.multi:
            runs = task.cpu.running is task
            if enters:
                event.enters = True
                if runs:
                    event.over = self._process_of(task)
                    event.interrupted = task, self._pending(event.over, task), task.irq_depth
            self.before = task.irq_depth + enters, task.held.irqs_off and not enters, runs, m.preempt and runs and not preemptible(task)
        m.want(m.step + 1 if self.multi else min(m.step + self._runs_on(process), EVENTS_MAX))
        return decision

    def _runs_on(self, process: int) -> int:
        """Over how many points at a time it is planned to run now, with the one that begins."""
        if self.scout is not None:
            return int(self.scout.expovariate(1 / SCOUTED)) + 1
        if self.plan is None:
            return EVENTS_MAX
        steps, number = self.plan.steps, len(self.events) - self.planned_at
        count = steps[number].points
        number += 1
        while number < len(steps) and steps[number].process == process:
            count += steps[number].points
            number += 1
        return EVENTS_MAX if number == len(steps) and not self.plan.children else count

    def _resume(self, m: Machine) -> Choice:
        """At the place where the present run leaves the last one: what is left there to be run first."""
        at = len(self.events)
        place = self.place(at)
        tree = place.tree
        while True:
            if tree:
                chosen = self._choice(m, tree[0].process)
                if chosen is not None:
                    self._follow(tree[0], at)
                    return chosen
                self.plan_at(tree.pop(0).root, None)    # it was planned, but cannot be: what is there instead is to be run
            elif place.widened == ASKED_FOR:
                place.widened = DONE
                tree += [Branch([Step(process, None)], at) for process in self._enabled(m) if process not in place.sleep.processes]
            else:                                       # nothing turns out to be left
                self.nothing = m.aborting = True
                raise Abort

    def _open(self, m: Machine) -> Choice | None:
        """A new place. None if the run ends here."""
        at = len(self.events)
        sleep = self._sleep_after(self.events[-1], self._sleep_at(at - 1)) if at else NOBODY
        tree: list[Branch] = []
        chosen = self._planned(m, at, tree) if self.plan is not None else None
        if chosen is None:
            self.plan = None
            self.promised = {}
            chosen = self._awake(m, sleep)
            if chosen is None:
                return None
        self._check_length(m, at)
        self.places.append(Place(sleep, tree) if len(tree) > 1 else sleep)
        return chosen

    def _check_length(self, m: Machine, at: int) -> None:
        if at >= EVENTS_MAX or m.step >= EVENTS_MAX:
            self.limit = m.aborting = True
            raise Abort

    def _awake(self, m: Machine, sleep: Sleep) -> Choice | None:
        """Where nothing is planned: who runs goes on if it can. None if nobody can."""
        asleep, scout = sleep.processes, self.scout
        if scout is None:
            mine = self._process_of(m.current)
            chosen = self._choice(m, mine) if mine not in asleep and not m.current.finished else None
            if chosen is not None:
                return chosen
            for task in m.tasks:                        # the first of the tasks that can, as they come before interrupts
                if not task.finished and not task.irqs and task.id not in asleep and self._may_run(m, task, task.id):
                    return task.id, task.id, task
        enabled = self._enabled(m)
        awake = [process for process in enabled if process not in asleep]
        if awake:
            process = min(awake) if scout is None else scout.choice(sorted(awake))
            return (process, *enabled[process])
        if enabled:
            self.waiting = list(self._waiting(m))       # who waits for what another one has, had not waited if it had come first
            self.blocked = m.aborting = True
            raise Abort
        self.ended(m)
        return None

    def _planned(self, m: Machine, at: int, tree: list[Branch]) -> Choice | None:
        """What is planned to come next, if it can. In `tree`: what else is to be run here, with that, where the plan has branches."""
        plan = self.plan
        assert plan is not None
        step, length = at - self.planned_at, len(plan.steps)
        if step < length:
            chosen = self._choice(m, plan.steps[step].process)
            if chosen is None:
                self.plan_at(plan.root, None)
            return chosen
        chosen = None
        if step == length:
            children, plan.children = plan.children, []
            for branch in children:
                choice = self._choice(m, branch.process)
                if choice is None:
                    self.plan_at(branch.root, None)
                else:
                    chosen = chosen or choice
                    tree.append(branch)
            if tree:
                self._follow(tree[0], at)
        return chosen

    def _follow(self, plan: Branch, at: int) -> None:
        """From that event on it is run."""
        self.plan, self.planned_at = plan, at
        self.promised = {number: step.accesses for number, step in enumerate(plan.steps, at) if isinstance(step, Step)}

    def _sleep_at(self, number: int) -> Sleep:
        place = self.places[number]
        return place.sleep if isinstance(place, Place) else place

    def _sleep_after(self, event: Event, sleep: Sleep) -> Sleep:
        """Who still sleeps after it. Where a plan parted from others for what it might touch, who conflicts with that wakes up."""
        if event.number in self.promised:
            promised = self.promised[event.number]
            sleep = NOBODY if promised is None else sleep.after(event.process, promised)
        return sleep.after(event.process, event.accesses) if sleep.processes else sleep

    def _pending(self, process: int, task: Task) -> tuple[int, Any, Any]:
        """The access that a process makes when it goes on."""
        last = self.last.get(process)
        if last is not None and last.free:
            return last.last_point or last.pending  # it went away in the middle of that
        at = task.resumes if task.at is not None and task.at[0] == points.IRQ else task.at
        return at or _NOTHING

    def _can_go_on(self, process: int, task: Task) -> bool:
        kind, obj, arg = self._pending(process, task)
        return kind != points.ACQUIRE or _can_be_taken(obj, arg, task)

    def _process_of(self, task: Task) -> int:
        return self.irqs[task.irqs[-1]][0] if task.irqs else task.id

    def _may_run(self, m: Machine, task: Task, process: int) -> bool:
        running = task.cpu.running
        if task.finished or task.waiting in _GONE:
            return False
        if running is not task and running is not None and not (m.preempt and preemptible(running)):
            return False
        at = task.at
        return at is None or (at[0] != points.ACQUIRE and at[0] != points.IRQ) or self._can_go_on(process, task)

    def _choice(self, m: Machine, process: int) -> Choice | None:
        """How that process can be let run; None if it cannot."""
        if 0 <= process < len(m.tasks) and not m.tasks[process].irqs:
            task = m.tasks[process]
            return (process, process, task) if self._may_run(m, task, process) else None
        found = self._enabled(m).get(process)
        return None if found is None else (process, *found)

    def _enabled(self, m: Machine) -> dict[int, tuple[int, Task]]:
        """Process -> (the decision that lets it run, the task it runs on)."""
        out: dict[int, tuple[int, Task]] = {}
        for task in m.tasks:
            process = self._process_of(task) if task.irqs else task.id
            if self._may_run(m, task, process):
                out[process] = task.id, task
        for cpu in m.cpus:
            idle = cpu.running
            if (idle is not None and idle.id < -1 and not idle.finished and idle.waiting is not PARKED
                    and self._can_go_on(self._process_of(idle), idle)):
                out[self._process_of(idle)] = idle.id, idle
        for irq in m.pending:
            process = self.irqs[irq.number][0]
            cpu = m.cpus[self.routes.get(self.irq_name[process], 0)]
            victim = cpu.running
            if victim is None or (not victim.held.irqs_off and victim.irq_depth < IRQ_DEPTH_MAX):
                decision = len(m.tasks) + irq.number * len(m.cpus) + cpu.number
                out[process] = decision, victim or m.idle_of(cpu)
        return out

    # ---- what an event did ---------------------------------------------------------------------------------------

    def _advance(self) -> Event:
        """All that is on the trail is over but for the last of it, which the running event is at now."""
        event, trail = self.current, self.trail
        assert event is not None
        if not trail:
            return event
        events, places, order = self.events, self.places, self._order
        process, cpu = event.process, event.cpu
        level, off, _, _ = self.before
        known = self.locations.seen_by(process)
        open_gate: tuple[Access, ...] = ()
        passes = False
        sleep: Sleep | None = None
        for position in range(0, len(trail), 2):
            at, held = trail[position], trail[position + 1]
            if self.inner is not None and held is not self.inner_held:
                self._shuts(m, held)
            next_accesses = known.get(at, _UNSEEN)
            if next_accesses is _UNSEEN:
                next_accesses = self.locations.seen(process, at)
            if next_accesses is None:                       # a quiet point
                self.inner, self.inner_held = at, held
                event.points += 1
                continue
            self.inner = None
            if sleep is None:                               # the one that somebody has chosen
                self._add(event, self._gates(event, off, held.irqs_off, False, True, False) if self.gated or self.multi else ())
                if level < self.gated.get(cpu, 0):
                    open_gate = self._passage(cpu, level, False, False)
                    passes = open_gate[0] in event.accesses
                sleep = self._sleep_at(event.number)
            else:
                past, accesses = event.before.past | 1 << event.number, event.accesses          # type: ignore[union-attr]
                if not open_gate:
                    order(event, accesses, past)
                elif off or held.irqs_off:
                    event.leaf = accesses
                    event.accesses = accesses = accesses + self._passage(cpu, level, off, held.irqs_off)
                    order(event, accesses, past)
                    passes = False
                else:
                    event.leaf = accesses
                    event.accesses += open_gate
                    order(event, accesses if passes else event.accesses, past)
                    if passes:                              # what is before it is before that one, too
                        self.marks[open_gate[0][0]][PASS] |= 1 << event.number
                    passes = True
                events.append(event)
            if sleep.processes:
                sleep = self._sleep_after(event, sleep)
            places.append(sleep)
            event = Event(event.number + 1, process, cpu, event.step + event.points, at, next_accesses, event)
            off = held.irqs_off
        if sleep is not None:
            self.current, self.before = event, (level, off, True, False)
            self.last[process] = event.before
        trail.clear()
        return event

    def _close(self, m: Machine) -> None:
        """The running event is over, and somebody has to choose."""
        event, task, self.current = self.current, self.task, None
        assert event is not None
        running = task.cpu.running is task
        gates: tuple[Access, ...] = ()
        if self.inner is not None:
            event.last_point = self.inner
            if task.waiting is SLEEPING or task.waiting is HALTED or (event.free and event.cpu in self.multi):
                self._speak()
            else:
                self._shuts(m, task.held)
            self.inner = None
        if self.gated or self.multi:
            event.off = not running
            event.leaves = event.process >= IRQS_FROM and all(self.irqs[number][0] != event.process for number in task.irqs)
            off = (task.waiting is HALTED and running) or (not event.leaves and task.held.irqs_off)
            gates = self._gates(event, self.before[1], off, event.leaves, running, m.preempt)
        self._add(event, gates)
        if task.waiting is PARKED and event.process < IRQS_FROM:
            self.parks.append((event.number, m.step + 1, task.reads))
        if task.waiting is SLEEPING:
            event.asleep = True
            if not task.finished:
                self.asleep.add(task.id)
        if len(m.findings) > self.found or len(m.notes) > self.noted:
            for finding in m.findings[self.found:] + m.notes[self.noted:]:
                at = next((at for at in reversed(self.events[self.since:]) if at.step <= finding.step), event)
                at.findings = [*at.findings, finding]
            self.found, self.noted = len(m.findings), len(m.notes)
        self.since = len(self.events)

    def _add(self, event: Event, gates: tuple[Access, ...]) -> None:
        if gates:
            event.grows()
            event.accesses += gates
        event.base = self._before(event)
        self._order(event, event.accesses, event.base)
        self.events.append(event)
        self.last[event.process] = event
        if event.number in self.promised:
            event.guess = self.promised[event.number]
        if event.how:
            self.turns.append(event)
        place = self.places[event.number]
        if isinstance(place, Place):
            place.tree[0] = Branch([event], event.number)

    def _gates(self, event: Event, off_before: bool, off_after: bool, leaves: bool, running: bool, preempt: bool) -> tuple[Access, ...]:
        """The interrupt gates of its cpu, and the cpu itself if tasks share it: what was taken, passed or given back."""
        level, _, was_running, was_alone = self.before
        number, where, enters = self.locations.number, event.cpu, event.enters
        out: tuple[Access, ...] = ()
        if where in self.gated:
            if enters or leaves:
                out += ((number(("level", where)), WRITE),
                        (number(("gate", where, level)), PASS_ALONE if enters and leaves else TAKE if enters else GIVE))
            if level < self.gated[where]:
                out += self._passage(where, level, off_before, off_after)
        if where in self.multi:
            out += ((number(("ready", where)), READ),)
            if not level:
                mode = _PASSAGE[was_alone, running and not preemptible(self.task)] if preempt else _HOLDING[was_running, running]
                if mode is not None:
                    out += ((number(("cpu", where)), mode),)
            if (enters or not level) and self._is_asked_for(where):
                out += ((number(("current", where)), READ if enters else WRITE),)
        return out

    def _is_asked_for(self, cpu: int) -> bool:
        """Do interrupts ask which of the tasks that share that cpu they come over, where any of them may lose it anywhere?"""
        return m.preempt and any(m.tasks[id].cpu.number == cpu for id in self.locations.watched)

    def _passage(self, where: int, level: int, off_before: bool, off_after: bool) -> tuple[Access, ...]:
        """What an event is to an interrupt that might enter over it."""
        mode = _PASSAGE[off_before, off_after]
        return () if mode is None else ((self.locations.number(("gate", where, level + 1)), mode),)

    def _before(self, event: Event) -> int:
        """The bits of what must be before it, whatever it touches, and its own."""
        past, before = 1 << event.number, event.before
        if before is not None:
            past |= before.past
        elif event.process >= IRQS_FROM:
            raiser = next(raiser for process, raiser in self.irqs if process == event.process)
            if raiser >= 0:
                past |= self.events[raiser].past
        if self.woken:
            woken = self.woken.get(event.process)
            if woken is not None and (before is None or woken > before.number):
                past |= self.events[woken].past
        return past

    def _order(self, event: Event, accesses: tuple[Access, ...], past: int) -> None:
        """Its place in happens-before, and the races it ends, by these accesses."""
        marks, bit = self.marks, 1 << event.number
        met = 0
        gave: list[tuple[int, int]] = []
        for location, mode in accesses:
            mark = marks[location]
            if mode == READ:
                met |= mark[WRITE] | mark[PART_WRITE]
            elif mode == WRITE:
                met |= mark[READ] | mark[WRITE] | mark[PART_READ] | mark[PART_WRITE] | mark[LEAVE_SHARED]
            else:
                for rival in MEETS[mode]:
                    met |= mark[rival]
                if TAKES >> mode & 1 and (mark[GIVE] or mark[GIVE_SHARED]):
                    met |= self._take_over(event, location, _last_given(mark, mode) & ~past, gave)
                if GIVES >> mode & 1:
                    self._give(event, location, mode)
                elif TAKE <= mode <= TRY and (mode != TRY or event.got):
                    self._take(event, location, mode)
            mark[mode] |= bit
        met &= ~past
        direct = past
        if met or gave:
            events = self.events
            for there, _ in gave:
                past |= events[there].past
            met &= ~past
            races: list[int] = []
            while met:
                there = met.bit_length() - 1
                races.append(there)
                its = events[there].past
                past |= its
                direct |= its                       # what only a hand-over orders is not in it
                met &= ~past
            for _, taking in gave:
                if not direct >> taking & 1 and taking not in races:
                    races.append(taking)
            event.races = races
        event.past, event.direct = past, direct

    def _take_over(self, event: Event, location: int, given: int, gave: list[tuple[int, int]]) -> int:
        """Of those that gave it back. In `gave`: they, and who had taken that. The bits of others that it comes after."""
        met = 0
        for there in _numbers(given):
            if event.enters and self.events[there].leaves:
                met |= 1 << there
            else:
                gave.extend((there, taking.taking) for where, taking in self.events[there].given if where == location)
        return met

    def _take(self, event: Event, location: int, mode: int) -> None:
        takings = self.takings[location]
        if mode != TAKE:                        # alone, nobody takes it twice
            for taking in takings:
                if taking.giving == NEVER_GIVEN and taking.process == event.process:
                    taking.deep += 1
                    event.again = [*event.again, (location, taking)]
                    return
        takings.append(Taking(event.number, mode, event.process))

    def _give(self, event: Event, location: int, mode: int) -> None:
        for taking in reversed(self.takings[location]):
            if taking.giving == NEVER_GIVEN and taking.process == event.process:
                break
        else:
            taking = Taking(event.number, mode, event.process)      # of what was never taken
        taking.deep -= 1
        if not taking.deep:
            taking.giving = event.number
        event.given = [*event.given, (location, taking)]

    def _untake(self, event: Event, location: int) -> None:
        """It has not taken that, or given it back: one of these, and once, as no event does more to what is taken."""
        takings = self.takings[location]
        if takings and takings[-1].taking == event.number:
            takings.pop()
        for where, taking in event.given:
            if where == location:
                taking.deep += 1
                taking.giving = NEVER_GIVEN
        for where, taking in event.again:
            if where == location:
                taking.deep -= 1

    # ---- races ---------------------------------------------------------------------------------------------------

    def _finish(self, m: Machine) -> None:
        """The run is over."""
        if self.current is not None:
            self._advance().free = True
            self._close(m)
        if m.looked:
            self.locations.watch({task.id for task in m.tasks if task.cpu.number in m.looked})

    def ended(self, m: Machine) -> None:
        """Nobody can go on, but not all are done. Who waits still races for what it waits for."""
        if self.current is not None:
            self._advance().free = True
            self._close(m)
        if not self.drains:
            self.waiting = list(self._waiting(m))
            self.drains = True
            m.follow(None)

    def _waiting(self, m: Machine) -> Iterator[Event]:
        number = self.locations.number
        for task in [*m.tasks, *(m.idle_of(cpu) for cpu in m.cpus if cpu.running is not None and cpu.running is cpu.idle)]:
            if task.waiting in _GONE or task.finished:
                continue
            process, where = self._process_of(task), task.cpu.number
            pending = self._pending(process, task)
            wants = self._wants(process, pending, task, IRQ_DEPTH_MAX if task.held.irqs_off else task.irq_depth)
            if where in self.multi and task.cpu.running is not task and not task.irqs:
                wants += ((number(("cpu", where)), TAKE),)
            wish = self._wish(process, where, pending, wants)
            wish.asleep = all(taking.giving != NEVER_GIVEN for location, _ in wants for taking in self.takings[location])
            yield wish                              # asleep, if it waits for what it has itself, where nobody can tell
        handled = {self.irqs[raised][0] for cpu in m.cpus for task in (cpu.running,) if task is not None for raised in task.irqs}
        for event in self.events:
            if event.interrupted is not None and event.process in handled:
                assert event.over is not None
                task, pending, level = event.interrupted
                yield self._wish(event.over, event.cpu, pending, self._wants(event.over, pending, task, level))
        for irq in m.pending:
            process = self.irqs[irq.number][0]
            where = self.routes.get(self.irq_name[process], 0)
            wants = tuple((number(("gate", where, level)), TAKE) for level in range(1, IRQ_DEPTH_MAX + 1))
            yield self._wish(process, where, _NOTHING, wants, enters=True)

    def _wants(self, process: int, pending: tuple[int, Any, Any], task: Task, level: int) -> tuple[Access, ...]:
        """What that access is to touch, of what must be free, by a process that may be interrupted if it is of less than the last
        level. What its task has may have been taken by an interrupt over it; where the process has it itself, it goes on, and hangs."""
        self.locations.seen(process, pending)
        wants = self.locations.announced(pending)
        if pending[0] == points.ACQUIRE and wants:
            location = wants[0][0]
            if any(taking.process == process and taking.giving == NEVER_GIVEN and taking.how != TAKE_SHARED
                   for taking in self.takings[location]):
                wants = ((location, TRY),)
        if level < self.gated.get(task.cpu.number, 0):
            wants += ((self.locations.number(("gate", task.cpu.number, 1 + level)), PASS),)
        return wants

    def _wish(self, process: int, cpu: int, pending: tuple[int, Any, Any], wants: tuple[Access, ...], enters: bool = False) -> Event:
        """An event that never came about: it races with the taking of what it waits for, which nobody gives back."""
        event = Event(len(self.events), process, cpu, 0, pending, wants, None)
        event.enters = enters
        event.races = races = []
        past = 1 << event.number
        last, woken = self.last.get(process), self.woken.get(process)
        if last is not None:
            past |= last.past
        if woken is not None:
            past |= self.events[woken].past
        event.past = event.direct = event.base = past
        for location, mode in wants:
            for taking in self.takings[location]:
                there = taking.taking
                if taking.giving == NEVER_GIVEN and not past >> there & 1 and conflict(
                        ((location, mode),), self.events[there].accesses):
                    races.append(there)
        return event

    def _reverse_races(self) -> None:
        for event in self.events[self.branch:] + self.waiting:
            if event.races:
                sections = self._sections(event)
                for there in event.races:
                    self._reverse(self.events[there], event, sections)

    def _sections(self, event: Event) -> list[tuple[int, int]]:
        """What others had, before, of what the event takes: (event that took it, event that gave it back). An interrupt may come
        over another one, but not over two, nor where the other has interrupts off."""
        out = []
        accesses = event.accesses
        if event.enters:
            accesses = tuple((self.locations.number(("gate", event.cpu, level)), TAKE) for level in range(1, IRQ_DEPTH_MAX + 1))
        for location, mode in accesses:
            if TAKES >> mode & 1:
                for taking in self.takings[location]:
                    there = taking.taking
                    if there >= event.number:
                        break
                    if event.enters and self.events[there].enters and self.locations.keys[location][2] < IRQ_DEPTH_MAX:
                        continue
                    if CONFLICTS[mode] >> taking.how & 1 and taking.process != event.process:
                        out.append((there, taking.giving))
        return out

    def _reverse(self, first: Event, later: Event, sections: list[tuple[int, int]]) -> None:
        """Plan a run in which `later` comes before `first`: put it into the wakeup tree of the place of `first`."""
        bit = first.number
        same = later.number < len(self.events) and self._same(first, later)
        accesses, before = self._touches(later, same)
        if self._slept(bit, later.process, before):
            return
        rest = [event for event in self.events[bit + 1:] if not event.past >> bit & 1]
        among = _bits(rest)
        held = True
        while held:                             # what somebody would still have, nobody may take before
            held = False
            for taking, giving in sections:
                if taking < bit:
                    if not among >> giving & 1 and giving >= bit:        # it can only be reversed together with that
                        if later.enters and not later.base >> taking & 1:
                            self._reverse(self.events[taking], later, sections)
                        return
                elif among >> taking & 1 and not among >> giving & 1:
                    held = True
                    if same and later.direct >> taking & 1:             # it may have read what that has done
                        same = False
                        accesses, before = self._touches(later, same)
                    rest = [event for event in rest if not event.past >> taking & 1]
                    among = _bits(rest)
        planned = Step(later.process, accesses, before, later.number)
        self.plan_at(bit, Plan([*rest, planned], among, [planned], self.marks))

    def _touches(self, later: Event, same: bool) -> tuple[tuple[Access, ...], int]:
        """What an event touches in another place, at most, and the bits of all that depends on that or is before it anyway."""
        leaf = later.accesses if same or later.leaf is None else later.leaf
        if later.pending[0] == points.WAKE and not same:            # of anybody, who would sleep there
            leaf += tuple((self.locations.number(task), WRITE) for task in m.tasks)
        unsaid, there = self._unsaid(later.cpu, not same, later.enters)
        before = later.direct
        for location, mode in leaf:
            before |= self._depending(location, RIVALS[mode])
        for location, rivals in there:
            before |= self._depending(location, rivals)
        return leaf + unsaid, before & ~(1 << later.number)

    def _slept(self, number: int, process: int, before: int) -> bool:
        """Would that run begin with somebody who sleeps at its place, as it is about its next event, which is after these?"""
        if process not in self._sleep_at(number).processes:
            return False
        return all(self.events[there].past >> number & 1 for there in _numbers(before >> number + 1 << number + 1))

    def _depending(self, location: int, modes: Sequence[int]) -> int:
        """The bits of all events that touch the location in one of these modes."""
        out, mark = 0, self.marks[location]
        for mode in modes:
            out |= mark[mode]
        return out

    def plan_at(self, number: int, plan: Plan | None) -> None:
        """Have that run begin at a place, or all that can if it is not known which."""
        self.place(number).add(number, plan)

    def _same(self, first: Event, later: Event) -> bool:
        """Does `later` touch the same without `first` before it? What it does behind its point depends on what it reads."""
        keys = self.locations.keys
        for location, mode in later.accesses:
            for there, how in first.accesses:
                if location == there and CONFLICTS[mode] >> how & 1:
                    key = keys[location]
                    if not (isinstance(key, tuple) and key[0] in _CONTEXTS) and not (
                            _reads_nothing(later.pending) and (location, mode) in self.locations.announced(later.pending)):
                        return False
        return True

    def _unsaid(self, cpu: int, reads: bool, enters: bool) -> tuple[tuple[Access, ...], list[tuple[int, tuple[int, ...]]]]:
        """What an event may touch of its cpu, wherever it runs, and without saying so, if that is for what it reads to decide.
        And, of each of these locations, the modes that conflict."""
        deepest = self.gated.get(cpu, 0) if reads or enters else 0
        key = cpu, len(self.locations.unannounced) if reads else -1, deepest, cpu in self.multi
        known = self.unsaid.get(key)
        if known is None:
            out: list[Access] = []
            number = self.locations.number
            if deepest:
                out += [(number(("gate", cpu, level)), PASS_ALONE) for level in range(1, deepest + 1)]
                out.append((number(("level", cpu)), WRITE))
            if cpu in self.multi:
                out += [(number((what, cpu)), mode) for what, mode in (("cpu", PASS_ALONE), ("ready", WRITE), ("current", WRITE))]
            if reads:
                out += [(number(("ready", where)), WRITE) for where in sorted(self.multi - {cpu})]      # of whom it may wake
                for location in sorted(self.locations.unannounced):
                    out += [(location, WRITE), (location, BEGIN), (location, END)]
            rivals: dict[int, set[int]] = {}
            for location, mode in out:
                rivals.setdefault(location, set()).update(RIVALS[mode])
            known = self.unsaid[key] = tuple(out), [(location, tuple(modes)) for location, modes in rivals.items()]
        return known


def _reads_nothing(at: Point) -> bool:
    """Is what is done at that point the same whatever others did? A lock one sleeps for may have to be waited for, or wake somebody."""
    kind, obj, _ = at
    return kind in (points.LOCAL, points.WRITE, points.BARRIER, points.MASK) or (kind in (points.ACQUIRE, points.RELEASE) and obj.spins)


def _bits(events: Sequence[Event]) -> int:
    bits = 0
    for event in events:
        bits |= 1 << event.number
    return bits


def _last_given(mark: Sequence[int], mode: int) -> int:
    """The bits of those that gave back what is taken now: since one had it alone, or that one itself."""
    alone, given, shared = mark[TAKE] | mark[PASS_ALONE], mark[GIVE], mark[GIVE_SHARED]
    since = max(alone, given).bit_length()
    last = 1 << since - 1 if given > alone else 0
    return last if mode in (TAKE_SHARED, PASS) else last | shared >> since << since     # shared, it is had from who had it alone


def _numbers(bits: int) -> Iterator[int]:
    """The positions of the bits that are set."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _can_be_taken(obj: Any, arg: Any, task: Task) -> bool:
    """May `task` go on to take that lock? It hangs, and that is a finding, where it has it already."""
    if not obj.spins or obj.owner is task:
        return True
    return bool((obj.read_side if arg == "read" and hasattr(obj, "read_side") else obj).available(task))


_GONE = (SLEEPING, HALTED, PARKED)          # whoever waits for these cannot go on by itself
_CONTEXTS = frozenset(("gate", "level", "cpu", "ready", "current"))    # whether an event can be, not what it does
# (irqs off, or not to be preempted: before, after) -> what that is to the gate
_PASSAGE = {(False, False): PASS, (False, True): TAKE, (True, False): GIVE, (True, True): None}
# (runs on its cpu before, after) -> what that is to the cpu
_HOLDING = {(False, True): TAKE, (True, False): GIVE, (False, False): PASS_ALONE, (True, True): None}
