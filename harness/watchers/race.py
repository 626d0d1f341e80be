# SPDX-License-Identifier: MIT
"""race: KCSAN. Two accesses to one location are a race if nothing orders them, at least one is a store, and at least one is plain.

The recorder is called at the points of one run, so a run without it costs nothing more. KCSAN has to observe both accesses at the same
time. This recorder keeps vector clocks (as FastTrack does, PLDI 2009): two accesses are a race if no chain of happens-before leads from
one to the other, however far apart they are in the run.

The kinds of access
    plain       a load or store of a field or array declared racy; read_word, write_word, __set_bit, __clear_bit.
    marked      atomic_t, the atomic bit operations, locks, wait queues, barriers.
    exempt      any access inside data_race(...), also in a function called there (kcsan.rst: "tooling such as KCSAN will not
                report"); `data_race(page).index = 0` exempts a store. Also the accesses of hardware, which uses point().

The races that are reported, for locations as in C: a field, an element of an array, a whole word of flags
    plain against plain     if one of them stores (LKMM, explanation.txt, "Plain accesses and data races").
    plain against marked    as KCSAN does by default: a plain load against an atomic store (CONFIG_KCSAN_IGNORE_ATOMICS=n), but not a
                            plain store against an atomic access (CONFIG_KCSAN_ASSUME_PLAIN_WRITES_ATOMIC=y). Thus `flags &= ~bits`
                            against set_bit() is a race, by its load. Against test_bit(), which reads one bit before or after, it
                            is none. KCSAN would report that pair, too, because it has another rule for a compound store.
    A title has both functions, with the store first: `store page.index in F and load in G`. Against an atomic store the title names
    only the plain load, which is at fault whichever store it meets: `load page.flags in F and atomic store`.
    A store of the value that was there already is reported; KCSAN's default (REPORT_VALUE_CHANGE_ONLY) leaves it out.

The orders between two accesses (LKMM; Documentation/memory-barriers.txt, atomic_t.txt, atomic_bitops.txt)
    program order           of a cpu, not of a task: a cpu runs a later access after a context switch, or in an interrupt that is
                            nested in what it interrupts. Two tasks of one cpu thus do not race; on two cpus they do.
    locks                   unlock -> later lock, trylock that succeeds; up -> down. Readers: after the last writer, before the next.
    user space              happens_before(...) and happens_after(...) of kernel/order.py, which a model of user space calls.
    a wait queue            each operation on it is a section of the queue's lock. A wake-up comes before everything that the sleeper
                            does after it returns from schedule().
    raise_irq               before the handler, on whichever cpu it runs.
    value-returning RMWs    atomic_dec_and_test, xchg, test_and_set_bit ... are full barriers: everything before one is before
                            everything after a later one on the same variable. Each bit of a word of flags is a variable of its
                            own, because two cpus that set different bits of one word have agreed on no protocol.
    the other atomics       atomic_inc, atomic_read, set_bit, clear_bit, test_bit order nothing by themselves. With a barrier
                            before the store, and a barrier after the load that read from it, they do (smp_mb__before_clear_bit, mb,
                            wmb, rmb; set_current_state and schedule have one). Dependencies do not.

Limits. A load under the lock that a racy field names is no point, so this recorder does not see it. A store without that lock is then
for lockset to report; it cannot if the field has two alternative guards. For each location only the last load and the last store of
each cpu are kept. A machine with one cpu has no races.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from vmrace.harness.call_stack import Stack, source_of
from vmrace.harness.finding import Finding, Kind
from vmrace.harness.kernel.atomic import atomic_t
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.struct import array
from vmrace.harness.kernel.wait import wait_queue_head_t
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import RUNNING, Task
from vmrace.harness.points import ACQUIRE, BARRIER, IRQ, LOCAL, READ, RELEASE, RMW, TRYLOCK, WAIT, WAKE, WRITE

if TYPE_CHECKING:
    from vmrace.harness.link.image import Image

NAME = "race"

LOAD, STORE, ATOMIC_STORE = "load", "store", "atomic store"
CONFLICTS = {LOAD: (STORE, ATOMIC_STORE), STORE: (LOAD, STORE), ATOMIC_STORE: (LOAD,)}

UNORDERED_RMW = ("atomic_inc", "atomic_dec", "atomic_add", "atomic_sub")        # they return nothing, and order nothing
NOT_PRIMITIVES = ("sched", "__call__")

Clock = list[int]


class Access:
    """One access. Its task reaches it at its point, and has made it by the time when the task reaches its next point."""

    __slots__ = ("arg", "cpu", "depth", "full", "kind", "obj", "reached", "stack", "step", "task", "tick", "word")

    def __init__(self, kind: int, obj: Any, arg: Any, task: Task, step: int, reached: int):
        self.kind = kind
        self.obj = obj
        self.arg = arg
        self.task = task
        self.cpu = task.cpu.number
        self.depth = task.irq_depth
        self.step = step
        self.reached = reached
        self.word = ""                          # LOAD, STORE or ATOMIC_STORE; "" if it takes no part in any race
        self.full = False                       # a value-returning RMW
        self.stack: Stack = ()
        self.tick = 0


class Watch:
    """The recorder of races in one run: `m.recorder` is this object, or `also` of another recorder. `findings` are the races."""

    def __init__(self, m: Machine, image: Image, cpus: int):
        self.m = m
        self.source = source_of(image)
        self.clocks: list[Clock] = [[0] * cpus for _ in range(cpus)]
        self.before_barrier: list[Clock] = [[0] * cpus for _ in range(cpus)]    # what a later marked store publishes
        self.seen: list[Clock] = [[0] * cpus for _ in range(cpus)]              # what marked loads have read, for a later barrier
        self.known: dict[Any, Clock] = {}       # what a lock, a variable or a queue passes on
        self.woken: dict[int, Clock] = {}
        self.raised: dict[int, Clock] = {}
        self.irqs_raised = -1
        self.waiting: dict[int, list[Access]] = {}
        self.places: dict[Any, list[dict[str, Access]]] = {}
        self.calls = 0
        self.findings: list[Finding] = []
        self.titles: set[str] = set()

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        """Record that `m.current` is at a point. It has now made every access that it had reached before."""
        m = self.m
        me = m.current
        self.calls += 1
        if kind == IRQ and arg == "left":
            return                              # the interrupted task has not gone on yet
        reached = self._catch_up(me, m.step - (kind not in (LOCAL, IRQ)))
        clock = self.clocks[me.cpu.number]
        if self.irqs_raised != m.irqs_raised:
            if self.irqs_raised >= 0:           # else: raised before the run
                self.raised.update({number: list(clock) for number in range(self.irqs_raised, m.irqs_raised)})
            self.irqs_raised = m.irqs_raised
        if kind == IRQ:
            if arg == "enter" and obj.number in self.raised:
                _join(clock, self.raised[obj.number])
        elif kind != LOCAL:
            access = Access(kind, obj, arg, me, m.step, self.calls)
            self._classify(access, sys._getframe(1))
            reached.append(access)

    def orders(self, what: tuple[Any, ...], after: bool) -> None:
        """Record an order of user space: see kernel/order.py."""
        me = self.m.current
        self.calls += 1
        self._catch_up(me, self.m.step)
        clock = self.clocks[me.cpu.number]
        if after:
            _join(clock, self.known.get(what))
        else:
            self._publish(what, clock)
            clock[me.cpu.number] += 1

    def _catch_up(self, me: Task, step: int) -> list[Access]:
        """Make the accesses that `me` had reached: at `step`, if it was preempted before. Return those that its interrupts delay."""
        reached = self.waiting.setdefault(me.id, [])
        while reached and reached[-1].depth >= me.irq_depth:
            access = reached.pop()
            if self.calls != access.reached + 1:
                access.step = step
            self._made(access)
        return reached

    def _classify(self, access: Access, frame: FrameType) -> None:
        kind, obj, arg = access.kind, access.obj, access.arg
        if kind not in (READ, WRITE, RMW):
            return
        if isinstance(obj, atomic_t):
            access.full = kind == RMW and _primitive(frame) not in UNORDERED_RMW
            return
        if isinstance(obj, flags_t) and arg is not None:
            access.full = kind == RMW
            access.word = ATOMIC_STORE if kind != READ else ""
        elif isinstance(obj, flags_t | array) or isinstance(arg, str):
            access.word = LOAD if kind == READ else STORE
        if access.word:
            access.stack = self.source.stack(frame)
            if not access.stack:
                access.word = ""

    # ---- what an access orders -----------------------------------------------------------------------------------------

    def _made(self, access: Access) -> None:
        cpu, kind, obj = access.cpu, access.kind, access.obj
        clock = self.clocks[cpu]
        clock[cpu] += 1
        if kind in (READ, WRITE, RMW):
            if isinstance(obj, atomic_t):
                self._marked(access, obj)
            elif isinstance(obj, flags_t) and access.arg is not None:
                self._marked(access, (obj, access.arg))
            if access.word:
                self._meets(access)
        elif kind == ACQUIRE or (kind == TRYLOCK and (obj.read_side if access.arg == "read" else obj) in access.task.held.locks):
            _join(clock, self.known.get(obj))
            if access.arg != "read":
                _join(clock, self.known.get((obj, "readers")))
        elif kind == RELEASE:
            self._publish((obj, "readers") if access.arg == "read" else obj, clock)
        elif kind == BARRIER:
            self._barrier(cpu, access.arg)
        elif isinstance(obj, wait_queue_head_t):
            _join(clock, self.known.get(obj))
            self._publish(obj, clock)
            if kind == WAKE:
                for task, _ in obj.entries:
                    if task.state == RUNNING:
                        _join(self.woken.setdefault(task.id, [0] * len(clock)), clock)
        elif kind == WAIT:
            self._barrier(cpu, "mb")
            woken = self.woken.pop(obj.id, None)
            if obj.state == RUNNING:            # else it is about to sleep, and an earlier wake-up does not count
                _join(clock, woken)

    def _marked(self, access: Access, variable: Any) -> None:
        cpu = access.cpu
        clock, known = self.clocks[cpu], self.known.get(variable)
        if access.full:
            self._barrier(cpu, "mb")
            _join(clock, known)
            self._publish(variable, clock)
            self._barrier(cpu, "mb")
            return
        if access.kind != WRITE or not isinstance(variable, atomic_t):      # set_bit keeps the rest of its word
            _join(self.seen[cpu], known)
        if access.kind == WRITE and isinstance(variable, atomic_t):
            self.known[variable] = list(self.before_barrier[cpu])
        elif access.kind != READ:
            self._publish(variable, self.before_barrier[cpu])

    def _barrier(self, cpu: int, what: str) -> None:
        if what == "cpu_relax":
            return
        if what != "wmb":
            _join(self.clocks[cpu], self.seen[cpu])
        if what != "rmb":
            self.before_barrier[cpu] = list(self.clocks[cpu])

    def _publish(self, through: Any, clock: Clock) -> None:
        known = self.known.get(through)
        if known is None:
            self.known[through] = list(clock)
        else:
            _join(known, clock)

    # ---- races ---------------------------------------------------------------------------------------------------------

    def _meets(self, access: Access) -> None:
        """Report each earlier access that conflicts with this one and is not ordered before it."""
        clock = self.clocks[access.cpu]
        access.tick = clock[access.cpu]
        location = access.obj if isinstance(access.obj, flags_t) else (access.obj, access.arg)
        place = self.places.get(location)
        if place is None:
            place = self.places[location] = [{} for _ in clock]
        for cpu, last in enumerate(place):
            if cpu != access.cpu:
                for word in CONFLICTS[access.word]:
                    other = last.get(word)
                    if other is not None and other.tick > clock[cpu]:
                        self._report(other, access)
        place[access.cpu][access.word] = access

    def _report(self, earlier: Access, later: Access) -> None:
        first, second = sorted((earlier, later), key=lambda access: (access.word == LOAD, self.source.function(access.stack)))
        where, other = self.source.function(first.stack), self.source.function(second.stack)
        if first.word == ATOMIC_STORE:
            title = Kind.RACE.title(f"load {_kind(second)} in {other} and {ATOMIC_STORE}")
        else:
            title = Kind.RACE.title(f"{STORE} {_kind(first)} in {where} and {second.word} in {other}")
        if title in self.titles:
            return
        self.titles.add(title)
        sites = self.source.sites(earlier.stack)
        at = f"{sites[-1].path.rpartition('/')[2]}:{sites[-1].line}"
        self.findings.append(Finding(
            title, NAME, later.step, later.task.name, later.cpu,
            f"{_instance(later)}: nothing orders it after the {earlier.word} by {earlier.task.name} at step {earlier.step}, "
            f"in {self.source.function(earlier.stack)} ({at})", self.source.sites(later.stack)))


def _join(clock: Clock, other: Clock | None) -> None:
    if other is not None:
        for cpu, tick in enumerate(other):
            if tick > clock[cpu]:
                clock[cpu] = tick


def _primitive(frame: FrameType) -> str:
    """Return the name of the primitive that has passed this point."""
    while frame.f_code.co_name in NOT_PRIMITIVES and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name


def _kind(access: Access) -> str:
    """Return the type and the field of the location, without the name of an instance."""
    obj = access.obj
    if not isinstance(obj, flags_t | array):
        return f"{type(obj).__name__}.{access.arg}"
    return f"{type(obj.struct).__name__}.{obj.name.rpartition('.')[2]}" if obj.struct is not None else obj.name


def _instance(access: Access) -> str:
    if isinstance(access.obj, flags_t):
        return access.obj.name
    return f"{access.obj.name}[{access.arg}]" if isinstance(access.obj, array) else f"{access.obj.name}.{access.arg}"
