# SPDX-License-Identifier: MIT
"""Makes events of the reports of the machine: points, accesses without a point, wake-ups, raised interrupts.

A process runs over many points before the machine asks the explorer again. The machine appends these points to a list, the trail,
and `advance` makes events of them when the explorer needs them.
"""

from __future__ import annotations

from typing import Any

from vmrace.harness import points
from vmrace.harness.explore.access import (
    ACQUIRE,
    ASK,
    PASS,
    PASS_ALONE,
    READ,
    RELEASE,
    WRITE,
    Access,
    Locations,
    Point,
    touched_mode,
)
from vmrace.harness.explore.cpus import Cpus, Name
from vmrace.harness.explore.event import ASKED, IRQS_FROM, SWITCH, Event
from vmrace.harness.explore.happens_before import base_of, order
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.explore.runnable import NO_POINT, Choice, Runnable
from vmrace.harness.explore.search_tree import SearchTree
from vmrace.harness.explore.wakeup import Branch, Place, Sleep
from vmrace.harness.kernel.completion import completion
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import HALTED, PARKED, SLEEPING, Task, preemptible

_UNSEEN: Any = object()
# (irqs off, or preemption impossible: before, after) -> the mode in which an event touches the gate of its cpu
_PASSAGE = {(False, False): PASS, (False, True): ACQUIRE, (True, False): RELEASE, (True, True): None}
# (its task has the cpu: before, after) -> the mode in which an event touches the cpu
_HOLDING = {(False, True): ACQUIRE, (True, False): RELEASE, (False, False): PASS_ALONE, (True, True): None}


