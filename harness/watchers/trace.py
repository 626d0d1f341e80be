# SPDX-License-Identifier: MIT
"""Traces. A trace is made by a replay of a run's decisions with a recorder, and never during a search.

Its events are the accesses, in the order in which they were made: a task that was preempted before its access, or that waits for the lock
that it acquires, makes it when it goes on. Between them stand the changes of the state of tasks: preempted, spins, sleeps, runs.

The digest of the trace is the identity of the run. The same decisions have the same digest on every backend.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from vmrace.harness import points
from vmrace.harness.finding import Site
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.sites import innermost, outermost, sites
from vmrace.harness.machine.stuck import sleeps
from vmrace.harness.machine.task import SLEEPING, Cpu, Task
from vmrace.harness.machine.watched import Observer
from vmrace.harness.watchers.race import Watch
from vmrace.harness.watchers.value import NO_VALUE, effect_of, result_of, value_of

LOCKS = {points.ACQUIRE: "lock", points.RELEASE: "unlock", points.TRYLOCK: "trylock"}

PREEMPTED, SPINS, SLEEPS, RUNS = "preempted", "spins", "sleeps", "runs"
CHANGES = (PREEMPTED, SPINS, SLEEPS, RUNS)      # `arg` of an event that is no access, but a change of a task's state


@dataclass
class Event:
    """One access: its step, task and cpu, its kind and object. `function` is the innermost kernel function that is not an accessor.

    `owner` is the outermost struct that contains the object. `value` is what a load returned, or what a store changed; with
    `kept`, a store left the old value there. `woke` has the tasks whose sleep the access ended. `after` describes the objects of interest
    after the access.

    An event at which an operation begins has the `result` of the one before, if that returned one.

    An event with an `arg` of CHANGES is no access: the task stops, or runs again after a sleep. Its `obj` is the lock that the task waits
    for, if any, and `by` the task that woke this one.
    """

    step: int
    task: int
    cpu: int
    irq_depth: int
    kind: int
    obj: str
    arg: Any
    label: str
    function: str
    stack: tuple[Site, ...]
    depth: int
    held: tuple[str, ...] = ()
    after: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    value: str = ""
    woke: tuple[int, ...] = ()
    by: int | None = None
    kept: bool = False
    result: str = ""

    @property
    def stores(self) -> bool:
        """True if the access changed its location, as far as the trace has values: else a read-modify-write may leave it as it was."""
        return self.kind == points.WRITE or (self.kind == points.RMW and not self.kept)

    @property
    def change(self) -> str:
        """The word of CHANGES that this event is, or "" if it is an access."""
        return self.arg if self.kind == points.LOCAL and self.arg in CHANGES else ""

    def line(self) -> str:
        return f"{self.task} {self.irq_depth} {points.NAMES[self.kind]} {self.obj} {self.arg} {self.label} {self.function}"


@dataclass
class _Reached:
    """A point that a task has reached, and whose access it has not made yet. `before` is the value just before the access."""

    event: Event
    obj: Any
    arg: Any
    before: Any = NO_VALUE


class Recorder(Observer):
    """The recorder of one run: `m.recorder` and `m.observer` are this object.

    `watch()` returns a text for the present state of each object of interest. `also` is another recorder that is called at each point.
    Without `stacks`, events have no stack, which takes most of the time and is not in the digest. Without `watch`, they have no values.
    """

    def __init__(self, m: Machine, watch: Callable[[], dict[str, str]] | None = None, stacks: bool = True):
        self.m = m
        self.watch = watch
        self.stacks = stacks
        self.events: list[Event] = []
        self.reached: _Reached | None = None
        self.stopped: dict[int, list[_Reached | None]] = {}     # task -> its stops, each with the access that it makes when it goes on
        self.waker: dict[int, int] = {}                         # task that slept -> the task that woke it
        self.results: dict[int, int] = {}                       # task -> results of operations so far
        self.also: Watch | None = None

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        self._made()
        event = self._event(kind, obj, arg, self.m.current)
        if kind == points.LOCAL:
            event.result = self._result(self.m.current)
        self.events.append(event)
        self._reach(_Reached(event, obj, arg))
        if self.also is not None:
            self.also(kind, obj, arg)

    def _result(self, me: Task) -> str:
        """Return the result of the operation that `me` has just ended, if it returned one for the first time here."""
        before, self.results[me.id] = self.results.get(me.id, 0), len(me.results)
        return result_of(me.results[-1][1]) if len(me.results) > before else ""

    def orders(self, what: tuple[Any, ...], after: bool) -> None:
        """Pass an order of user space on to `also` (see kernel/order.py). It is no event."""
        if self.also is not None:
            self.also.orders(what, after)

    def _reach(self, reached: _Reached) -> None:
        """Record that the running task makes this access next."""
        if self.watch is not None:
            reached.before = value_of(reached.obj, reached.arg)
        self.reached = reached

    def _made(self) -> None:
        """Complete the event of the access that was reached last. It has been made by now, and nothing else has happened since."""
        reached, self.reached = self.reached, None
        if reached is not None and self.watch is not None:
            null = "None" if self.m.image.core == "functions" else "NULL"
            event, now = reached.event, value_of(reached.obj, reached.arg)
            event.value = effect_of(event.kind, reached.before, now, null)
            event.kept = now is not NO_VALUE and type(now) is type(reached.before) and now == reached.before
            event.after = self.watch()

    # ---- tasks that stop and go on ---------------------------------------------------------------------------------------

    def preempted(self, m: Machine, me: Task) -> None:
        self._withdraw(me)
        decision = m.switches[-1]
        if decision < len(m.tasks) or (decision - len(m.tasks)) % len(m.cpus) != me.cpu.number:
            self._change(me, PREEMPTED)         # else: an interrupt of its own cpu

    def blocked(self, m: Machine, me: Task) -> None:
        if me.id == -1 or me.finished or (me.id < 0 and not me.irq_depth):
            self._made()
            return
        lock = me.wants if me.waiting is SLEEPING else me.waiting
        if lock is not None and self.reached is not None and self.reached.event.kind == points.ACQUIRE:
            self._withdraw(me)
        else:
            self._made()
            self.stopped.setdefault(me.id, []).append(None)
        if me.waiting is not None:
            self._change(me, SLEEPS if sleeps(me) else SPINS, name_of(lock) if lock is not None else "")

    def resumed(self, m: Machine, me: Task) -> None:
        stops = self.stopped.get(me.id)
        if not stops:
            return
        self._made()
        reached = stops.pop()
        if me.id in self.waker:
            self._change(me, RUNS, by=self.waker.pop(me.id))
        if reached is not None:
            reached.event.step = m.step         # it is made now, however long ago it was reached
            self.events.append(reached.event)
            self._reach(reached)

    def woken(self, m: Machine, task: Task) -> None:
        if self.reached is not None:
            self.reached.event.woke += (task.id,)
        self.waker[task.id] = m.current.id

    def _withdraw(self, me: Task) -> None:
        """Take the event of `me` back: its access is made only when it goes on."""
        reached, self.reached = self.reached, None
        if reached is not None:
            assert self.events[-1] is reached.event and reached.event.task == me.id, (me, self.events[-1])
            self.events.pop()
        self.stopped.setdefault(me.id, []).append(reached)

    def _change(self, me: Task, word: str, obj: str = "", by: int | None = None) -> None:
        function = innermost(self.m.image, me.waiting_frame or sys._getframe(2))
        self.events.append(Event(self.m.step, me.id, me.cpu.number, me.irq_depth, points.LOCAL, obj, word, word, function, (), 0, by=by))

    def finish(self) -> None:
        """End the trace of a run that is over. An access that a task never went on to make is not in it."""
        self._made()

    def _event(self, kind: int, obj: Any, arg: Any, me: Task) -> Event:
        m = self.m
        frame = sys._getframe(2)
        stack = sites(m.image, frame) if self.stacks else ()
        label = label_of(m, kind, obj, arg, frame)
        return Event(m.step, me.id, me.cpu.number if me.cpu else 0, me.irq_depth, kind, name_of(obj), arg, label,
                     innermost(m.image, frame), stack, len(stack), tuple(lock.name for lock in me.held.locks), owner=outermost(obj))

    def digest(self) -> str:
        """Return the identity of the run: a hash over all accesses in order, as 16 hexadecimal digits."""
        out = hashlib.blake2b(digest_size=8)
        for event in self.events:
            if not event.change:
                out.update(event.line().encode() + b"\n")
        return out.hexdigest()


def name_of(obj: Any) -> str:
    return str(getattr(obj, "name", obj)) if not isinstance(obj, str) else obj


def owner_of(obj: Any) -> str:
    """Return the name of the struct that embeds `obj`; the name of `obj` if it stands alone."""
    struct = getattr(obj, "struct", None)
    return struct.name if struct is not None else name_of(obj)


def label_of(m: Machine, kind: int, obj: Any, arg: Any, frame: FrameType | None) -> str:
    """Return the label of a point, as a person would name it: `page_cache_get(A)`, `unlock pagemap_lru_lock`, `read A.mapping`."""
    if kind == points.IRQ:
        return f"irq {obj.number} {arg}: {obj.name}"
    if kind == points.LOCAL:
        return f"{arg}"
    if kind in LOCKS and not getattr(obj, "sleeps", False):
        return f"{LOCKS[kind]} {name_of(obj)}"
    origin = m.image.origin
    accessor = primitive = ""
    while frame is not None:
        known = origin.get(frame.f_code)
        if known is None:
            if accessor or frame.f_code.co_name in ("_body", "_idle_body"):
                break
            if frame.f_code.co_name not in ("get", "put", "sched"):
                primitive = frame.f_code.co_name
        elif known.kernel_file.startswith("include/"):
            accessor = known.function
        else:
            break
        frame = frame.f_back
    if isinstance(obj, Task | Cpu):
        return accessor or primitive            # a barrier or a sleep: the line names the actor already
    if isinstance(arg, tuple):                  # of a list: the link, and "next", "prev" or ""
        link, slot = arg
        return f"{primitive}({name_of(link)})" if primitive else f"{points.NAMES[kind]} {name_of(link)}.{slot}"
    if accessor:
        return f"{accessor}({owner_of(obj)})"
    if isinstance(arg, str) and not primitive:
        return f"{points.NAMES[kind]} {name_of(obj)}.{arg}"
    if isinstance(arg, int) and not primitive:
        return f"{points.NAMES[kind]} {name_of(obj)}[{arg}]"
    return f"{primitive or points.NAMES[kind]}({name_of(obj)})" if not isinstance(arg, int) else f"{primitive}({owner_of(obj)} bit {arg})"
