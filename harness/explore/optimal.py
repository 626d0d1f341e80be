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
  * Runs repeat a prefix of the last run at full speed and are only watched from where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness import points
from harness.errors import Abort
from harness.explore.access import (
    BEGIN,
    CONFLICTS,
    END,
    GIVE,
    GIVES,
    PASS,
    PASS_ALONE,
    READ,
    SCREENS,
    TAKE,
    TAKE_SHARED,
    TAKES,
    TRY,
    WRITE,
    Access,
    Locations,
    conflict,
)
from harness.finding import Finding
from harness.machine import HALTED, IRQ_DEPTH_MAX, NEVER, SLEEPING, TASKS_MAX, Machine, Task, m, preemptible

EVENTS_MAX = 4_000          # of one run; a longer one ends the exploration as inconclusive
YIELDS_MAX = 2              # a task that yields more often is left there: see machine.yielded


GOES_ON, SWITCH, ASKED = 0, 1, 2
IRQS_FROM = TASKS_MAX       # the number of the first process that is an interrupt; below are tasks
NEVER_GIVEN = EVENTS_MAX + TASKS_MAX        # no event has this number

Name = tuple[Any, ...]
Plan = list[tuple[int, tuple[Access, ...] | None, int, int]]      # process, accesses, bits of what must come before, its own bit
Sleep = dict[int, tuple[Access, ...] | None]                      # process -> accesses; None: not known
_NOTHING: tuple[int, Any, Any] = (points.LOCAL, None, None)


class Event:
    """One access of one process and the local work behind it.

    `past` has the bits of all events that happen before it, and its own; `direct` the same without those that only a
    hand-over puts there; `base` only those without which its process would not be there. `undo` takes back what it added
    to the explorer's tables.
    """

    __slots__ = ("accesses", "asleep", "base", "cpu", "decision", "direct", "enters", "findings", "free", "got", "how", "interrupted",
                 "leaf", "leaves", "number", "over", "past", "pending", "process", "races", "step", "takings", "undo")

    def __init__(self, number: int, process: int, cpu: int, step: int, how: int, decision: int, accesses: tuple[Access, ...]):
        self.number = number
        self.process = process
        self.cpu = cpu
        self.step = step
        self.how = how                  # GOES_ON, SWITCH or ASKED: how the machine was told
        self.decision = decision
        self.accesses = accesses
        self.leaf = accesses            # what it will touch at least, if it runs in another place
        self.past = self.direct = self.base = 0
        self.races: list[int] = []
        self.takings: dict[int, int] = {}       # location -> the event that took what this one gives back
        self.pending = _NOTHING
        self.undo: list[tuple[dict[Any, int], Any, int | None]] = []
        self.findings: list[Finding] = []
        self.got = False                # it looked at a lock, and took it
        self.over: int | None = None    # the process that an interrupt entered over with this event, if there was one
        self.interrupted: tuple[Task, tuple[int, Any, Any], int] | None = None      # that one: its task, what it was to do, its level
        self.enters = False             # an interrupt begins with it
        self.leaves = False             # an interrupt is over with it
        self.free = False               # after it the process may lose its cpu without being preempted
        self.asleep = False             # after it the process can only go on when somebody lets it


class Branch:
    """A node of a wakeup tree: `process` runs next, then one of `children`. `accesses` is what it will touch, None if that is not
    known; `root` the number of the place that it was planned for."""

    __slots__ = ("accesses", "children", "process", "root")

    def __init__(self, process: int, accesses: tuple[Access, ...] | None, root: int):
        self.process = process
        self.accesses = accesses
        self.root = root
        self.children: list[Branch] = []


