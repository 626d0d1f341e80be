# SPDX-License-Identifier: MIT
"""lockdep: lock order cycles and interrupt-unsafe use, from the orders seen, without needing the deadlock.

What a task holds is a node: the locks in order, whether interrupts are off, whether it is in an interrupt. Taking a lock
is one lookup in the node; only a transition never made before comes here, is recorded, and is checked. So the fast path
costs one dictionary access, and learning goes on over all the runs of an image.

Which cycles can deadlock is decided as in kernel/locking/lockdep.c: an order is kept with how the first lock was held and how
the second was wanted. A rwlock's reader waits for a writer only (i386 in 2.4 is not fair), so a cycle in which a reader would
have to wait for a reader is none. A rw_semaphore is fair: its reader waits behind a waiting writer, and counts as one who waits.
And as there, the first cycle of a run is the only one told: two functions that nest three locks the other way round close
several cycles, and are one mistake. Another mistake has a run in which it comes first.

Runs must be pure functions of their schedule, so a report may only rest on orders seen in the same run: `alarmed` says
that the orders of all runs together hold a cycle, and that runs are worth doing `exact`, where nothing is remembered
between runs and every transition comes here.
"""

from __future__ import annotations

from typing import Any

from vmrace.harness.finding import Kind

NAME = "lockdep"


class Held(dict):
    """A lockset as a node: maps a lock to the node after taking it."""

    __slots__ = ("_off", "_on", "_tried", "dep", "in_irq", "irqs_off", "lock", "locks", "parent", "spinning")

    def __init__(self, dep: Lockdep, locks: tuple[Any, ...], irqs_off: bool, in_irq: bool):
        self.dep = dep
        self.locks = locks
        self.irqs_off = irqs_off
        self.in_irq = in_irq
        self.lock = locks[-1] if locks else None
        self.parent = dep.node(locks[:-1], irqs_off, in_irq) if locks else self
        self.spinning = sum(lock.spins for lock in locks)
        self._off: Held | None = None
        self._on: Held | None = None
        self._tried: dict[Any, Held] = {}

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __missing__(self, lock: Any) -> Held:
        node = self.dep.taken(self, lock)
        if not self.dep.exact:
            self[lock] = node
        return node

    def tried(self, lock: Any) -> Held:
        """The node after a trylock: nobody waited for it, so it makes no order and cannot hang an interrupt."""
        node = self._tried.get(lock)
        if node is None:
            node = self.dep.taken(self, lock, tried=True)
            if not self.dep.exact:
                self._tried[lock] = node
        return node

    def holds(self, lock: Any) -> bool:
        """Nobody else has it: what storing to a guarded field takes. The read side of a lock is shared."""
        return lock in self.locks

    def shares(self, lock: Any) -> bool:
        """Nobody writes under it: what loading a guarded field takes. Either side will do."""
        return lock in self.locks or getattr(lock, "read_side", lock) in self.locks

    def without(self, m: Any, lock: Any) -> Held:
        """Give back a lock that was not the last one taken."""
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
    """The orders seen on one image. `exact`: only those of the present run."""

    def __init__(self) -> None:
        self.exact = False
        self.alarmed = False
        self.nodes: dict[Any, Held] = {}
        self.forget()
        self.root = self.node((), False, False)
        self.irq_root = self.node((), False, True)

    def node(self, locks: tuple[Any, ...], irqs_off: bool, in_irq: bool) -> Held:
        key = (locks, irqs_off, in_irq)
        known = self.nodes.get(key)
        if known is None:
            known = self.nodes[key] = Held(self, locks, irqs_off, in_irq)
        return known

    def forget(self) -> None:
        """Start from nothing, as at boot."""
        # class -> class taken while it was held -> how: (the first is held by a reader, the second is wanted by a reader)
        self.after: dict[str, dict[str, set[tuple[bool, bool]]]] = {}
        self.used_in_irq: dict[tuple[str, bool], str] = {}      # (class, shared with other readers) -> function
        self.used_irqs_on: dict[tuple[str, bool], str] = {}
        self.reported: set[str] = set()
        self.cycle_told = False

    def set_exact(self, exact: bool) -> None:
        """In exact mode nothing is cached, so that every transition of every run is seen."""
        if exact or self.exact != exact:
            self.forget()
            for node in self.nodes.values():
                node.clear()
                node._tried.clear()
        self.exact = exact

    def taken(self, held: Held, lock: Any, tried: bool = False) -> Held:
        from vmrace.harness.machine.machine import m
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

    def _check_order(self, m: Any, before: str, after: str, reader_holds: bool, reader_waits: bool) -> None:
        path = [] if self.cycle_told or after not in self.after else self._path(after, reader_waits, before, reader_holds)
        if path:
            self.cycle_told = self.exact
            cycle = _rotated([before, *path[:-1]])
            self._tell(m, Kind.LOCKDEP.title(f"lock order {' -> '.join([*cycle, cycle[0]])}"))

    def _check_irqs(self, m: Any, cls: str) -> None:
        """An interrupt on the holder would wait for it for ever, unless both only read."""
        for inside, outside in ((False, False), (False, True), (True, False)):
            if (cls, inside) in self.used_in_irq and (cls, outside) in self.used_irqs_on:
                self._tell(m, Kind.LOCKDEP.title(f"{cls} taken in an interrupt and with interrupts on"),
                           f"in an interrupt in {self.used_in_irq[cls, inside]}, with interrupts on in {self.used_irqs_on[cls, outside]}")

    def _path(self, start: str, reader_waits: bool, goal: str, reader_holds: bool) -> list[str]:
        """A chain of orders from `start`, which is waited for, to `goal`, which is held, both included; [] if there is none.

        Each holder on the chain must be somebody that the one before waits for: a reader does not wait for a reader.
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

    def _tell(self, m: Any, title: str, detail: str = "") -> None:
        self.alarmed = True
        if self.exact and title not in self.reported:
            self.reported.add(title)
            m.note(title, NAME, detail)

    def recursion(self, m: Any, lock: Any) -> None:
        """The task that spins is the one that holds the lock: directly, or from an interrupt on top of itself."""
        how = "in an interrupt on its holder" if m.current.irq_depth else "again by its holder"
        m.report(Kind.DEADLOCK.title(f"{lock.cls} taken {how} in {m.where()}"), NAME)

    def returned_holding(self, m: Any, task: Any) -> None:
        names = ", ".join(lock.cls for lock in task.held.locks) or "interrupts off"
        m.report(Kind.LOCKDEP.title(f"{names} still held on return to user space"), NAME)


def unlocked_by_other(m, lock):
    owner = getattr(lock, "owner", None)
    m.report(Kind.LOCKDEP.title(f"{lock.cls} released by a task that does not hold it in {m.where()}"), NAME, f"held by {owner}")


def _rotated(cycle: list[str]) -> list[str]:
    """The same cycle, starting from its least name: one title however it was closed."""
    at = cycle.index(min(cycle))
    return cycle[at:] + cycle[:at]
