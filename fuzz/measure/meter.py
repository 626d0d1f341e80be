# SPDX-License-Identifier: MIT
"""A meter: it counts the accesses of each operation in one run. It is a recorder (`m.recorder`), so unmeasured runs pay nothing.

The image is linked by `counting_image`. Its locks exclude as on several cpus. Every access to a guarded field is a point, and so is each
load and store of a list operation (list_add 1 load and 4 stores, list_del 2 and 2, list_del_init 2 and 4, list_empty 1 load). Two kinds
of access are missed: walking a list by hand, and fields declared plain.

An operation is charged for the kernel source that runs in its task, and in the interrupts that it raised, on any cpu. It is not charged
for the MMU and the disk, which execute no kernel instruction, nor for the data that the model keeps for user space.

    locks       acquired spinlocks, rwlocks and semaphores; acquired bits that are locks (PG_locked, BH_Lock); each use of a wait
                queue, which acquires the queue's own lock
    waited      those of `locks` that had to wait, or had been tried in vain before
    sleeps      times that the operation slept: for a lock, for I/O, or on a wait queue
    rmw         atomic read-modify-writes: of an atomic_t, of a flag bit (set_bit is a locked instruction), xchg of a pte
    loads       loads of one word; a test of a bit is one
    stores      plain stores, those of lists too; to acquire or release a lock counts in none of rmw, loads, stores
    lines       different cache lines written, with those of locks. A cache line is one kernel object here: a struct with all that is
                embedded in it, or an object that stands alone. In a real kernel a struct can have several lines
    foreign     stores, RMWs, acquisitions and releases that write to a line last written by another cpu in this run
    foreign_loads   loads of a line that another cpu has written in this run, and this cpu has neither written nor loaded since: the
                cache of this cpu has no copy of it, so the load is a coherence miss
    under       points between the acquisition of a lock and its release

A chain is a sequence of points each of which must come after the one before. Four kinds of pair are ordered: two points of one task, an
acquisition after the release before it (readers do not order readers), a woken task after its wake-up, an interrupt after the access
that raised it. The length of the longest chain is the time of the run if every point takes one unit of time and all other work is
parallel. For `line_chain`, a write to a cache line must also come after the write before it, as one cpu at a time owns a line.
"""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from vmrace.harness.kernel import CORE_TOOLKIT, TOOLKIT
from vmrace.harness.kernel import list as lists
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.wait import wait_queue_head_t
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.task import RUNNING, SLEEPING, Task
from vmrace.harness.machine.watched import Observer
from vmrace.harness.points import ACQUIRE, BARRIER, IRQ, LOCAL, READ, RELEASE, RMW, TRYLOCK, WAKE, WRITE
from vmrace.variants.family import Family

LOCK_BITS = {"page": "PG_locked", "buffer_head": "BH_Lock"}     # struct -> the bit of its flags that is a lock
QUEUE = "wait queue"
NO_KERNEL = "hardware"                                          # the __FILE__ of code that models hardware


@dataclass
class Counts:
    """The counts of one task's operations; the module describes them. `under`, `taken` and `waited_for` are by lock."""

    points: int = 0
    locks: int = 0
    waited: int = 0
    rmw: int = 0
    loads: int = 0
    stores: int = 0
    barriers: int = 0
    lines: int = 0
    foreign: int = 0
    foreign_loads: int = 0
    sleeps: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    waited_for: Counter[str] = field(default_factory=Counter)
    under: Counter[str] = field(default_factory=Counter)


COLUMNS = ("points", "locks", "waited", "sleeps", "rmw", "loads", "stores", "barriers", "lines", "foreign", "foreign_loads")


# ---- the image ---------------------------------------------------------------------------------------------------------

def _point(kind: int, link: list_head) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(kind, link, "link")


def _list_add(new: list_head, head: list_head) -> None:
    _point(READ, head)
    for link in (head, new, new, head.next):
        _point(WRITE, link)
    lists.list_add(new, head)


def _list_add_tail(new: list_head, head: list_head) -> None:
    _list_add(new, head.prev)


def _list_unlink(entry: list_head) -> None:
    _point(READ, entry)
    _point(READ, entry)
    _point(WRITE, entry.prev)
    _point(WRITE, entry.next)


def _list_del(entry: list_head) -> None:
    _list_unlink(entry)
    lists.list_del(entry)


def _list_del_init(entry: list_head) -> None:
    _list_unlink(entry)
    _point(WRITE, entry)
    _point(WRITE, entry)
    lists.list_del_init(entry)


def _list_empty(head: list_head) -> bool:
    _point(READ, head)
    return lists.list_empty(head)


def counting_image(family: Family, variant: str) -> Image:
    """Link an image on which every access is a point, those of list operations too."""
    smp = {name: TOOLKIT[name] for name in CORE_TOOLKIT["up"]}
    return family.link(variant, "up", toolkit={
        **smp, "list_add": _list_add, "list_add_tail": _list_add_tail, "list_del": _list_del,
        "list_del_init": _list_del_init, "list_empty": _list_empty})