class Place:
    """A place in the present run: what must not run first here any more, what is still to be run first, and all that could."""

    __slots__ = ("elsewhere", "enabled", "sleep", "tree")

    def __init__(self, sleep: Sleep, tree: list[Branch], enabled: tuple[int, ...], elsewhere: frozenset[int]):
        self.sleep = sleep
        self.tree = tree
        self.enabled = enabled
        self.elsewhere = elsewhere      # of those asleep: what another process explores just now (shared.py)

    def add(self, number: int, plan: Plan | None) -> bool:
        """Have that run begin here, or all that can if it is not known which. False if that is, or was to be, run anyway."""
        if plan is None or plan[0][0] not in self.enabled:
            planned = {branch.process for branch in self.tree}
            left = [process for process in self.enabled if process not in planned and process not in self.sleep]
            self.tree += [Branch(process, None, number) for process in left]
            return bool(left)
        for process, accesses in self.sleep.items():
            position = starts(process, accesses, plan)
            if position is not None and (position >= 0 or process not in self.elsewhere):
                return False
        return _insert(self.tree, plan, number)


class Restart(Exception):
    """Something was learned that makes earlier runs worthless: explore again from the beginning, knowing it."""


class Optimal:
    """An exploration of one program. `for run in explorer.runs(execute): ...` where `execute(explorer)` runs the program once.

    After each run `events` holds it, `blocked` says that it turned out to be one that was run before (never, in theory).
    """

    explores = True
    yields_max = YIELDS_MAX

    def __init__(self, routes: Mapping[Name, int] | None = None, up: bool = False):
        self.routes = routes or {}      # interrupt -> cpu; those not in it go to cpu 0
        self.locations = Locations(up)
        self.names: dict[Name, int] = {}        # of interrupts: (who raises it, how many before) -> process
        self.irq_name: dict[int, Name] = {}
        self.gated = False              # interrupts exist
        self.restarts = 0               # how often what was yielded before is worth nothing, for something was learned
        self._forget()

    def _forget(self) -> None:
        self.events: list[Event] = []
        self.places: list[Place] = []
        self.touches: dict[int, list[tuple[int, int]]] = {}     # location -> (event, mode), in order
        self.last: dict[int, int] = {}                          # process -> its last event
        self.taken: dict[tuple[int, int], int] = {}             # (location, process) -> the event that took it
        self.deep: dict[tuple[int, int], int] = {}              # (location, process) -> how many times it has it now
        self.given: dict[tuple[int, int], int] = {}             # (location, event that took it) -> that gave it back
        self.woken: dict[int, int] = {}                         # process -> the event that let it go on
        self.irqs: list[tuple[int, int]] = []                   # irq number -> process, the event that raised it or -1
        self.raised: dict[int, int] = {}                        # process -> how many it has raised
        self.base = 0                   # the places before are somebody else's
        self.branch = 0
        self.branch_step = 0
        self.run_count = 0
        self.blocked_count = 0

    # ---- the search ----------------------------------------------------------------------------------------------

    def runs(self, execute: Callable[[Optimal], Any]) -> Iterator[Any]:
        """Execute every run once. What `execute` gives is yielded, but for runs that were blocked (None)."""
        while True:
            self._start()
            result = execute(self)
            if self.locations.restart or self.learned:
                self.locations.restart = False
                self._forget()
                self.restarts += 1
                continue
            self._finish(m)
            self.run_count += 1
            self.blocked_count += self.blocked
            yield None if self.blocked else result
            self._reverse_races()
            if not self._backtrack():
                return
            self.between()

    def _backtrack(self) -> bool:
        """Go to the last place with something left to run first."""
        for event in reversed(self.events[len(self.places):]):
            self._take_back(event)
        while len(self.places) > self.base:
            place = self.places[-1]
            event = self.events[-1]
            self.branch_step = self.step_of(event)
            place.tree.pop(0)
            place.sleep[event.process] = event.accesses
            self._take_back(event)
            if not place.tree:
                self.settle(len(self.places) - 1)
            if place.tree:
                self.branch = len(self.places) - 1
                return True
            self.places.pop()
        return False

    @staticmethod
    def step_of(event: Event) -> int:
        """Where the machine has to ask for what may be done instead; -1 if it asks by itself."""
        return -1 if event.how == ASKED else event.step

    def between(self) -> None:
        """Two runs: for an exploration that is shared (shared.py)."""

    def settle(self, number: int) -> None:
        """Nothing is left at a place, and so at those after it, unless somebody else plans something there."""

    def _take_back(self, event: Event) -> None:
        assert self.events.pop() is event
        for table, key, old in reversed(event.undo):
            if old is None:
                del table[key]
            else:
                table[key] = old
        for location, _ in event.accesses:
            self.touches[location].pop()
        while self.irqs and self.irqs[-1][1] == event.number:
            self.irqs.pop()

    def _set(self, event: Event, table: dict[Any, int], key: Any, value: int) -> None:
        event.undo.append((table, key, table.get(key)))
        table[key] = value

    # ---- one run -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.blocked = False
        self.misrouted = False          # an interrupt can only go where its route does not lead: another route has this run
        self.drains = False             # nobody can run any more, but for going to wait for ever
        self.learned = False
        self.limit = False
        self.waiting: list[Event] = []          # what never came about: see ended
        self.current: Event | None = None
        self.live = not self.places

    def begin(self, m: Machine) -> None:
        self.multi = _shared_cpus(m)
        if not self.places:
            for _ in m.pending:
                self._name_irq((-1,), -1)
        self.asleep: set[int] = set()
        self.found = self.noted = 0
        self.pre_switches = [(event.step, event.decision) for event in reversed(self.events) if event.how == SWITCH]
        self.pre_forced = [event.decision for event in reversed(self.events) if event.how == ASKED]
        if self.live:
            m.want(1)
        else:
            self._want_next(m)

    def _want_next(self, m: Machine) -> None:
        """In the prefix: be asked at the next switch, then where the new part begins."""
        m.want(self.pre_switches[-1][0] if self.pre_switches else self.branch_step if self.branch_step >= 0 else NEVER)

    def at(self, m: Machine) -> int:
        if not self.live:
            if self.pre_switches:
                decision = self.pre_switches.pop()[1]
                self._want_next(m)
                return decision
            self._go_live(m)
        m.want(m.step + 1)
        return m.current.id if self.drains else self._decide(m, False)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if not self.live:
            if self.pre_forced:
                return self.pre_forced.pop()
            self._go_live(m)
        m.want(m.step + 1)
        decision = -1 if self.drains else self._decide(m, True)
        return self._drain(m, choices) if self.drains else decision

    def _drain(self, m: Machine, choices: Sequence[int]) -> int:
        """Somebody who waits for ever goes and does so."""
        tasks = [choice for choice in choices if choice < len(m.tasks)]
        if not tasks:
            self.misrouted = m.aborting = True
            raise Abort
        return tasks[0]

    def wake(self, m: Machine) -> None:
        """Somebody was woken, or an interrupt raised, by the running event."""
        event = self.current
        if event is None:
            return
        for id in [id for id in self.asleep if m.tasks[id].waiting is not SLEEPING]:
            self.asleep.discard(id)
            self._set(event, self.woken, id, event.number)
            where = m.tasks[id].cpu.number
            if where in self.multi:
                event.accesses += ((self.locations.number(("ready", where)), WRITE),)
        while len(self.irqs) < m.irqs_raised:
            raiser = self.irq_name.get(event.process, (event.process,))
            before = self.raised.get(event.process, 0)
            self._set(event, self.raised, event.process, before + 1)
            self._name_irq((*raiser, before), event.number)

    def _name_irq(self, name: Name, event: int) -> None:
        if event < 0:
            name = (*name, len(self.irqs))
        self.irqs.append((self.process_of_name(name), event))
        if not self.gated:
            self.gated = self.learned = True

    def process_of_name(self, name: Name) -> int:
        process = self.names.get(name)
        if process is None:
            process = self.names[name] = IRQS_FROM + len(self.names)
            self.irq_name[process] = name
        return process

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        if self.current is not None:
            self.current.accesses += (self.locations.touched(what, kind),)

    def _go_live(self, m: Machine) -> None:
        self.live = True
        self.found, self.noted = len(m.findings), len(m.notes)
        self.asleep = {task.id for task in m.tasks if task.waiting is SLEEPING and not task.finished}

    def _decide(self, m: Machine, asked: bool) -> int:
        """The running event is over: which process is next?"""
        if self.current is not None:
            self.current.free = asked
            self._close(m)
        enabled = self._enabled(m)
        at = len(self.events)
        if at == len(self.places) and not self._open(m, enabled):
            return m.current.id
        process = self.places[at].tree[0].process
        decision, task = enabled[process]
        how = ASKED if asked else GOES_ON if decision == m.current.id else SWITCH
        enters = decision >= len(m.tasks)
        pending: tuple[int, Any, Any] = _NOTHING if enters else self._pending(process, task)
        self.current = event = Event(at, process, task.cpu.number, m.step, how, decision, self.locations.of(*pending, task))
        event.pending = pending
        event.got = pending[0] == points.TRYLOCK and getattr(pending[1], "owner", None) is None
        event.enters = enters
        if enters and task.cpu.running is task:
            event.over = self._process_of(task)
            event.interrupted = task, self._pending(event.over, task), task.irq_depth
        self.task = task
        self.before = (enters, task.irq_depth + enters, task.held.irqs_off and not enters,
                       task.cpu.running is task, task.cpu.running is task and not preemptible(task))
        return decision

    def _open(self, m: Machine, enabled: dict[int, tuple[int, Task]]) -> bool:
        """A new place. False if the run ends here."""
        at = len(self.events)
        sleep: Sleep = {}
        tree: list[Branch] = []
        elsewhere: frozenset[int] = frozenset()
        if at:
            before, last = self.places[-1], self.events[-1]
            sleep = {process: accesses for process, accesses in before.sleep.items()
                     if accesses is not None and not conflict(accesses, last.accesses)}
            elsewhere = before.elsewhere & sleep.keys()
            tree, before.tree[0].children = before.tree[0].children, []
        for branch in [branch for branch in tree if branch.process not in enabled]:
            self.plan_at(branch.root, None)        # it was planned, but cannot be: what is there instead is to be run
            tree.remove(branch)
        if not tree:
            awake = [process for process in enabled if process not in sleep]
            if not awake:
                if enabled:
                    self.blocked = m.aborting = True
                    raise Abort
                self.ended(m)
                self.drains = True
                return False
            mine = self._process_of(m.current)
            tree = [Branch(mine if mine in awake else min(awake), None, at)]
        if at >= EVENTS_MAX:
            self.limit = m.aborting = True
            raise Abort
        self.places.append(Place(sleep, tree, tuple(enabled), elsewhere))
        return True

    def _pending(self, process: int, task: Task) -> tuple[int, Any, Any]:
        """The access that a process makes when it goes on."""
        last = self.last.get(process)
        if last is not None and self.events[last].free:
            return self.events[last].pending        # it went away in the middle of that
        at = task.resumes if task.at is not None and task.at[0] == points.IRQ else task.at
        return at or _NOTHING

    def _can_go_on(self, process: int, task: Task) -> bool:
        kind, obj, arg = self._pending(process, task)
        if kind != points.ACQUIRE or not obj.spins or obj.owner is task:
            return True
        return (obj.read_side if arg == "read" and hasattr(obj, "read_side") else obj).available(task)

    def _process_of(self, task: Task) -> int:
        return self.irqs[task.irqs[-1]][0] if task.irqs else task.id

    def _enabled(self, m: Machine) -> dict[int, tuple[int, Task]]:
        """Process -> (the decision that lets it run, the task it runs on)."""
        out: dict[int, tuple[int, Task]] = {}
        for task in m.tasks:
            running = task.cpu.running
            if task.finished or task.waiting is SLEEPING or task.waiting is HALTED:
                continue
            may_run = running is task or running is None or (m.preempt and preemptible(running))
            if may_run and self._can_go_on(self._process_of(task), task):
                out[self._process_of(task)] = task.id, task
        for cpu in m.cpus:
            idle = cpu.running
            if idle is not None and idle.id < -1 and not idle.finished and self._can_go_on(self._process_of(idle), idle):
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

    def _close(self, m: Machine) -> None:
        """The running event is over: what it touched, what happened before it, and with what it races."""
        event, self.current = self.current, None
        assert event is not None
        task = self.task
        event.leaves = event.process >= IRQS_FROM and all(self.irqs[number][0] != event.process for number in task.irqs)
        event.accesses += self._gates(m, event, task)
        event.findings = m.findings[self.found:] + m.notes[self.noted:]
        self.found, self.noted = len(m.findings), len(m.notes)
        event.asleep = task.waiting is SLEEPING
        if event.asleep and not task.finished:
            self.asleep.add(task.id)
        self.places[event.number].tree[0].accesses = event.accesses
        self._order(event)
        self.events.append(event)

    def _gates(self, m: Machine, event: Event, task: Task) -> tuple[Access, ...]:
        """The interrupt gates of its cpu, and the cpu itself if tasks share it: what was taken, passed or given back."""
        enters, level, off_before, was_running, was_alone = self.before
        number, where = self.locations.number, event.cpu
        out: list[Access] = []
        if self.gated:
            leaves = event.leaves
            if enters or leaves:
                out.append((number(("level", where)), WRITE))
                out.append((number(("gate", where, level)), PASS_ALONE if enters and leaves else TAKE if enters else GIVE))
            if level < IRQ_DEPTH_MAX:
                dead = task.waiting is HALTED and task.cpu.running is task
                off_after = dead or (not leaves and task.held.irqs_off)
                mode = _PASSAGE[off_before, off_after]
                if mode is not None:
                    out.append((number(("gate", where, level + 1)), mode))
        if where in self.multi:
            out.append((number(("ready", where)), READ))
            if not level:
                running = task.cpu.running is task
                mode = _PASSAGE[was_alone, running and not preemptible(task)] if m.preempt else _HOLDING[was_running, running]
                if mode is not None:
                    out.append((number(("cpu", where)), mode))
        return tuple(out)

    def _order(self, event: Event) -> None:
        """Its place in happens-before, and the races it ends."""
        events, touches, number = self.events, self.touches, event.number
        past = 1 << number
        before = self.last.get(event.process)
        if before is not None:
            past |= events[before].past
        woken = self.woken.get(event.process)
        if woken is not None and (before is None or woken > before):
            past |= events[woken].past
        if event.process >= IRQS_FROM and before is None:
            raiser = next(raiser for process, raiser in self.irqs if process == event.process)
            if raiser >= 0:
                past |= events[raiser].past
        event.base = past
        met: set[int] = set()
        gave: list[tuple[int, int]] = []
        for location, mode in event.accesses:
            line = touches.get(location)
            if line is None:
                touches[location] = [(number, mode)]
                continue
            conflicts = CONFLICTS[mode]
            for there, how in reversed(line):
                if conflicts >> how & 1:
                    if GIVES >> how & 1 and TAKES >> mode & 1 and not (event.enters and events[there].leaves):
                        gave.append((there, location))
                    elif not past >> there & 1:
                        met.add(there)
                if SCREENS >> how & 1:
                    break
            line.append((number, mode))
        direct = past
        for there, _ in gave:
            past |= events[there].past
        for there in sorted(met, reverse=True):
            if not past >> there & 1:
                event.races.append(there)
                past |= events[there].past
                direct |= events[there].past        # what only a hand-over orders is not in it
        for there, location in gave:
            taking = events[there].takings[location]
            if not direct >> taking & 1 and taking not in event.races:
                event.races.append(taking)
        event.past, event.direct = past, direct
        self._set(event, self.last, event.process, number)
        for location, mode in event.accesses:
            if mode in (TAKE, TAKE_SHARED) or (mode == TRY and event.got):
                holder = (location, event.process)
                deep = self.deep.get(holder, 0)
                self._set(event, self.deep, holder, deep + 1)
                if not deep:
                    self._set(event, self.taken, holder, number)
                    self._set(event, self.given, (location, number), NEVER_GIVEN)
            elif GIVES >> mode & 1:
                holder = (location, event.process)
                deep = self.deep.get(holder, 0)
                event.takings[location] = self.taken[holder] if deep else number
                self._set(event, self.deep, holder, max(deep - 1, 0))
                if deep == 1:
                    self._set(event, self.given, (location, self.taken[holder]), number)

    # ---- races ---------------------------------------------------------------------------------------------------

    def _finish(self, m: Machine) -> None:
        """The run is over."""
        if self.current is not None:
            self.current.free = True
            self._close(m)

    def ended(self, m: Machine) -> None:
        """Nobody can go on, but not all are done. Who waits still races for what it waits for."""
        if self.current is not None:
            self.current.free = True
            self._close(m)
        if not self.drains:
            self.waiting = list(self._waiting(m))

    def _waiting(self, m: Machine) -> Iterator[Event]:
        number = self.locations.number
        for task in [*m.tasks, *(m.idle_of(cpu) for cpu in m.cpus if cpu.running is not None and cpu.running is cpu.idle)]:
            if task.waiting is SLEEPING or task.waiting is HALTED or task.finished:
                continue
            wants = self._wants(self._pending(self._process_of(task), task), task, IRQ_DEPTH_MAX if task.held.irqs_off else task.irq_depth)
            where = task.cpu.number
            if where in self.multi and task.cpu.running is not task and not task.irqs:
                wants += ((number(("cpu", where)), TAKE),)
            yield self._wish(self._process_of(task), where, wants)
        handled = {self.irqs[irq][0] for cpu in m.cpus for task in (cpu.running,) if task is not None for irq in task.irqs}
        for event in self.events:
            if event.interrupted is not None and event.process in handled:
                assert event.over is not None
                task, pending, level = event.interrupted
                yield self._wish(event.over, event.cpu, self._wants(pending, task, level))
        for irq in m.pending:
            process = self.irqs[irq.number][0]
            where = self.routes.get(self.irq_name[process], 0)
            wants = tuple((number(("gate", where, level)), TAKE) for level in range(1, IRQ_DEPTH_MAX + 1))
            yield self._wish(process, where, wants, enters=True)

    def _wants(self, pending: tuple[int, Any, Any], task: Task, level: int) -> tuple[Access, ...]:
        """What must be free for that access, by a process that may be interrupted if it is of less than the last level."""
        wants = tuple(access for access in self.locations.of(*pending, task) if 1 << access[1] & TAKES)
        if self.gated and level < IRQ_DEPTH_MAX:
            wants += ((self.locations.number(("gate", task.cpu.number, 1 + level)), PASS),)
        return wants

    def _wish(self, process: int, cpu: int, wants: tuple[Access, ...], enters: bool = False) -> Event:
        """An event that never came about: it races with the taking of what it waits for, which nobody gives back."""
        event = Event(len(self.events), process, cpu, 0, GOES_ON, 0, wants)
        event.enters = enters
        past = 1 << event.number
        for before in (self.last.get(process), self.woken.get(process)):
            if before is not None:
                past |= self.events[before].past
        event.past = event.direct = event.base = past
        for location, mode in wants:
            for (where, holder), taking in self.taken.items():
                held = where == location and self.deep[where, holder] and not past >> taking & 1
                if held and any(there == location and CONFLICTS[mode] >> how & 1 for there, how in self.events[taking].accesses):
                    event.races.append(taking)
        return event

    def _reverse_races(self) -> None:
        for event in self.events[self.branch:] + self.waiting:
            sections = self._sections(event) if event.races else []
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
                for there, how in self.touches.get(location, ()):
                    if there >= event.number:
                        break
                    giving = self.given.get((location, there))
                    if event.enters and self.events[there].enters and self.locations.keys[location][2] < IRQ_DEPTH_MAX:
                        continue
                    if giving is not None and CONFLICTS[mode] >> how & 1 and self.events[there].process != event.process:
                        out.append((there, giving))
        return out

    def _reverse(self, first: Event, later: Event, sections: list[tuple[int, int]]) -> None:
        """Plan a run in which `later` comes before `first`: put it into the wakeup tree of the place of `first`."""
        bit = first.number
        rest = [event for event in self.events[bit + 1:] if not event.past >> bit & 1]
        kept = (1 << bit) - 1
        for event in rest:
            kept |= 1 << event.number
        held = True
        while held:                             # what somebody would still have, nobody may take before
            held = False
            for taking, giving in sections:
                if kept >> taking & 1 and not kept >> giving & 1:
                    if taking < bit:            # it can only be reversed together with that
                        if later.enters and not later.base >> taking & 1:
                            self._reverse(self.events[taking], later, sections)
                        return
                    held = True
                    rest = [event for event in rest if not event.past >> taking & 1]
                    kept = (1 << bit) - 1
                    for event in rest:
                        kept |= 1 << event.number
        leaf = self._leaf(later)
        before_leaf = later.direct
        for event in rest:
            if not before_leaf >> event.number & 1 and conflict(event.accesses, leaf):
                before_leaf |= 1 << event.number
        mask = kept >> bit << bit
        plan: Plan = [(event.process, event.accesses, event.past & mask & ~(1 << event.number), event.number) for event in rest]
        plan.append((later.process, leaf, before_leaf & mask, later.number))
        self.plan_at(bit, plan)

    def plan_at(self, number: int, plan: Plan | None) -> None:
        """Have that run begin at a place, or all that can if it is not known which."""
        self.places[number].add(number, plan)

    def _leaf(self, event: Event) -> tuple[Access, ...]:
        """What an event surely touches wherever it runs, and what it may touch of its own cpu: that depends on what it reads."""
        out = event.leaf
        number, where = self.locations.number, event.cpu
        if self.gated:
            out += tuple((number(("gate", where, level)), PASS_ALONE) for level in range(1, IRQ_DEPTH_MAX + 1))
            out += ((number(("level", where)), WRITE),)
        if where in self.multi:
            out += ((number(("cpu", where)), PASS_ALONE), (number(("ready", where)), WRITE))
        for location in self.locations.unannounced:
            out += ((location, WRITE), (location, BEGIN), (location, END))
        return out


