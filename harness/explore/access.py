# SPDX-License-Identifier: MIT
"""The locations that an event touches, and which of two accesses depend on each other.

An event is one access of one process (a task, or an interrupt that is being handled) with all local work up to its next point.
Two events are dependent if both touch one location in modes that conflict; all other events commute. Every way in which one
process can influence another is therefore a location. Besides data and locks, these are the interrupt gate of a cpu (shut while
a handler runs or interrupts are off) and a cpu that several tasks share.

Processes acquire and release locks, gates and cpus. An acquire cannot come before the release that made it possible, so the
explorer reverses the order of two acquires (see optimal.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vmrace.harness import points
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.completion import completion
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.kernel.thread import thread
from vmrace.harness.machine.task import RUNNING, Cpu, Task
from vmrace.harness.sanitizers.lifetime import ALLOCATED, FREED
from vmrace.harness.sanitizers.links import owners

READ, WRITE = 0, 1                          # of data; an atomic update is a WRITE
PART_READ, PART_WRITE = 2, 3                # of the whole word or struct, by an event that touches only a part of it
ACQUIRE, RELEASE = 4, 5                     # exclusively
ACQUIRE_SHARED, RELEASE_SHARED = 6, 7
TRY = 8                                     # looks at a lock and may acquire it: possible at any time
PASS = 9                                    # acquires shared and releases within the event
PASS_ALONE = 10                             # acquires exclusively and releases within the event
LEAVE_SHARED = 11                           # a reader releases a sleeping lock: the last reader, whichever it is, lets a writer in
JOIN, FINISH = 14, 15                       # of a thread: its end always comes first
PUT, TAKE = 16, 17                          # of a completion, which keeps no order between them: see tokens.py
ASK = 18                                    # like JOIN or TAKE where tasks share the cpu: possible at any time, and may leave the cpu
BEGIN, END = 12, 13                         # conflict only with each other: steps of user space, and the tasks that are ready on a cpu

_PAIRS = (
    (READ, (WRITE, PART_WRITE)), (WRITE, (WRITE, PART_READ, PART_WRITE, LEAVE_SHARED)),
    (LEAVE_SHARED, (LEAVE_SHARED,)),
    (ACQUIRE, (ACQUIRE, RELEASE, ACQUIRE_SHARED, RELEASE_SHARED, TRY, PASS, PASS_ALONE)),
    (RELEASE, (ACQUIRE_SHARED, TRY, PASS, PASS_ALONE)), (ACQUIRE_SHARED, (TRY, PASS_ALONE)), (RELEASE_SHARED, (TRY, PASS_ALONE)),
    (TRY, (TRY,)), (PASS, (PASS_ALONE,)), (PASS_ALONE, (PASS_ALONE,)),
    (BEGIN, (END,)), (JOIN, (FINISH,)), (ASK, (FINISH, PUT, TAKE, ASK)),
)
CONFLICTS = [0] * 19                        # mode -> set of modes it conflicts with, as bits
for _mode, _rivals in _PAIRS:
    for _rival in _rivals:
        CONFLICTS[_mode] |= 1 << _rival
        CONFLICTS[_rival] |= 1 << _mode

RIVALS = [tuple(mode for mode in range(len(CONFLICTS)) if modes >> mode & 1) for modes in CONFLICTS]       # mode -> those modes
ACQUIRES = 1 << ACQUIRE | 1 << ACQUIRE_SHARED | 1 << PASS | 1 << PASS_ALONE      # impossible while another process has it
RELEASES = 1 << RELEASE | 1 << RELEASE_SHARED

Access = tuple[int, int]                    # location, mode
Point = tuple[int, Any, Any]                # kind, object, argument

MAY_BE_QUIET = frozenset((points.READ, points.WRITE, points.RMW, points.ACQUIRE, points.TRYLOCK, points.RELEASE, points.BARRIER,
                           points.LOCAL, points.MASK))
_SEVERAL = -1               # stands for a process where several processes touch a location


class Locations:
    """The locations of a program, numbered in the order in which runs first touch them, and what runs teach about them.

    An event may touch a word of flags or a struct as a whole. An access to a part then touches the whole too, in a mode that
    conflicts only with accesses to the whole. Runs teach which objects are touched whole; `restart` is true if one taught it late.
    An access to an object that is ever freed touches (object, FREED), too. Runs teach which objects these are.

    Runs also teach which locations are shared. A point is quiet if no other process can notice when it is passed: in all runs
    only one process touches its locations, or no process writes them; and passing it makes nothing else visible and shuts out no
    interrupt. A quiet point is no event of its own: it belongs to the event before it (Lipton's left movers). Each run checks
    this assumption, as in Stoller and Cohen, "Optimistic Synchronization-Based State-Space Reduction" (TACAS 2003). If an
    interrupt may ask for `current` on top of a task, that task has no quiet points. The explorer does not explore how far a
    process had come when another process died on top of it: no other process can tell.
    """

    def __init__(self, up: bool = False) -> None:
        self.up = up                        # one cpu: spinlocks exclude no process
        self.numbers: dict[Any, int] = {}
        self.keys: list[Any] = []
        self.wholes: set[Any] = set()
        self.mortal: set[Any] = set()           # structs that are freed
        self.announcements: dict[Point, tuple[Access, ...]] = {}        # point -> its accesses, see `announced`
        self.unannounced: set[int] = set()      # locations that an event may touch although its point does not announce it
        self.restart = False
        self.shared: set[int] = set()           # locations of several processes, one of which writes
        self.not_quiet: set[Point] = set()      # points that are not quiet although they touch nothing shared
        self.watched: set[int] = set()          # tasks that an interrupt may have found to be `current`
        self.owner: dict[int, int] = {}         # location -> the process that touches it, or _SEVERAL
        self.written: set[int] = set()
        self.points: dict[int, dict[Point, tuple[Access, ...] | None]] = {}     # process -> its points, see `visible`

    def visible(self, process: int, at: Point) -> tuple[Access, ...] | None:
        """Return the accesses of a point of that process; None if the point is quiet in all runs so far."""
        points_of_process = self.points_of(process)
        if at in points_of_process:
            return points_of_process[at]
        accesses = self.announced(at)
        quiet = (at[0] in MAY_BE_QUIET and at not in self.not_quiet and process not in self.watched
                 and not isinstance(at[1], completion | thread))
        for location, mode in accesses:
            quiet = self._is_unshared(process, location, mode) and quiet
        points_of_process[at] = None if quiet else accesses
        return points_of_process[at]

    def points_of(self, process: int) -> dict[Point, tuple[Access, ...] | None]:
        """Return the table that `visible` keeps of that process: point -> accesses, None for a quiet point."""
        table = self.points.get(process)
        if table is None:
            table = self.points[process] = {}
        return table

    def _is_unshared(self, process: int, location: int, mode: int) -> bool:
        """Note that the process touches the location. True if no other process can notice it."""
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
        """Learn that several processes touch the location, or that an event touches it without a point."""
        if location not in self.shared:
            self.shared.add(location)
            self.restart = self.restart or location in self.owner

    def learn_not_quiet(self, at: Point) -> None:
        """Learn that the point is not quiet although it touches nothing shared."""
        self.not_quiet.add(at)
        self.restart = True

    def watch(self, tasks: set[int]) -> None:
        """Learn that an interrupt asked for `current`, and that each of these tasks may have been it."""
        if not tasks <= self.watched:
            self.watched |= tasks
            self.restart = True

    def forget(self) -> None:
        """Forget which points are quiet: runs have taught more since that was worked out."""
        self.restart = False
        self.points.clear()

    def forget_processes(self) -> None:
        """Forget all that depends on the numbers of processes: another explorer gives them other numbers."""
        self.forget()
        self.watched.clear()
        self.owner.clear()
        self.written.clear()

    def number(self, key: Any) -> int:
        """Return the number of the location with that key."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return number

    def touched(self, process: int, key: Any, kind: int) -> Access | None:
        """Return the access of an event that touches a location without a point, and learn that events may do so. Return None if no other
        process can notice it in any run so far, as with quiet points."""
        if self._is_memory(key):
            self.learn_freed(key[0])
        number, mode = self.number(key), touched_mode(kind)
        if mode in (READ, WRITE) and self._is_unshared(process, number, mode):
            return None
        self.unannounced.add(number)
        self.share(number)
        return number, mode

    def is_moot(self, key: Any, kind: int) -> bool:
        """True if an event only asks whether an object is free, and no run so far frees that object."""
        return kind == points.READ and self._is_memory(key) and key[0] not in self.mortal

    @staticmethod
    def _is_memory(key: Any) -> bool:
        return isinstance(key, tuple) and key[1:] == (FREED,)

    def learn_freed(self, obj: Any) -> None:
        """Learn that some run frees the object."""
        if obj not in self.mortal:
            self.mortal.add(obj)
            self.announcements.clear()
            self.restart = True

    def accesses_of(self, kind: int, obj: Any, arg: Any, task: Task) -> tuple[Access, ...]:
        """Return the accesses of the point at which `task` is now, which may depend on the tasks that wait or on the holder."""
        if kind == points.WAKE:
            woken = tuple((self.number(key), WRITE) for key in dict.fromkeys([obj, *(entry[0] for entry in obj.entries)]))
            for location, _ in woken:
                self.share(location)
            return (*woken, *self._life_of(obj))
        if kind == points.ACQUIRE and getattr(obj, "owner", None) is task:
            return ((self.number(obj), TRY), *self._life_of(obj))       # the task hangs, and that is a finding
        if may_leave_cpu(obj, task):
            return ((self.number(obj), ASK), *self._life_of(obj))
        return self.announced((kind, obj, arg))

    def announced(self, at: Point) -> tuple[Access, ...]:
        """Return the accesses that a point announces. They are exact if no other process can change them (points.ALONE), or if the
        lock can be acquired."""
        accesses = self.announcements.get(at)
        if accesses is None:
            accesses = tuple(self._announce(*at)) + tuple(self._life_of(at[1], at[2]))
            self.announcements[at] = accesses
        return accesses

    def _life_of(self, obj: Any, arg: Any = None) -> Iterator[Access]:
        """Yield the read of each access to an object, or to a part of it: is the object free? kfree() announces its own access."""
        if self.mortal and arg != FREED:
            link = arg[0] if isinstance(arg, tuple) else obj
            for owner in dict.fromkeys((*owners(obj), *owners(link))):
                if owner in self.mortal:
                    yield self.number((owner, FREED)), READ

    def _announce(self, kind: int, obj: Any, arg: Any) -> Iterable[Access]:
        if kind in (points.BARRIER, points.IRQ, points.LOCAL, points.MASK):
            return
        if isinstance(obj, Cpu):
            yield self.number(obj), BEGIN           # is a task ready there? Tasks that become ready or leave (END) do not conflict
            return
        if isinstance(obj, thread):
            yield (self.number((obj, "start")), WRITE) if kind == points.SPAWN else (
                self.number(obj), JOIN if kind == points.ACQUIRE else FINISH)
        elif isinstance(obj, completion):
            yield self.number(obj), TAKE if kind == points.ACQUIRE else PUT
        elif getattr(obj, "spins", None) is not None:
            if self.up and obj.spins:
                return
            yield self.number(obj), _lock_mode(kind, bool(obj.spins), arg == "read")
        elif isinstance(obj, Task):
            if arg != RUNNING:          # a task that wakes it stores RUNNING too, and does the same if it comes second
                yield self.number(obj), WRITE
        elif kind == points.WAIT:
            yield self.number(obj), WRITE
        elif isinstance(obj, list_head) and isinstance(arg, tuple):
            yield from self._links(kind, obj, arg[0])
        elif isinstance(obj, flags_t | struct | array):
            if arg == FREED:
                self.learn_freed(obj)
            yield from self._part(kind, obj, arg)
        else:
            yield self.number(obj), READ if kind == points.READ else WRITE
            if getattr(obj, "refcount", False) and obj.struct is not None:
                yield self.number((obj.struct, ALLOCATED)), READ

    def _links(self, kind: int, head: Any, link: Any) -> Iterable[Access]:
        """Yield the accesses to a list. A list is one location, and each of its links one more: a link can be on another list before.
        An object is freed, or allocated, when its link goes to a free list or leaves it."""
        mode = READ if kind == points.READ else WRITE
        yield self.number(head), mode
        if link is not head:
            yield self.number(link), mode
            if head.freelist and mode == WRITE and link.struct is not None:
                if not head.type_stable:
                    self.learn_freed(link.struct)
                yield self.number((link.struct, ALLOCATED if head.type_stable else FREED)), WRITE

    def _part(self, kind: int, obj: Any, arg: Any) -> Iterable[Access]:
        """Yield the accesses to a part of a word or struct; to the whole of it if `arg` is None."""
        reads = kind == points.READ
        if arg is None:
            if obj not in self.wholes:
                self.wholes.add(obj)
                self.announcements.clear()
                self.restart = True
            yield self.number(obj), READ if reads else WRITE
        else:
            yield self.number((obj, arg)), READ if reads else WRITE
            if obj in self.wholes:
                yield self.number(obj), PART_READ if reads else PART_WRITE


def may_leave_cpu(obj: Any, task: Task) -> bool:
    """True if a task that is about to wait for the completion or the thread lets other tasks have its cpu if it has to wait."""
    return isinstance(obj, completion | thread) and task.cpu.shared and task.waiting is not obj


def touched_mode(kind: int) -> int:
    """Return the mode of an access without a point."""
    return {points.BEGIN: BEGIN, points.END: END, points.READ: READ}.get(kind, WRITE)


def _lock_mode(kind: int, spins: bool, shared: bool) -> int:
    if not spins:                           # tasks sleep for it: a task can always ask for it, and asking has an effect
        if kind == points.RELEASE and shared:
            return LEAVE_SHARED
        return READ if kind == points.ACQUIRE and shared else WRITE
    if kind == points.ACQUIRE:
        return ACQUIRE_SHARED if shared else ACQUIRE
    if kind == points.RELEASE:
        return RELEASE_SHARED if shared else RELEASE
    return TRY


def conflict(accesses: Iterable[Access], others: Iterable[Access]) -> bool:
    """True if two events with these accesses depend on each other."""
    for location, mode in accesses:
        for there, rival in others:
            if location == there and CONFLICTS[mode] >> rival & 1:
                return True
    return False