def user_classes(family: Family) -> frozenset[str]:
    """Name the structs in which a family's operations keep the data of user space, which is not kernel memory."""
    out = set()
    for name in family.tail:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, name
        tree = ast.parse(pathlib.Path(spec.origin).read_text())
        out |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return frozenset(out)


# ---- one run -----------------------------------------------------------------------------------------------------------

class _Access:
    """An access that a task is about to make, charged to the operations of the task `account`, in the chain `key`."""

    __slots__ = ("account", "arg", "cpu", "depth", "held", "key", "kind", "obj", "task", "waited")

    def __init__(self, kind: int, obj: Any, arg: Any, task: Task, account: int | None, key: Any):
        self.kind = kind
        self.obj = obj
        self.arg = arg
        self.task = task
        self.cpu = task.cpu.number
        self.depth = task.irq_depth
        self.account = account
        self.key = key
        self.held = task.held.locks
        self.waited = False


class Meter(Observer):
    """The recorder and observer of one run. The first `operations[n]` calls of task n are counted, except for accesses to objects of the
    classes `user`."""

    def __init__(self, image: Image, operations: list[int], user: frozenset[str] = frozenset()):
        self.origin = image.origin
        self.operations = operations
        self.user = user
        self.counts = [Counts() for _ in operations]
        self.written: list[set[Any]] = [set() for _ in operations]
        self.pending: dict[int, list[_Access]] = {}
        self.last_account: dict[int, int | None] = {}
        self.raiser: dict[int, tuple[int | None, Any]] = {}
        self.raised = -1
        self.last_writer: dict[Any, int] = {}
        self.sharers: dict[Any, set[int]] = {}                  # line -> cpus that have a copy of its present contents
        self.bit_of: dict[Any, tuple[int, str]] = {}            # a flags word with a lock in it -> the bit, its name
        self.bit_held: dict[Any, int | None] = {}               # such a word while its bit is set -> the task that set it
        self.tried: set[tuple[int, Any]] = set()
        self.clocks: dict[Any, list[int]] = {}                  # two clocks each: of locks, of locks and lines
        self.after: dict[Any, list[int]] = {}                   # lock, queue or line -> the clocks of its last release or write
        for word in image.objects:
            if not isinstance(word, flags_t):
                continue
            name = LOCK_BITS.get(type(word.struct).__name__)
            if name is not None and image.defines(name):
                self.bit_of[word] = (image[name], name)
                if word.word >> image[name] & 1:
                    self.bit_held[word] = None

    @property
    def chain(self) -> int:
        """The length of the longest chain, in points, without the order of writes to a cache line."""
        return max((clock[0] for clock in self.clocks.values()), default=0)

    @property
    def line_chain(self) -> int:
        """The length of the longest chain, in points, with the order of writes to a cache line."""
        return max((clock[1] for clock in self.clocks.values()), default=0)

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        """Record a point of `m.current`, before its access. The accesses of its earlier points have been made by now, and no other
        task has run since the last of them."""
        if kind == IRQ and arg == "left":
            return                              # the interrupted task has not continued yet
        me = m.current
        if self.raised != m.irqs_raised:
            if self.raised >= 0:                # not by the setup
                by = self.last_account.get(me.id), list(self._clock(self._key(me)))
                self.raiser.update(dict.fromkeys(range(self.raised, m.irqs_raised), by))
            self.raised = m.irqs_raised
        reached = self.pending.setdefault(me.id, [])
        while reached and reached[-1].depth >= me.irq_depth:
            self._made(reached.pop())
        for task in m.tasks:
            if task is not me and (task.waiting is not None or task.cpu.running is not task):
                for access in self.pending.get(task.id, ()):
                    access.waited = True
        account = self.last_account[me.id] = self._account(me)
        if kind == IRQ and arg == "enter":
            self.clocks[self._key(me)] = list(self.raiser.get(obj.number, (None, (0, 0)))[1])
        if kind not in (LOCAL, IRQ) and type(obj).__name__ not in self.user and self._of_the_kernel():
            reached.append(_Access(kind, obj, arg, me, account, self._key(me)))

    def blocked(self, m: Machine, me: Task) -> None:
        """Count a sleep of an operation."""
        account = self.last_account.get(me.id)
        if me.waiting is SLEEPING and account is not None:
            self.counts[account].sleeps += 1

    def _key(self, me: Task) -> Any:
        return ("irq", me.irqs[-1]) if me.irqs else me.id

    def _clock(self, key: Any) -> list[int]:
        return self.clocks.setdefault(key, [0, 0])

    def _account(self, me: Task) -> int | None:
        if me.irq_depth:
            return self.raiser.get(me.irqs[-1], (None, None))[0]
        return me.id if me.id >= 0 and me.op < self.operations[me.id] else None

    def _of_the_kernel(self) -> bool:
        """True if the innermost function of the image on the stack is kernel source."""
        frame: FrameType | None = sys._getframe(3)
        while frame is not None:
            known = self.origin.get(frame.f_code)
            if known is not None:
                return known.kernel_file != NO_KERNEL
            frame = frame.f_back
        return False

    # ---- counting an access --------------------------------------------------------------------------------------------

    def _made(self, access: _Access) -> None:
        kind, obj, account = access.kind, access.obj, access.account
        counts = self.counts[account] if account is not None else Counts()
        counts.points += 1
        for lock in access.held:
            counts.under[_name(lock)] += 1
        if account is not None:
            for word, holder in self.bit_held.items():
                if holder == account:
                    counts.under[self.bit_of[word][1]] += 1
        takes = gives = None
        stores = kind in (WRITE, RMW)
        if kind == READ:
            counts.loads += 1
            self._load(_line(obj), access.cpu, counts)
        elif kind == BARRIER:
            counts.barriers += 1
        elif stores:
            if kind == RMW or (isinstance(obj, flags_t) and access.arg is not None):
                counts.rmw += 1
            else:
                counts.stores += 1
            takes, gives = self._bit(access, counts)
        elif isinstance(obj, wait_queue_head_t):
            stores, takes, gives = True, obj, obj
            self._took(counts, QUEUE, False)
        elif kind == RELEASE:
            stores, gives = True, obj
        elif kind == ACQUIRE or (kind == TRYLOCK and (obj.read_side if access.arg == "read" else obj) in access.task.held.locks):
            stores, takes = True, obj
            self._took(counts, _name(obj, access.arg), access.waited or (account, obj) in self.tried)
        elif kind == TRYLOCK and account is not None:
            stores = True
            self.tried.add((account, obj))
        line = _line(obj) if stores else None
        if stores:
            if self.last_writer.get(line, access.cpu) != access.cpu:
                counts.foreign += 1
            self.last_writer[line] = access.cpu
            self.sharers[line] = {access.cpu}
            if account is not None and line not in self.written[account]:
                self.written[account].add(line)
                counts.lines += 1
        if account is not None:
            self._chain(access, takes, gives, line)

    def _load(self, line: Any, cpu: int, counts: Counts) -> None:
        sharers = self.sharers.get(line)
        if sharers is not None and cpu not in sharers:          # a line that no cpu has written in this run misses on every kernel alike
            counts.foreign_loads += 1
            sharers.add(cpu)

    def _took(self, counts: Counts, name: str, waited: bool) -> None:
        counts.locks += 1
        counts.taken[name] += 1
        if waited:
            counts.waited += 1
            counts.waited_for[name] += 1

    def _bit(self, access: _Access, counts: Counts) -> tuple[Any, Any]:
        """Account for a store to a word of flags with a lock in it. Returns the word, first if the store acquired the lock, second if it
        released the lock; the other item is None."""
        word = access.obj
        if word not in self.bit_of:
            return None, None
        bit, name = self.bit_of[word]
        is_set, was_set = word.word >> bit & 1, word in self.bit_held
        if is_set and not was_set:
            self.bit_held[word] = access.account
            self._took(counts, name, (access.account, word) in self.tried)
            return word, None
        if was_set and not is_set:
            del self.bit_held[word]
            return None, word
        if is_set and access.kind == RMW and access.arg == bit and access.account is not None:
            self.tried.add((access.account, word))
        return None, None

    def _chain(self, access: _Access, takes: Any, gives: Any, line: Any) -> None:
        clock = self._clock(access.key)
        shared = access.arg == "read"
        if takes is not None:
            _join(clock, self.after.get(takes))
            if not shared:
                _join(clock, self.after.get((takes, "readers")))
        if line is not None:
            passed = self.after.get(("line", line))
            if passed is not None and passed[1] > clock[1]:
                clock[1] = passed[1]
        clock[0] += 1
        clock[1] += 1
        if gives is not None:
            _join(self.after.setdefault((gives, "readers") if shared else gives, [0, 0]), clock)
        if line is not None:
            self.after["line", line] = list(clock)
        if access.kind == WAKE:
            for task, _ in access.obj.entries:
                if task.state == RUNNING:
                    _join(self._clock(task.id), clock)


def _join(clock: list[int], other: list[int] | None) -> None:
    if other is not None:
        clock[0] = max(clock[0], other[0])
        clock[1] = max(clock[1], other[1])


def _name(lock: Any, arg: Any = None) -> str:
    read = arg == "read" or hasattr(lock, "rwlock")
    return f"{lock.cls} read" if read else str(lock.cls)


def _line(obj: Any) -> Any:
    """Return the outermost object that contains an object."""
    while getattr(obj, "struct", None) is not None:
        obj = obj.struct
    return obj


