# SPDX-License-Identifier: MIT
"""The class of schedules that a run belongs to, as a number, from the log of the run.

Two runs of one program are of one class if they order all dependent accesses in the same way (access.py says which depend on each
other). Each process does the same as long as it sees the same, so the order at each location decides the class. The normal form of an
order gives each access a level (Cartier and Foata, 1969). The level is one more than the highest of earlier accesses on which it depends.
Accesses of one level are sorted. The number is a hash of all normal forms. A location without a pair of dependent accesses of different
processes does not count. Runs of one class have the same number, and runs of two classes have different ones, except for collisions of
hashes of 61 bits.

An event of a cpu is ordered with each interrupt that enters there. An interrupt therefore counts with the number of entries of each
process of the cpu before it. Entries at the end that are quiet (see Locations) do not count, as for an explorer. If a run teaches
that an entry is not quiet after all, later runs of its class have another number: a class may be counted twice, but never two as one. In
programs whose tasks share a cpu, no entry counts as quiet if there are interrupts or preemptions, so classes are counted several times.

The number is always wanted, so it must take little time: per entry of a log one look into a table, one step for each access to a
location that several processes touch and one of them writes, and one look into a table for each sequence of such accesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vmrace.harness import points
from vmrace.harness.explore.access import (
    ACQUIRE_SHARED,
    MAY_BE_QUIET,
    READ,
    RELEASE_SHARED,
    RIVALS,
    WRITE,
    Locations,
    touched_mode,
)
from vmrace.harness.explore.event import IRQS_FROM
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.completion import completion
from vmrace.harness.kernel.semaphore import rw_semaphore
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.kernel.thread import thread
from vmrace.harness.machine.run_log import ENTERED, LEFT, RAISED, READY, RUNS, Entry, Part
from vmrace.harness.machine.task import Cpu
from vmrace.harness.sanitizers.lifetime import FREED

_BY_MODE = (flags_t, struct, array, rw_semaphore, Cpu, completion, thread, str)     # keys of locations with more modes than two
_SHARED = (READ, ACQUIRE_SHARED, RELEASE_SHARED)
_NOWHERE = -1                               # the location of an access that nothing depends on, of an entry that cannot be quiet
_KNOWN_MAX = 4_096                          # sequences of one location whose normal form is remembered

# A slot stands for a location and a mode. An access: its slot, the slots on which it depends, its location.
Access = tuple[int, tuple[int, ...], int]
# How it counts in one program: the function that adds it to the sequence of its location, and the code of its process and slot.
Counted = tuple[tuple[Callable[[int], object], int], ...]
_NEVER_QUIET: Access = (-1, (), _NOWHERE)
_NOTICED: Counted = ((bool, 0),)           # of an event that is noticed and touches no location: it adds nothing


class Entries:
    """The accesses of each entry of the logs of one image."""

    def __init__(self, up: bool = False, locations: Locations | None = None) -> None:
        self.locations = locations or Locations(up)
        self.slots: dict[tuple[int, int], int] = {}             # location, mode -> slot
        self.table: dict[Entry, tuple[Access, ...]] = {}

    def accesses_of(self, entry: Entry) -> tuple[Access, ...]:
        """Return the accesses of an entry, with _NEVER_QUIET before them if it cannot be quiet."""
        accesses = self.table.get(entry)
        if accesses is None:
            accesses = self.table[entry] = self._work_out(entry)
        return accesses

    def learned(self) -> bool:
        """True if the last entries have taught that earlier ones have more accesses than it seemed; then all are forgotten."""
        if self.locations.restart:
            self.locations.restart = False
            self.table.clear()
            return True
        return False

    def _work_out(self, entry: Entry) -> tuple[Access, ...]:
        kind, obj, arg = entry
        locations = self.locations
        may_be_quiet = (kind == points.TOUCH or kind in MAY_BE_QUIET) and kind != points.MASK and entry not in locations.not_quiet
        found: Iterable[tuple[int, int]]
        if kind == points.TOUCH:
            if locations.is_moot(obj, arg):
                return ()
            if isinstance(obj, tuple) and obj[1:] == (FREED,):
                locations.learn_freed(obj[0])
            found = ((locations.number(obj), touched_mode(arg)),)
        elif kind == points.WAKE:
            found = [(locations.number(key), WRITE) for key in dict.fromkeys([obj, *(arg or ())])]
        else:
            found = locations.announced(entry)
        out = [self._access(location, mode) for location, mode in found]
        return tuple(out) if may_be_quiet else (_NEVER_QUIET, *out)

    def _access(self, location: int, mode: int) -> Access:
        rivals: tuple[int, ...] = RIVALS[mode]
        if not isinstance(self.locations.keys[location], _BY_MODE):
            mode = READ if mode in _SHARED else WRITE
            rivals = (WRITE,) if mode == READ else (WRITE, READ)
        return self._slot(location, mode), tuple(self._slot(location, rival) for rival in rivals), location

    def _slot(self, location: int, mode: int) -> int:
        return self.slots.setdefault((location, mode), len(self.slots) + 1)


class _Order:
    """The accesses of a run to one location. `codes`: code -> process, slot, and the slots on which it depends."""

    def __init__(self, location: int) -> None:
        self.location = location
        self.accesses: list[int] = []
        self.codes: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        self.known: dict[int, int] = {}                         # hash of a sequence -> that of its normal form
        self.before: dict[int, tuple[int, ...]] = {}            # code -> the codes after which it comes, if they are earlier

    def add(self, code: int, process: int, slot: int, rivals: tuple[int, ...]) -> None:
        """Learn of an access to the location."""
        if code not in self.codes:
            self.codes[code] = process, slot, rivals
            self.before.clear()

    def number(self) -> int:
        """Return a hash of the normal form of the accesses; 0 if no two of different processes depend on each other."""
        sequence = tuple(self.accesses)
        key = hash(sequence)
        number = self.known.get(key)
        if number is None:
            if len(self.known) >= _KNOWN_MAX:
                self.known.clear()
            number = self.known[key] = hash((self.location, *self._normal(sequence))) if self._meet(sequence) else 0
        return number

    def _meet(self, sequence: Iterable[int]) -> bool:
        """True if two accesses of different processes depend on each other."""
        codes = {*sequence}
        return any(not self._commute(one, other) for one in codes for other in codes
                   if self.codes[one][0] != self.codes[other][0])

    def _normal(self, sequence: Iterable[int]) -> list[tuple[int, int]]:
        """Return the level and the code of each access, sorted."""
        levels = dict.fromkeys(self.codes, 0)   # code -> the level of its last access
        out = []
        for code in sequence:
            level = 0
            for other in self.before.get(code) or self._before(code):
                if levels[other] > level:
                    level = levels[other]
            levels[code] = level + 1
            out.append((level + 1, code))
        out.sort()
        return out

    def _before(self, code: int) -> tuple[int, ...]:
        before = self.before[code] = tuple(other for other in self.codes if not self._commute(other, code))
        return before

    def _commute(self, one: int, other: int) -> bool:
        process, slot, _ = self.codes[one]
        another, _, rivals = self.codes[other]
        return process != another and slot not in rivals


class _Table(dict[Entry, Counted]):
    """How each entry of a process counts. It learns of one when it is first asked for."""

    def __init__(self, classes: RunClasses, process: int):
        super().__init__()
        self.classes, self.process = classes, process

    def __missing__(self, entry: Entry) -> Counted:
        self.classes.learn(self.process, self, entry)
        return self[entry]


class RunClasses:
    """The classes of the runs of one program. `cpus`: the cpu of each task; `preempt`: the tasks of one cpu can preempt each other."""

    def __init__(self, entries: Entries, cpus: Sequence[int], preempt: bool = False):
        self.entries = entries
        self.cpus = cpus
        self.shared_cpus = {cpu for cpu in cpus if cpus.count(cpu) > 1}
        self.some_quiet = not preempt and not self.shared_cpus
        self.irqs = False                                       # some run had an interrupt
        self.processes: dict[tuple[int, int], int] = {}         # interrupt: who raised it, after how many others -> its process
        self.tables: dict[int, _Table] = {}                     # process -> its entries
        self.learnt = 0                                         # the number of times that a location was noticed
        self.codes: dict[tuple[int, int], int] = {}             # process, slot -> its code
        self.orders: dict[int, _Order] = {}                     # noticed location -> its accesses
        self.owners: dict[int, int] = {}                        # slot -> the process that has it; -1: several
        self.noticed = {_NOWHERE}                               # locations with dependent accesses of two processes
        self.news: list[int] = []                               # those of the last runs, for a caller who takes them
        self.waiting: dict[int, list[tuple[int, Entry]]] = {}   # other location -> the entries of processes that touch it
        self.watched: set[int] = set()                          # tasks that an interrupt may have found to be `current`

    def of(self, log: Sequence[Part], looked: Iterable[int] = ()) -> int:
        """Return the number of the class of the run with this log. `looked`: the cpus on which an interrupt asked for `current`."""
        self.watched.update(task for cpu in looked for task, mine in enumerate(self.cpus) if mine == cpu)
        while True:                             # until all of the run is read with all that it teaches
            learnt = self.learnt
            number = _Reading(self).read(log)
            if self.entries.learned():
                self._learn_again()
            elif learnt == self.learnt:
                return number

    def _learn_again(self) -> None:
        """Learn all entries again, which have more accesses than before: so that it does not matter which runs taught that."""
        known = [(process, table, list(table)) for process, table in self.tables.items()]
        self.waiting.clear()
        for _, table, _ in known:
            table.clear()
        for process, table, entries in known:
            for entry in entries:
                self.learn(process, table, entry)

    def interrupt(self, raiser: int, before: int) -> int:
        """Return the process of the interrupt that `raiser` raises after `before` others."""
        self.irqs = True
        return self.processes.setdefault((raiser, before), IRQS_FROM + len(self.processes))

    def counted(self, process: int, part: Sequence[Entry]) -> list[Counted]:
        """Return how each of these entries of the process counts; () if no other process can notice it in any run so far."""
        table = self.tables.get(process)
        if table is None:
            table = self.tables[process] = _Table(self, process)
        learnt = self.learnt
        out = list(map(table.__getitem__, part))
        return out if learnt == self.learnt else list(map(table.__getitem__, part))

    def learn(self, process: int, table: dict[Entry, Counted], entry: Entry) -> None:
        """Learn that the process touches the locations of an entry."""
        owners, noticed = self.owners, self.noticed
        for slot, rivals, location in self.entries.accesses_of(entry):
            if location in noticed:
                continue
            if owners.setdefault(slot, process) != process:
                owners[slot] = -1
            for rival in rivals:
                if owners.get(rival, process) != process:
                    self._notice(location)
                    break
            else:
                self.waiting.setdefault(location, []).append((process, entry))
        table[entry] = self._noticed_of(process, entry)

    def _notice(self, location: int) -> None:
        """Learn that dependent accesses to the location are of two processes."""
        self.noticed.add(location)
        self.news.append(location)
        self.learnt += 1
        for other, waiting in self.waiting.pop(location, ()):
            self.tables[other][waiting] = self._noticed_of(other, waiting)

    def _noticed_of(self, process: int, entry: Entry) -> Counted:
        """Return the accesses of an entry of the process to noticed locations; _NOTICED if there is none and it cannot be quiet."""
        accesses, noticed = self.entries.accesses_of(entry), self.noticed
        never_quiet = bool(accesses) and accesses[0] is _NEVER_QUIET
        out = []
        for slot, rivals, location in accesses[1:] if never_quiet else accesses:
            if location in noticed:
                order = self.orders.get(location)
                if order is None:
                    order = self.orders[location] = _Order(location)
                code = self.codes.setdefault((process, slot), len(self.codes))
                order.add(code, process, slot, rivals)
                out.append((order.accesses.append, code))
        return tuple(out) or (_NOTICED if never_quiet else ())

    def seen_of(self, process: int, entries: Sequence[Counted]) -> int:
        """Return the number of these entries of the process, less those at the end that no other process can notice."""
        count = len(entries)
        if process not in self.watched:
            while count and not entries[count - 1]:
                count -= 1
        return count


class _Reading:
    """The reading of one log, up to some part of it."""

    def __init__(self, classes: RunClasses):
        self.classes = classes
        self.marks: list[tuple[int, ...]] = []      # where interrupts entered, and whose turn it was on shared cpus
        self.process = self.task = -1
        self.cpu = 0
        self.past: dict[int, list[Counted]] = {}    # process -> its entries so far, if there are interrupts
        self.counts: dict[int, int] = {}            # process -> the number of its entries so far
        self.stacks: dict[int, list[int]] = {}      # task -> the interrupts that it is in
        self.on: dict[int, list[int]] = {}          # cpu -> the processes that have begun there
        self.irqs: dict[int, int] = {}              # number of an interrupt -> its process
        self.raised: dict[int, int] = {}            # process -> the number of interrupts that it has raised
        self.turns: dict[int, tuple[int, int]] = {}         # cpu that tasks share -> the task that had it last, a hash of all turns

    def read(self, log: Sequence[Part]) -> int:
        """Return the number of the class of the run."""
        counted, irqs, counts = self.classes.counted, self.classes.irqs, self.counts
        orders = self.classes.orders
        for order in orders.values():
            order.accesses.clear()
        for what, number, part in log:
            if what == RUNS:
                self._switch(number)
            else:
                self._change(what, number)
            if part:
                process = self.process
                entries = counted(process, part)
                counts[process] = counts.get(process, 0) + len(entries)
                for entry in filter(None, entries):
                    for add, code in entry:
                        add(code)
                if irqs:
                    self.past.setdefault(process, []).extend(entries)
        self.marks += self.turns.values()
        numbers = [number for order in orders.values() if order.accesses and (number := order.number())]
        return hash((tuple(numbers), tuple(sorted(self.marks))))

    def _change(self, what: int, number: int) -> None:
        """Read the beginning of a part that is no switch to another task."""
        if what == RAISED:
            self._raise(number)
        elif what == ENTERED:
            self._enter(number)
        elif what == LEFT:
            self._event()
            self.stacks[self.task].pop()
            self._go_on()
        else:
            assert what == READY, what
            self._ready(number)

    def _switch(self, task: int) -> None:
        cpus = self.classes.cpus
        self.task = task
        self.cpu = cpus[task] if task >= 0 else max(0, -2 - task)
        self._go_on()
        if self.process not in self.counts:
            self.counts[self.process] = 0
            self.on.setdefault(self.cpu, []).append(self.process)
        if self.cpu in self.classes.shared_cpus and task >= 0:
            before, turns = self.turns.get(self.cpu, (-1, 0))
            if before != task:
                self.turns[self.cpu] = task, hash((turns, task, self.counts.get(before, 0)))

    def _go_on(self) -> None:
        """Let the innermost process of the running task be the one that runs."""
        stack = self.stacks.get(self.task)
        self.process = stack[-1] if stack else self.task

    def _event(self) -> None:
        """Count an event of the running process that is no entry, and that other processes can notice."""
        self.counts[self.process] = self.counts.get(self.process, 0) + 1
        self.past.setdefault(self.process, []).append(_NOTICED)

    def _raise(self, number: int) -> None:
        before = self.raised.get(self.process, 0)
        self.raised[self.process] = before + 1
        self.irqs[number] = self.classes.interrupt(self.process, before)
        self._event()

    def _ready(self, cpu: int) -> None:
        """Count the event that a task of the cpu becomes ready."""
        if cpu in self.classes.shared_cpus:
            self.marks.append((self.process, self.counts.get(self.process, 0), *self._seen_on(cpu)))
        self._event()

    def _enter(self, number: int) -> None:
        process = self.irqs.get(number)
        if process is None:                         # it was raised before the run
            process = self.irqs[number] = self.classes.interrupt(-1, number)
        self.marks.append((process, self.cpu, *self._seen_on(self.cpu)))
        self.on.setdefault(self.cpu, []).append(process)
        self.stacks.setdefault(self.task, []).append(process)
        self.process = process

    def _seen_on(self, cpu: int) -> list[int]:
        """Return what other cpus can notice of the cpu: its processes, with the number of the entries of each."""
        out = []
        for process in sorted(self.on.get(cpu, ())):
            past = self.past.get(process, ())
            out += [process, self.classes.seen_of(process, past) if self.classes.some_quiet else self.counts.get(process, 0)]
        return out