def starts(process: int, accesses: tuple[Access, ...] | None, plan: Plan) -> int | None:
    """Can the plan begin with `process`? The position of its first event, or -1 if it has none and is independent of all."""
    for position, (other, _, before, _) in enumerate(plan):
        if other == process:
            return None if before else position
    if accesses is None:
        return None
    for _, touched, _, _ in plan:
        if touched is None or conflict(accesses, touched):
            return None
    return -1


def _insert(tree: list[Branch], plan: Plan, root: int) -> bool:
    """Add the plan to a wakeup tree, unless a branch leads to an equivalent of it already; then False."""
    while plan:
        for branch in tree:
            position = starts(branch.process, branch.accesses, plan)
            if position is None:
                continue
            if not branch.children:
                return False
            if position >= 0:
                gone = ~(1 << plan[position][3])
                plan = [(process, accesses, before & gone, bit) for process, accesses, before, bit in
                        plan[:position] + plan[position + 1:]]
            tree = branch.children
            break
        else:
            for process, accesses, _, _ in plan:
                branch = Branch(process, accesses, root)
                tree.append(branch)
                tree = branch.children
            return True
    return False


def _shared_cpus(m: Machine) -> frozenset[int]:
    """The cpus that have several tasks."""
    numbers = [task.cpu.number for task in m.tasks]
    return frozenset(number for number in numbers if numbers.count(number) > 1)



# (irqs off, or not to be preempted: before, after) -> what that is to the gate
_PASSAGE = {(False, False): PASS, (False, True): TAKE, (True, False): GIVE, (True, True): None}
# (runs on its cpu before, after) -> what that is to the cpu
_HOLDING = {(False, True): TAKE, (True, False): GIVE, (False, False): PASS_ALONE, (True, True): None}