class EventBuilder:
    """Appends the events of the present run to `record`. `current` is the running event; None while the explorer chooses."""

    def __init__(self, record: RunRecord, tree: SearchTree, locations: Locations, cpus: Cpus, runnable: Runnable):
        self.record = record
        self.tree = tree
        self.locations = locations
        self.cpus = cpus
        self.runnable = runnable
        self.start()

    def start(self) -> None:
        """Forget the last run."""
        self.current: Event | None = None
        self.task: Task | None = None           # the task that `current` runs on
        self.trail: list[Any] = []              # the points of the process since `current`, each with the `held` of the task there
        self.quiet_point: Point | None = None   # the quiet point that `current` is at, if any
        self.quiet_held: Any = None             # `held` of the task at that point
        self.asleep: set[int] = set()           # tasks that sleep
        self.found = self.noted = 0             # the numbers of findings and notes that already belong to events
        self.since = 0                          # the first event that later findings can belong to
        # the state of the task before `current`
        self.depth = 0                          # its interrupt depth
        self.irqs_off = False
        self.had_cpu = True
        self.had_cpu_alone = False              # it had the cpu, and no other task could preempt it

    def watch(self, m: Machine) -> None:
        """Begin to watch the run, at the end of the part that it repeats from the last one."""
        self.found, self.noted = len(m.findings), len(m.notes)
        self.since = len(self.record.events)
        self.asleep = {task.id for task in m.tasks if task.waiting is SLEEPING and not task.finished}

    def begin(self, m: Machine, choice: Choice, asked: bool) -> None:
        """Begin the event with which the chosen process goes on. `asked`: the running task could not go on."""
        record, (process, decision, task) = self.record, choice
        assert len(self.tree.places) == len(record.events) + 1, (len(self.tree.places), len(record.events))
        enters = decision >= len(m.tasks)
        pending: Point = NO_POINT if enters else self.runnable.pending(process, task)
        accesses = self.locations.visible(process, pending)
        if pending[0] == points.WAKE or pending[0] == points.ACQUIRE:
            accesses = self.locations.accesses_of(*pending, task)
        self.current = event = Event(len(record.events), process, task.cpu.number, m.step, pending, accesses or (),
                                     record.last.get(process))
        if asked or decision != m.current.id:
            event.how, event.decision = ASKED if asked else SWITCH, decision
        if pending[0] == points.TRYLOCK:
            event.got = getattr(pending[1], "owner", None) is None
        if accesses and accesses[0][1] == ASK and isinstance(pending[1], completion) and pending[1].done > 0:
            event.got_token = accesses[0][0]
        self.task = task
        if self.cpus.depths or self.cpus.shared:
            runs = task.cpu.running is task
            if enters:
                event.enters = True
                if runs:
                    event.entered_over = record.process_of(task)
                    event.interrupted = task, self.runnable.pending(event.entered_over, task), task.irq_depth
            self.depth = task.irq_depth + enters
            self.irqs_off = task.held.irqs_off and not enters
            self.had_cpu = runs
            self.had_cpu_alone = m.preempt and runs and not preemptible(task)

    # ---- while it runs -------------------------------------------------------------------------------------------

    def woke_or_raised(self, m: Machine) -> None:
        """Record the tasks that the running event woke, and the interrupts that it raised."""
        record = self.record
        if self.current is None or not (self.asleep or len(record.irqs) < m.irqs_raised):
            return
        event = self.advance(m)
        for id in [id for id in self.asleep if m.tasks[id].waiting is not SLEEPING]:
            self._learn_not_quiet()
            self.asleep.discard(id)
            record.set(record.woken_by, id, event.number)
            cpu = m.tasks[id].cpu.number
            if cpu in self.cpus.shared:
                event.grows()
                event.accesses += ((self.locations.number(("ready", cpu)), WRITE),)
        while len(record.irqs) < m.irqs_raised:
            self._learn_not_quiet()
            raiser = self.cpus.names.get(event.process, (event.process,))
            before = record.raised.get(event.process, 0)
            record.set(record.raised, event.process, before + 1)
            self.raise_interrupt((*raiser, before), event.number)

    def raise_interrupt(self, name: Name, event: int) -> None:
        """Record an interrupt that the event raised; -1: it is raised before the run."""
        if event < 0:
            name = (*name, len(self.record.irqs))
        self.record.irqs.append((self.cpus.process_of(name), event))

    def touched(self, m: Machine, key: Any, kind: int) -> None:
        """Add an access that no point announced to the running event."""
        if self.current is not None:
            event = self.advance(m)
            if self.locations.is_moot(key, kind) or self._was_announced(event, (self.locations.number(key), touched_mode(kind))):
                return
            access = self.locations.touched(event.process, key, kind)
            if access is not None:
                self._learn_not_quiet()
                event.grows()
                event.accesses += (access,)

    def _was_announced(self, event: Event, access: Access) -> bool:
        """True if the running point has announced that access."""
        return access in (event.accesses if self.quiet_point is None else self.locations.announced(self.quiet_point))

    def _learn_not_quiet(self) -> None:
        """Learn that other processes can notice when the running point is passed."""
        if self.quiet_point is not None:
            self.locations.learn_not_quiet(self.quiet_point)
            self.quiet_point = None

    def _check_shut_out(self, m: Machine, held: Any) -> None:
        """Learn that the last quiet point is not quiet if it shut out an interrupt, or another task of the cpu: `held` is what the task
        holds after it."""
        assert self.task is not None
        before = self.quiet_held
        gate = self.task.cpu.number in self.cpus.depths and held.irqs_off and not before.irqs_off
        cpu = m.preempt and (held.irqs_off or held.spinning) and not (before.irqs_off or before.spinning)
        if gate or cpu:
            self._learn_not_quiet()

    # ---- when it is over -----------------------------------------------------------------------------------------

    def advance(self, m: Machine) -> Event:
        """Make events of all points on the trail but the last, where the running event is now. Return the running event."""
        event, trail = self.current, self.trail
        assert event is not None
        if not trail:
            return event
        record, tree, cpus, locations = self.record, self.tree, self.cpus, self.locations
        events, places = record.events, tree.places
        process, cpu, depth, irqs_off = event.process, event.cpu, self.depth, self.irqs_off
        known = locations.points_of(process)
        open_gate: tuple[Access, ...] = ()
        passes = False
        sleep: Sleep | None = None
        for position in range(0, len(trail), 2):
            at, held = trail[position], trail[position + 1]
            if self.quiet_point is not None and held is not self.quiet_held:
                self._check_shut_out(m, held)
            next_accesses = known.get(at, _UNSEEN)
            if next_accesses is _UNSEEN:
                next_accesses = locations.visible(process, at)
            if next_accesses is None:                       # a quiet point
                self.quiet_point, self.quiet_held = at, held
                event.points += 1
                continue
            self.quiet_point = None
            if sleep is None:                               # the first event, which the explorer chose
                self._add(event, self._gates(m, event, held.irqs_off, False, True, False) if cpus.depths or cpus.shared else ())
                if depth < cpus.depths.get(cpu, 0):
                    open_gate = self._passage(cpu, depth, False, False)
                    passes = open_gate[0] in event.accesses
                sleep = tree.sleep_at(event.number)
            else:
                past, accesses = event.before.past | 1 << event.number, event.accesses          # type: ignore[union-attr]
                if not open_gate:
                    order(record, event, accesses, past)
                elif irqs_off or held.irqs_off:
                    event.accesses_elsewhere = accesses
                    event.accesses = accesses = accesses + self._passage(cpu, depth, irqs_off, held.irqs_off)
                    order(record, event, accesses, past)
                    passes = False
                else:
                    event.accesses_elsewhere = accesses
                    event.accesses += open_gate
                    order(record, event, accesses if passes else event.accesses, past)
                    if passes:                              # what comes before this passage comes before the previous one, too
                        record.marks[open_gate[0][0]][PASS] |= 1 << event.number
                    passes = True
                events.append(event)
            if sleep.processes:
                sleep = tree.sleep_after(event, sleep)
            places.append(sleep)
            event = Event(event.number + 1, process, cpu, event.step + event.points, at, next_accesses, event)
            irqs_off = held.irqs_off
        if sleep is not None:
            self.current, self.irqs_off, self.had_cpu, self.had_cpu_alone = event, irqs_off, True, False
            record.last[process] = event.before
        trail.clear()
        return event

    def close(self, m: Machine) -> None:
        """End the running event: the explorer chooses the next process."""
        event, task, record, self.current = self.current, self.task, self.record, None
        assert event is not None and task is not None
        running = task.cpu.running is task
        gates: tuple[Access, ...] = ()
        if self.quiet_point is not None:
            event.last_point = self.quiet_point
            if task.waiting is SLEEPING or task.waiting is HALTED or (event.yields_cpu and event.cpu in self.cpus.shared):
                self._learn_not_quiet()
            else:
                self._check_shut_out(m, task.held)
            self.quiet_point = None
        if self.cpus.depths or self.cpus.shared:
            event.leaves_cpu = not running
            event.leaves = event.process >= IRQS_FROM and all(record.irqs[number][0] != event.process for number in task.irqs)
            off = (task.waiting is HALTED and running) or (not event.leaves and task.held.irqs_off)
            gates = self._gates(m, event, off, event.leaves, running, m.preempt)
        self._add(event, gates)
        if task.waiting is PARKED and event.process < IRQS_FROM:
            record.parks.append((event.number, m.step + 1, task.reads))
        if task.waiting is SLEEPING:
            event.asleep = True
            if not task.finished:
                self.asleep.add(task.id)
        self._assign_findings(m, event)

    def _assign_findings(self, m: Machine, event: Event) -> None:
        """Assign the new findings to the events that made them; `event` is the last one."""
        events = self.record.events
        if len(m.findings) > self.found or len(m.notes) > self.noted:
            for finding in m.findings[self.found:] + m.notes[self.noted:]:
                at = next((at for at in reversed(events[self.since:]) if at.step <= finding.step), event)
                at.findings = [*at.findings, finding]
            self.found, self.noted = len(m.findings), len(m.notes)
        self.since = len(events)

    def _add(self, event: Event, gates: tuple[Access, ...]) -> None:
        """Add these accesses to a chosen event, and append it to the record and to the tree of its place."""
        record, tree = self.record, self.tree
        if gates:
            event.grows()
            event.accesses += gates
        event.base = base_of(record, event)
        order(record, event, event.accesses, event.base)
        record.add(event)
        if event.number in tree.promised:
            event.planned_accesses = tree.promised[event.number]
        place = tree.places[event.number]
        if isinstance(place, Place):
            place.tree[0] = Branch([event], event.number)

    # ---- interrupt gates and shared cpus -------------------------------------------------------------------------

    def _gates(self, m: Machine, event: Event, off_after: bool, leaves: bool, running: bool, preempt: bool) -> tuple[Access, ...]:
        """Return the accesses of the event to the interrupt gates of its cpu, and to the cpu itself if tasks share it.

        After the event interrupts are off (`off_after`), its task has the cpu (`running`). `leaves`: an interrupt ends with it.
        """
        depth, number, cpu, enters = self.depth, self.locations.number, event.cpu, event.enters
        out: tuple[Access, ...] = ()
        if cpu in self.cpus.depths:
            if enters or leaves:
                out += ((number(("level", cpu)), WRITE),
                        (number(("gate", cpu, depth)), PASS_ALONE if enters and leaves else ACQUIRE if enters else RELEASE))
            if depth < self.cpus.depths[cpu]:
                out += self._passage(cpu, depth, self.irqs_off, off_after)
        if cpu in self.cpus.shared:
            assert self.task is not None
            out += ((number(("ready", cpu)), READ),)
            if not depth:
                mode = (_PASSAGE[self.had_cpu_alone, running and not preemptible(self.task)] if preempt
                        else _HOLDING[self.had_cpu, running])
                if mode is not None:
                    out += ((number(("cpu", cpu)), mode),)
            if (enters or not depth) and self._current_matters(m, cpu):
                out += ((number(("current", cpu)), READ if enters else WRITE),)
        return out

    def _current_matters(self, m: Machine, cpu: int) -> bool:
        """True if interrupts ask which task of that shared cpu is `current`, and a task may lose the cpu at any point."""
        return m.preempt and any(m.tasks[id].cpu.number == cpu for id in self.locations.watched)

    def _passage(self, cpu: int, depth: int, off_before: bool, off_after: bool) -> tuple[Access, ...]:
        """Return the access of an event to the gate of an interrupt that might enter on top of it."""
        mode = _PASSAGE[off_before, off_after]
        return () if mode is None else ((self.locations.number(("gate", cpu, depth + 1)), mode),)
