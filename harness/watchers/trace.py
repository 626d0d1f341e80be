# SPDX-License-Identifier: MIT
"""Traces. A trace is made by a replay of a run's decisions with a recorder, and never during a search.

Its events are the accesses, in the order in which they were made: a task that was preempted before its access makes it when it goes on.
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
from vmrace.harness.machine.sites import innermost, sites
from vmrace.harness.machine.task import Cpu, Task
from vmrace.harness.watchers.race import Watch

LOCKS = {points.ACQUIRE: "lock", points.RELEASE: "unlock", points.TRYLOCK: "trylock"}


@dataclass
class Event:
    """One access: its step, task and cpu, its kind and object. `function` is the innermost kernel function that is not an accessor."""

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

    def line(self) -> str:
        return f"{self.task} {self.irq_depth} {points.NAMES[self.kind]} {self.obj} {self.arg} {self.label} {self.function}"


class Recorder:
    """The recorder of one run: `m.recorder` is this object, and `m.observer` its method `switched`.

    `watch()` returns a text for the present state of each object of interest. `also` is another recorder that is called at each point.
    Without `stacks`, events have no stack, which takes most of the time and is not in the digest.
    """

    def __init__(self, m: Machine, watch: Callable[[], dict[str, str]] | None = None, stacks: bool = True):
        self.m = m
        self.watch = watch
        self.stacks = stacks
        self.events: list[Event] = []
        self.suspended: dict[int, Event] = {}
        self.also: Watch | None = None

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        m = self.m
        me = m.current
        if self.watch is not None and self.events:
            self.events[-1].after = self.watch()
        waiting = self.suspended.get(me.id)
        if waiting is not None and me.irq_depth <= waiting.irq_depth and not (kind == points.IRQ and arg == "enter"):
            waiting.step = m.step - (kind not in (points.LOCAL, points.IRQ))    # it is made now, however long ago it was reached
            self.events.append(self.suspended.pop(me.id))
            if self.watch is not None:
                self.events[-1].after = self.watch()
        self.events.append(self._event(kind, obj, arg, me))
        if self.also is not None:
            self.also(kind, obj, arg)

    def orders(self, what: tuple[Any, ...], after: bool) -> None:
        """Pass an order of user space on to `also` (see kernel/order.py). It is no event."""
        if self.also is not None:
            self.also.orders(what, after)

    def switched(self, m: Machine, me: Task) -> None:
        """Suspend the event of `me`, which was preempted at a point, before its access."""
        if self.events and self.events[-1].task == me.id and self.events[-1].step == m.step:
            self.suspended[me.id] = self.events.pop()

    def finish(self) -> None:
        """End the trace of a run that is over. Suspended accesses were never made, except the one that ended the run."""
        last = self.m.findings[-1].task if self.m.findings else ""
        for task, event in self.suspended.items():
            if last == f"task{task}":
                event.step = self.m.findings[-1].step
                self.events.append(event)
        if self.watch is not None and self.events:
            self.events[-1].after = self.watch()

    def _event(self, kind: int, obj: Any, arg: Any, me: Task) -> Event:
        m = self.m
        frame = sys._getframe(2)
        stack = sites(m.image, frame) if self.stacks else ()
        label = label_of(m, kind, obj, arg, frame)
        return Event(m.step, me.id, me.cpu.number if me.cpu else 0, me.irq_depth, kind, name_of(obj), arg, label,
                     innermost(m.image, frame), stack, len(stack), tuple(lock.name for lock in me.held.locks))

    def digest(self) -> str:
        """Return the identity of the run: a hash over all events in order, as 16 hexadecimal digits."""
        out = hashlib.blake2b(digest_size=8)
        for event in self.events:
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
    if kind in LOCKS:
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
