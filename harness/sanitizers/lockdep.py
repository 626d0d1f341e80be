# SPDX-License-Identifier: MIT
"""lockdep: cycles in the order of locks, and locks that are unsafe in interrupts, found from orders seen without a deadlock.

The lockset of a task is a node (`Held`): its locks in order, whether interrupts are off, whether it is in an interrupt. An acquire is
one lookup in the node. Only a transition that was never made before calls this module, is recorded, and is checked. Thus the fast path
costs one dictionary access, while orders are learnt over all runs of an image.

The rule that decides which cycles can deadlock is that of kernel/locking/lockdep.c. Each order is kept with the way in which the first
lock was held and the second was wanted. A reader of a rwlock waits for a writer only (i386 in 2.4 is not fair), so a cycle in which a
reader waits for a reader cannot deadlock. A rw_semaphore is fair: its reader waits behind a waiting writer, and counts as a waiter. Only
the first cycle of a run is reported, as in the kernel. Two functions that nest three locks the other way round close several cycles and
are one mistake; another mistake has a run in which its cycle comes first.

A run must be a pure function of its schedule, so a report may rest only on orders that were seen in the same run. `alarmed` is true
once the orders of all runs together contain a cycle. Runs are then worth repeating in `exact` mode, in which nothing is kept from one
run to the next and every transition calls this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from vmrace.harness.finding import Kind
from vmrace.harness.machine.machine import Machine, m

if TYPE_CHECKING:
    from vmrace.harness.machine.task import Task

NAME = "lockdep"


class Lock(Protocol):
    """A lock of the kernel toolkit, or one side of it.

    A class may also have `shared` (its holders do not exclude each other), `reads` (it guards no stores) and `read_side`.
    """

    @property
    def name(self) -> str:
        """The name of this lock."""

    @property
    def cls(self) -> str:
        """Its class: orders are kept for classes, as in the kernel. The locks of one field of a struct are one class."""

    @property
    def spins(self) -> bool:
        """True if a task waits for it on the cpu, false if it sleeps."""


class Held(dict["Lock", "Held"]):
    """A lockset as a node of a tree: it maps a lock to the node after the acquire of that lock.

    `locks` are in the order of their acquires; `lock` is the last of them, and `parent` the node without it. `spinning` is the number
    of locks that are spun for.
    """

    __slots__ = ("_off", "_on", "_tried", "dep", "in_irq", "irqs_off", "lock", "locks", "parent", "spinning")

    def __init__(self, dep: Lockdep, locks: tuple[Lock, ...], irqs_off: bool, in_irq: bool):
        self.dep = dep
        self.locks = locks
        self.irqs_off = irqs_off
        self.in_irq = in_irq
        self.lock = locks[-1] if locks else None
        self.parent: Held = dep.node(locks[:-1], irqs_off, in_irq) if locks else self
        self.spinning = sum(lock.spins for lock in locks)
        self._off: Held | None = None
        self._on: Held | None = None
        self._tried: dict[Lock, Held] = {}

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __missing__(self, lock: Lock) -> Held:
        node = self.dep.taken(self, lock)
        if not self.dep.exact:
            self[lock] = node
        return node

    def tried(self, lock: Lock) -> Held:
        """Return the node after a trylock of `lock`. A trylock never waits, so it makes no order and cannot hang an interrupt."""
        node = self._tried.get(lock)
        if node is None:
            node = self.dep.taken(self, lock, tried=True)
            if not self.dep.exact:
                self._tried[lock] = node
        return node

    def holds(self, lock: Lock) -> bool:
        """True if `lock` is held exclusively, as a store to a guarded field needs. A read side is another lock than its rwlock."""
        return lock in self.locks

    def shares(self, lock: Lock) -> bool:
        """True if `lock` or its read side is held, as a load of a guarded field needs."""
        return lock in self.locks or getattr(lock, "read_side", lock) in self.locks

    def without(self, m: Machine, lock: Lock) -> Held:
        """Return the node after the release of `lock`, which may be any of the locks. Report if it is not held."""
        if lock not in self.locks:
            unlocked_by_other(m, lock)
        at = len(self.locks) - 1 - self.locks[::-1].index(lock)
        return self.dep.node(self.locks[:at] + self.locks[at + 1:], self.irqs_off, self.in_irq)

    def with_irqs_off(self) -> Held:
        if self._off is None:
            self._off = self.dep.node(self.locks, True, self.in_irq)
        return self._off

    def with_irqs_on(self) -> Held:
        if self._on is None:
            self._on = self.dep.node(self.locks, False, self.in_irq)
        return self._on


class Lockdep:
    """The orders of locks that were seen on one image; in `exact` mode, those of the present run."""

    def __init__(self) -> None:
        self.exact = False
        self.alarmed = False
        self.nodes: dict[tuple[tuple[Lock, ...], bool, bool], Held] = {}
        self.forget()
        self.root = self.node((), False, False)
        self.irq_root = self.node((), False, True)

    def node(self, locks: tuple[Lock, ...], irqs_off: bool, in_irq: bool) -> Held:
        """Return the one node of this lockset."""
        key = (locks, irqs_off, in_irq)
        known = self.nodes.get(key)
        if known is None:
            known = self.nodes[key] = Held(self, locks, irqs_off, in_irq)
        return known

    def forget(self) -> None:
        """Forget every order, as at boot."""
        # class -> class acquired while it was held -> ways: (a reader holds the first, a reader wants the second)
        self.after: dict[str, dict[str, set[tuple[bool, bool]]]] = {}
        self.used_in_irq: dict[tuple[str, bool], str] = {}      # (class, shared with other readers) -> function
        self.used_irqs_on: dict[tuple[str, bool], str] = {}
        self.reported: set[str] = set()
        self.cycle_reported = False

    def begin_anew(self) -> None:
        """Forget every order and every cached transition, so the next run shows what it alone does."""
        self.forget()
        for node in self.nodes.values():
            node.clear()
            node._tried.clear()

    def set_exact(self, exact: bool) -> None:
        """Turn exact mode on or off. In it no node is cached, so every transition of every run calls `taken`."""
        if exact or self.exact != exact:
            self.begin_anew()
        self.exact = exact

    def taken(self, held: Held, lock: Lock, tried: bool = False) -> Held:
        """Record and check an acquire of `lock` by a task that holds `held`; return its new node. `tried`: by a trylock."""
        assert held.dep is self, (held.locks, lock)         # else a task began with the root of another image
        shared = getattr(lock, "shared", False)
        for other in () if tried else held.locks:
            same = other.cls == lock.cls
            before, after = (other.name, lock.name) if same else (other.cls, lock.cls)
            how = getattr(other, "shared", False), shared
            seen = self.after.setdefault(before, {}).setdefault(after, set())
            if how not in seen:
                seen.add(how)
                self._check_order(m, before, after, *how)
        if lock.spins:
            used = (None if tried else self.used_in_irq) if held.in_irq else self.used_irqs_on if not held.irqs_off else None
            if used is not None:
                if (lock.cls, shared) not in used:
                    used[lock.cls, shared] = m.where()
                self._check_irqs(m, lock.cls)
        return self.node((*held.locks, lock), held.irqs_off, held.in_irq)

    def _check_order(self, m: Machine, before: str, after: str, reader_holds: bool, reader_waits: bool) -> None:
        path = [] if self.cycle_reported or after not in self.after else self._path(after, reader_waits, before, reader_holds)
        if path:
            self.cycle_reported = self.exact
            cycle = _rotated([before, *path[:-1]])
            self._report(m, Kind.LOCKDEP.title(f"lock order {' -> '.join([*cycle, cycle[0]])}"))

    def _check_irqs(self, m: Machine, cls: str) -> None:
        """Report a lock acquired both in an interrupt and with interrupts on: the interrupt may hit the holder, and wait for it for ever.

        Two readers do not wait for each other.
        """
        for inside, outside in ((False, False), (False, True), (True, False)):
            if (cls, inside) in self.used_in_irq and (cls, outside) in self.used_irqs_on:
                self._report(m, Kind.LOCKDEP.title(f"{cls} taken in an interrupt and with interrupts on"),
                           f"in an interrupt in {self.used_in_irq[cls, inside]}, with interrupts on in {self.used_irqs_on[cls, outside]}")

    def _path(self, start: str, reader_waits: bool, goal: str, reader_holds: bool) -> list[str]:
        """Return a chain of orders from `start`, which a task waits for, to `goal`, which it holds, both included; [] if there is none.

        On the chain each waiter must really wait for the holder: a reader does not wait for a reader.
        """
        todo, seen = [([start], reader_waits)], {(start, reader_waits)}
        while todo:
            path, reads = todo.pop(0)
            if path[-1] == goal and not (reads and reader_holds):
                return path
            for following, ways in sorted(self.after.get(path[-1], {}).items()):
                for held, wanted in sorted(ways):
                    if not (reads and held) and (following, wanted) not in seen:
                        seen.add((following, wanted))
                        todo.append(([*path, following], wanted))
        return []

    def _report(self, m: Machine, title: str, detail: str = "") -> None:
        self.alarmed = True
        if self.exact and title not in self.reported:
            self.reported.add(title)
            m.note(title, NAME, detail)

    def recursion(self, m: Machine, lock: Lock) -> NoReturn:
        """Report that the task that spins for `lock` holds it: the same function acquires it twice, or an interrupt on its holder does."""
        how = "in an interrupt on its holder" if m.current.irq_depth else "again by its holder"
        m.report(Kind.DEADLOCK.title(f"{lock.cls} taken {how} in {m.where()}"), NAME)

    def returned_holding(self, m: Machine, task: Task) -> NoReturn:
        """Report that an operation or a handler of `task` ended with a lock held or interrupts off."""
        assert task.held.locks or task.held.irqs_off, task      # else it is empty, and another node than the root: of another image
        names = ", ".join(lock.cls for lock in task.held.locks) or "interrupts off"
        m.report(Kind.LOCKDEP.title(f"{names} still held on return to user space"), NAME)


def unlocked_by_other(m: Machine, lock: Lock) -> NoReturn:
    """Report that the running task releases `lock` and does not hold it."""
    owner = getattr(lock, "owner", None)
    m.report(Kind.LOCKDEP.title(f"{lock.cls} released by a task that does not hold it in {m.where()}"), NAME, f"held by {owner}")


def _rotated(cycle: list[str]) -> list[str]:
    """Return the cycle from its least name on, so that one cycle has one title, whichever acquire closed it."""
    at = cycle.index(min(cycle))
    return cycle[at:] + cycle[:at]
