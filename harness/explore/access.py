# SPDX-License-Identifier: MIT
"""What an event touches, and which pairs of touches depend on each other.

An event is one access of one process (a task, or an interrupt being handled) with all the local work behind it, up to its
next point. Two events are dependent if one location is touched by both in modes that conflict; all other events commute. So
everything by which one process can influence another has to be a location here: besides data and locks these are the
interrupt gate of a cpu (shut while a handler runs or interrupts are off) and the cpu itself where several tasks share it.

Locks, gates and cpus are taken and given back. Taking cannot come before the giving back that made it possible, so what is
reversed is the order of two takings (see optimal.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vmrace.harness import points
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.machine.task import RUNNING, Cpu, Task
from vmrace.harness.sanitizers.lifetime import ALLOCATED, FREED
from vmrace.harness.sanitizers.links import owners

READ, WRITE = 0, 1                          # of data; an atomic update is a WRITE
PART_READ, PART_WRITE = 2, 3                # the whole word or struct, when only a part of it is touched
ACQUIRE, RELEASE = 4, 5                           # exclusively
ACQUIRE_SHARED, RELEASE_SHARED = 6, 7
TRY = 8                                     # looks at a lock, and may take it: possible at any time
PASS = 9                                    # taken shared and given back within the event
PASS_ALONE = 10                             # taken exclusively and given back within the event
LEAVE_SHARED = 11                           # the last reader lets somebody in, whoever is the last
BEGIN, END = 12, 13                         # each conflicts with the other only: what user space does, and who is ready on a cpu

_PAIRS = (
    (READ, (WRITE, PART_WRITE)), (WRITE, (WRITE, PART_READ, PART_WRITE, LEAVE_SHARED)),
    (LEAVE_SHARED, (LEAVE_SHARED,)),
    (ACQUIRE, (ACQUIRE, RELEASE, ACQUIRE_SHARED, RELEASE_SHARED, TRY, PASS, PASS_ALONE)),
    (RELEASE, (ACQUIRE_SHARED, TRY, PASS, PASS_ALONE)), (ACQUIRE_SHARED, (TRY, PASS_ALONE)), (RELEASE_SHARED, (TRY, PASS_ALONE)),
    (TRY, (TRY,)), (PASS, (PASS_ALONE,)), (PASS_ALONE, (PASS_ALONE,)),
    (BEGIN, (END,)),
)
CONFLICTS = [0] * 14                        # mode -> set of modes it conflicts with, as bits
for _one, _others in _PAIRS:
    for _other in _others:
        CONFLICTS[_one] |= 1 << _other
        CONFLICTS[_other] |= 1 << _one

RIVALS = [tuple(mode for mode in range(len(CONFLICTS)) if modes >> mode & 1) for modes in CONFLICTS]       # mode -> those modes
ACQUIRES = 1 << ACQUIRE | 1 << ACQUIRE_SHARED | 1 << PASS | 1 << PASS_ALONE      # not possible while somebody else has it
RELEASES = 1 << RELEASE | 1 << RELEASE_SHARED

Access = tuple[int, int]                    # location, mode
Point = tuple[int, Any, Any]                # kind, object, argument

MAY_BE_QUIET = frozenset((points.READ, points.WRITE, points.RMW, points.ACQUIRE, points.TRYLOCK, points.RELEASE, points.BARRIER,
                           points.LOCAL, points.MASK))
_SEVERAL = -1


class Locations:
    """Numbers for locations, in the order in which they are first touched.

    A word of flags or a struct may also be touched as a whole. Parts then touch the whole too, in modes that only conflict
    with whole accesses. Which objects are ever touched whole is learned: `restart` says that something was learned late.
    A point that touches an object which is ever freed touches (object, FREED), too. Which objects are is learned as well.

    So is what is shared. A point is quiet if nobody can tell when it is passed: what it touches is touched by one process only,
    in all runs, or is never written; and while it is passed nothing else becomes visible, and no interrupt is shut out. Quiet
    points are no events of their own but belong to the event before (Lipton's left movers; the assumption is checked as one
    goes, as in Stoller and Cohen, "Optimistic Synchronization-Based State-Space Reduction", TACAS 2003). Where interrupts ask
    for current, its task has none. Not explored is how far a process came over which another one died: nobody can tell.
    """

    def __init__(self, up: bool = False) -> None:
        self.up = up                        # one cpu: spinlocks exclude nobody
        self.numbers: dict[Any, int] = {}
        self.keys: list[Any] = []
        self.wholes: set[Any] = set()
        self.mortal: set[Any] = set()           # structs that are freed
        self.known: dict[tuple[int, Any, Any], tuple[Access, ...]] = {}
        self.unannounced: set[int] = set()      # locations that an event may touch without having said so at its point
        self.restart = False
        self.shared: set[int] = set()           # by several processes, one of which writes
        self.not_quiet: set[Point] = set()      # points that are not quiet although they touch nothing shared
        self.watched: set[int] = set()          # tasks that an interrupt may have found to be current
        self.owner: dict[int, int] = {}         # location -> the process that touches it, or _SEVERAL
        self.written: set[int] = set()
        self.points: dict[int, dict[Point, tuple[Access, ...] | None]] = {}     # process -> its points, see `seen`

    def seen(self, process: int, at: Point) -> tuple[Access, ...] | None:
        """That is a point of that process: what it touches, or None if it is, as far as is known, a quiet one."""
        known = self.seen_by(process)
        if at in known:
            return known[at]
        accesses = self.announced(at)
        quiet = at[0] in MAY_BE_QUIET and at not in self.not_quiet and process not in self.watched
        for location, mode in accesses:
            quiet = self._alone(process, location, mode) and quiet
        known[at] = None if quiet else accesses
        return known[at]

    def seen_by(self, process: int) -> dict[Point, tuple[Access, ...] | None]:
        known = self.points.get(process)
        if known is None:
            known = self.points[process] = {}
        return known

    def _alone(self, process: int, location: int, mode: int) -> bool:
        if location in self.shared:
            return False
        writes = mode != READ and mode != PART_READ
        owner = self.owner.get(location, process)
        if owner != process:
            if writes or location in self.written:
                self.share(location)
                return False
            owner = _SEVERAL
        self.owner[location] = owner
        if writes:
            self.written.add(location)
        return True

    def share(self, location: int) -> None:
        """It is touched by several, or without a point of its own."""
        if location not in self.shared:
            self.shared.add(location)
            self.restart = self.restart or location in self.owner

    def is_not_quiet(self, at: Point) -> None:
        """That point was taken to be quiet, and is not."""
        self.not_quiet.add(at)
        self.restart = True

    def watch(self, tasks: set[int]) -> None:
        """Interrupts have looked who they came over: these it may have been."""
        if not tasks <= self.watched:
            self.watched |= tasks
            self.restart = True

    def forget(self) -> None:
        """What is derived from what was known, for more was learned."""
        self.restart = False
        self.points.clear()

    def forget_processes(self) -> None:
        """What has which number is for another explorer to say."""
        self.forget()
        self.watched.clear()
        self.owner.clear()
        self.written.clear()

    def number(self, key: Any) -> int:
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return number

    def touched(self, what: Any, kind: int) -> Access:
        """What is touched without a point of its own."""
        if self._is_memory(what):
            self._frees(what[0])
        number = self.number(what)
        self.unannounced.add(number)
        self.share(number)
        return number, touched_mode(kind)

    def is_moot(self, what: Any, kind: int) -> bool:
        """True if it is only looked at whether an object is free that, as far as is known, nobody frees."""
        return kind == points.READ and self._is_memory(what) and what[0] not in self.mortal

    @staticmethod
    def _is_memory(what: Any) -> bool:
        return isinstance(what, tuple) and what[1:] == (FREED,)

    def _frees(self, obj: Any) -> None:
        if obj not in self.mortal:
            self.mortal.add(obj)
            self.known.clear()
            self.restart = True

    def of(self, kind: int, obj: Any, arg: Any, task: Task) -> tuple[Access, ...]:
        """What the access announced at a point touches."""
        if kind == points.WAKE:
            woken = tuple((self.number(key), WRITE) for key in dict.fromkeys([obj, *(entry[0] for entry in obj.entries)]))
            for location, _ in woken:
                self.share(location)
            return (*woken, *self._lives(obj))
        if kind == points.ACQUIRE and getattr(obj, "owner", None) is task:
            return ((self.number(obj), TRY), *self._lives(obj))         # it hangs, and that is a finding
        return self.announced((kind, obj, arg))

    def announced(self, at: tuple[int, Any, Any]) -> tuple[Access, ...]:
        """The same, if it does not depend on what others do (points.ALONE), or the lock is to be had."""
        found = self.known.get(at)
        if found is None:
            found = tuple(self._of(*at)) + tuple(self._lives(at[1], at[2]))
            self.known[at] = found
        return found

    def _lives(self, obj: Any, arg: Any = None) -> Iterator[Access]:
        """Each access to an object, or to a part of it, looks at whether the object is free. kfree() says so itself."""
        if self.mortal and arg != FREED:
            also = arg[0] if isinstance(arg, tuple) else obj
            for one in dict.fromkeys((*owners(obj), *owners(also))):
                if one in self.mortal:
                    yield self.number((one, FREED)), READ

    def _of(self, kind: int, obj: Any, arg: Any) -> Iterable[Access]:
        if kind in (points.BARRIER, points.IRQ, points.LOCAL, points.MASK):
            return
        if isinstance(obj, Cpu):
            yield self.number(obj), BEGIN           # is a task ready there? Comers and goers, END, do not conflict with each other
            return
        if getattr(obj, "spins", None) is not None:
            if self.up and obj.spins:
                return
            yield self.number(obj), _lock_mode(kind, bool(obj.spins), arg == "read")
        elif isinstance(obj, Task):
            if arg != RUNNING:          # whoever wakes it stores RUNNING too, and does the same whichever of the two is first
                yield self.number(obj), WRITE
        elif kind == points.WAIT:
            yield self.number(obj), WRITE
        elif isinstance(obj, list_head) and isinstance(arg, tuple):
            yield from self._links(kind, obj, arg[0])
        elif isinstance(obj, flags_t | struct | array):
            if arg == FREED:
                self._frees(obj)
            yield from self._part(kind, obj, arg)
        else:
            yield self.number(obj), READ if kind == points.READ else WRITE
            if getattr(obj, "refcount", False) and obj.struct is not None:
                yield self.number((obj.struct, ALLOCATED)), READ

    def _links(self, kind: int, head: Any, link: Any) -> Iterable[Access]:
        """A list is one location, and each of its links one more: a link can be on another list before. On a free list it is what
        frees its object, or has it allocated."""
        mode = READ if kind == points.READ else WRITE
        yield self.number(head), mode
        if link is not head:
            yield self.number(link), mode
            if head.freelist and mode == WRITE and link.struct is not None:
                if not head.type_stable:
                    self._frees(link.struct)
                yield self.number((link.struct, ALLOCATED if head.type_stable else FREED)), WRITE

    def _part(self, kind: int, obj: Any, arg: Any) -> Iterable[Access]:
        reads = kind == points.READ
        if arg is None:
            if obj not in self.wholes:
                self.wholes.add(obj)
                self.known.clear()
                self.restart = True
            yield self.number(obj), READ if reads else WRITE
        else:
            yield self.number((obj, arg)), READ if reads else WRITE
            if obj in self.wholes:
                yield self.number(obj), PART_READ if reads else PART_WRITE


def touched_mode(kind: int) -> int:
    """The mode of an access without a point of its own."""
    return {points.BEGIN: BEGIN, points.END: END, points.READ: READ}.get(kind, WRITE)


def _lock_mode(kind: int, spins: bool, shared: bool) -> int:
    if not spins:                           # one sleeps for it: asking is always possible, and has an effect
        if kind == points.RELEASE and shared:
            return LEAVE_SHARED
        return READ if kind == points.ACQUIRE and shared else WRITE
    if kind == points.ACQUIRE:
        return ACQUIRE_SHARED if shared else ACQUIRE
    if kind == points.RELEASE:
        return RELEASE_SHARED if shared else RELEASE
    return TRY


def conflict(one: Iterable[Access], other: Iterable[Access]) -> bool:
    """Do two events depend on each other?"""
    for location, mode in one:
        for there, how in other:
            if location == there and CONFLICTS[mode] >> how & 1:
                return True
    return False

