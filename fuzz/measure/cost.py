# SPDX-License-Identifier: MIT
"""The cost of each operation in a variant, alone and beside another cpu, as counts of accesses. meter.py describes the counts.

Each operation has situations, listed below and the same for every variant: a setup after which the operation has work to do, the
operation, its twin for the second cpu, and its partner, another operation that interferes with it.

    alone       the operation on one cpu, no interrupt before the task sleeps: one run
    twin        the operation and its twin on two cpus: the mean of both over `runs` schedules
    partner     the operation on one cpu and its partner on another: the mean of the operation's counts over `runs` schedules

Schedules are random walks: at each point, with probability CHANCE, a task chosen at random continues. The same seed gives the same
schedules. Runs that end in a finding are left out of the mean, and their number is reported.

`serialise` measures how n faults on one file page, each on its own cpu, delay each other: the length of the longest chain of points that
must come one after another (see meter.py), as the mean and the spread over `runs` schedules. Fault i is in address space i mod 4, at its
page i div 4: from the fifth on, a fault shares an mm and its locks with earlier ones.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vmrace.fuzz.measure.meter import COLUMNS, Counts, Meter, counting_image, user_classes
from vmrace.fuzz.run.executor import Executor, Prepared, SetupFailed
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.variants.family import Family
from vmrace.variants.operations import MMS
from vmrace.variants.program import Op, Program, TaskProgram, parse_op

CHANCE = 0.25           # probability of a preemption at each point
RUNS = 100
FAULTERS_MAX = 8
ERRORS = 3.0            # standard errors by which two means must differ to be reported


@dataclass(frozen=True)
class Situation:
    """An operation with work to do. `what` describes the work."""

    what: str
    setup: tuple[str, ...]
    operation: str
    twin: str
    partner: str

    @property
    def name(self) -> str:
        """The name of the operation, without operands."""
        return self.operation.split()[0]

    def operations(self) -> set[str]:
        """Name the operations that a variant needs for the situation."""
        return {text.split()[0] for text in (*self.setup, self.operation)}


_TWO_PAGES = ("store m0.0", "store m0.1")
_MAPPED_PINS = (*_TWO_PAGES, "pin m0.0 k0", "pin m0.1 k1")
_TWO_PINS = (*_MAPPED_PINS, "unmap m0.0", "unmap m0.1")
_IN_CACHE = ("read f0.0", "read f0.1")
_MAPPED = ("read f0.0", "mmap_shared m0.0 f0.0", "fork m0 m1")
_INACTIVE = ("read f0.0", "read f0.1", "read f1.0")
_SWAPPED = ("store m0.0", "reclaim_page m0.0", "reclaim_page m0.0")
_READ_BACK = ("store m0.0", "reclaim_page m0.0", "load m0.0")
_WRITTEN_AND_READ_BACK = ("store m0.0", "reclaim_page m0.0", "reclaim", "load m0.0")      # reclaim waits for the write
_PINNED_READ_ONLY = ("store m0.0", "pin_force m0.0 k0", "protect m0.0", "unprotect m0.0")

SITUATIONS: tuple[Situation, ...] = (
    Situation("in place of a mapped page, which goes", _TWO_PAGES, "map m0.0", "map m0.1", "shrink_cache 2"),
    Situation("of a mapped page, which is freed", _TWO_PAGES, "unmap m0.0", "unmap m0.1", "shrink_cache 2"),
    Situation("fault on an anonymous page, the first", (), "store m0.0", "store m0.1", "shrink_cache 2"),
    Situation("a page shared with a child: copy on write", ("store m0.0", "fork m0 m1"), "store m0.0", "store m1.0", "shrink_cache 2"),
    Situation("fault on a file page in the cache", _MAPPED, "load m0.0", "load m1.0", "invalidate2 f0"),
    Situation("fault on a file page on disk", _MAPPED[1:], "load m0.0", "load m1.0", "truncate f0 1"),
    Situation("of a page that is mapped", ("store m0.0",), "load m0.0", "load m0.0", "shrink_cache 2"),
    Situation("of a process with a page", ("store m0.0",), "fork m0 m1", "fork m0 m2", "store m0.0"),
    Situation("of a process with two pages of its own", ("fork m0 m1", *_TWO_PAGES, "store m1.0", "store m1.1"), "exit m0", "exit m1",
              "shrink_cache 2"),
    Situation("of a mapped page", ("store m0.0",), "pin m0.0 k0", "pin m0.0 k1", "shrink_cache 2"),
    Situation("into a pinned page", ("store m0.0", "pin m0.0 k0", "pin m0.0 k1"), "dma k0", "dma k1", "unmap m0.0"),
    Situation("the last reference to a page", _TWO_PINS, "unpin k0", "unpin k1", "shrink_cache 2"),
    Situation("the last reference to a page", _TWO_PINS, "put k0", "put k1", "shrink_cache 2"),
    Situation("of a page in the cache", (*_IN_CACHE, "take f0.0 k0", "take f0.0 k1"), "put k0", "put k1", "invalidate2 f0"),
    Situation("one reference of two to a page", _MAPPED_PINS, "irq_unpin k0", "irq_unpin k1", "shrink_cache 2"),
    Situation("one reference of two to a page", _MAPPED_PINS, "irq_put k0", "irq_put k1", "shrink_cache 2"),
    Situation("over two mapped pages", _TWO_PAGES, "swap_out", "swap_out", "store m0.0"),
    Situation("three clean file pages are inactive", _INACTIVE, "shrink_cache 2", "shrink_cache 2", "read f0.0"),
    Situation("two file pages are active", (*_IN_CACHE, *_IN_CACHE, *_IN_CACHE), "refill_inactive 2", "refill_inactive 2", "touch f0.0"),
    Situation("three clean file pages are inactive", _INACTIVE, "reclaim", "reclaim", "read f0.0"),
    Situation("of a page in the cache", ("read f0.0",), "read f0.0", "read f0.0", "invalidate2 f0"),
    Situation("of a page on disk", (), "read f0.0", "read f0.1", "shrink_cache 2"),
    Situation("in place of a mapped page", _TWO_PAGES, "mmap_private m0.0 f0.0", "mmap_private m0.1 f0.0", "truncate f0 1"),
    Situation("in place of a mapped page", _TWO_PAGES, "mmap_shared m0.0 f0.0", "mmap_shared m0.1 f0.0", "truncate f0 1"),
    Situation("of an inactive page in the cache", ("read f0.0",), "touch f0.0", "touch f0.0", "shrink_cache 2"),
    Situation("of a page in the cache", ("read f0.0",), "lock f0.0", "lock f0.0", "invalidate2 f0"),
    Situation("of a file with two pages in the cache", _IN_CACHE, "truncate f0 1", "truncate f0 1", "read f0.0"),
    Situation("of a file with two pages in the cache", _IN_CACHE, "invalidate f0", "invalidate f0", "read f0.0"),
    Situation("of a file with two pages in the cache", _IN_CACHE, "invalidate2 f0", "invalidate2 f0", "read f0.0"),
    Situation("the first of a device", (), "swapon", "swapon", "shrink_cache 2"),
    Situation("of a page in the cache", ("read f0.0",), "write f0.0", "write f0.0", "read f0.0"),
    Situation("of a page in the cache", ("read f0.0",), "direct_write f0.0", "direct_write f0.0", "read f0.0"),
    Situation("of a page in the cache, from a mapping of it", _MAPPED, "write_mapped m0.0 f0.0", "write_mapped m1.0 f0.0", "load m0.0"),
    Situation("of a page in the cache", _MAPPED[:2], "populate m0.0 f0.0", "populate m0.0 f0.0", "invalidate2 f0"),
    Situation("of a page in the cache", ("read f0.0",), "take f0.0 k0", "take f0.0 k1", "invalidate2 f0"),
    Situation("of a page in the cache", ("read f0.0",), "invalidate_page f0.0", "invalidate_page f0.0", "read f0.0"),
    Situation("of a page in the cache", ("read f0.0",), "invalidate2_page f0.0", "invalidate2_page f0.0", "load m0.0"),
    Situation("of a file with a dirty page", ("write f0.0",), "writeback f0", "writeback f0", "write f0.0"),
    Situation("of a file with a dirty page", ("write f0.0",), "sync f0", "sync f0", "write f0.0"),
    Situation("of a mapped page of a file, dirty", (*_MAPPED, "store m0.0"), "msync m0.0", "msync m1.0", "store m0.0"),
    Situation("of a page in the cache", ("read f0.0",), "direct_read f0.0", "direct_read f0.0", "write f0.0"),
    Situation("of a page of its own file, from a mapping of it", _MAPPED, "direct_write_mapped m0.0 f0.0", "direct_write_mapped m1.0 f0.0",
              "load m0.0"),
    Situation("of a file with a page in the cache", ("read f0.0",), "readahead f0", "readahead f0", "invalidate f0"),
    Situation("of a file with a mapped page", (*_MAPPED, "load m0.0"), "revalidate f0.0", "revalidate f0.1", "load m0.0"),
    Situation("of a mapped page of a file", (*_MAPPED, "load m0.0"), "pin_read m0.0 k0", "pin_read m0.0 k1", "invalidate2 f0"),
    Situation("from a pinned page", (*_MAPPED, "pin_read m0.0 k0", "pin_read m0.0 k1"), "load_pin k0", "load_pin k1", "invalidate2 f0"),
    Situation("of a mapped page of a file", (*_MAPPED, "load m0.0"), "dontneed m0.0", "dontneed m1.0", "invalidate2 f0"),
    Situation("of a mapped page of a file", (*_MAPPED, "load m0.0"), "protect m0.0", "protect m1.0", "load m0.0"),
    Situation("of a mapped page of a file", (*_MAPPED, "load m0.0", "protect m0.0", "protect m1.0"), "unprotect m0.0", "unprotect m1.0",
              "load m0.0"),
    Situation("of a mapped page of a file", (*_MAPPED, "load m0.0"), "mremap m0.0 m0.1", "mremap m1.0 m1.1", "truncate f0 1"),
    Situation("with pages on the inactive list", ("store m0.0", "refill_inactive 4"), "kswapd", "kswapd", "store m0.1"),
    Situation("with two dirty pages of a file", ("write f0.0", "write f0.1"), "bdflush", "bdflush", "read f0.0"),
    Situation("below a cached page of a file", ("read f0.0",), "reclaim_nofs f0.0", "reclaim_nofs f0.1", "read f0.1"),
    Situation("of one page", (), "hog 1", "hog 1", "reclaim"),
    Situation("of one page", ("hog 1",), "unhog", "unhog", "reclaim"),
    Situation("of a page in memory", ("store m0.0",), "lock_memory m0.0", "lock_memory m0.1", "swap_out"),
    Situation("of a locked page", ("store m0.0", "lock_memory m0.0"), "unlock_memory m0.0", "unlock_memory m0.1", "swap_out"),
    Situation("of a shared memory object", (), "attach m0.0 1", "attach m0.1 1", "resize 1"),
    Situation("of a shared memory object with a page", ("attach m0.0 1", "store m0.0"), "resize 1", "resize 1", "load m0.0"),
    Situation("of a process with memory", ("store m0.0",), "exec m0", "exec m0", "swap_out"),
    Situation("with a page in swap", ("store m0.0", "swap_out", "swap_out"), "swapoff", "swapoff", "load m0.0"),
    Situation("with a page in swap", (*_SWAPPED, "add_swap 1"), "swapoff", "swapoff", "load m0.0"),
    Situation("of a page in swap", _SWAPPED, "load m0.0", "load m0.0", "reclaim_page m0.0"),
    Situation("of a page in swap", _SWAPPED, "store m0.0", "store m0.0", "reclaim_page m0.0"),
    Situation("a page in the swap cache, read back: write fault", _READ_BACK, "store m0.0", "store m0.0", "reclaim_page m0.0"),
    Situation("a page read back from swap: write fault", _WRITTEN_AND_READ_BACK, "store m0.0", "store m0.0", "reclaim_page m0.0"),
    Situation("a pinned page whose pte is read-only: write fault", _PINNED_READ_ONLY, "store m0.0", "store m0.0", "reclaim_page m0.0"),
    Situation("of a page in the swap cache, read back", _READ_BACK, "pin m0.0 k0", "pin m0.0 k1", "reclaim_page m0.0"),
    Situation("of a page that may not be stored to", ("store m0.0", "protect m0.0"), "pin_force m0.0 k0", "pin_force m0.0 k1",
              "reclaim_page m0.0"),
    Situation("of a page that may not be stored to", ("store m0.0", "protect m0.0"), "poke m0.0", "poke m0.0", "reclaim_page m0.0"),
    Situation("of a mapped page", ("store m0.0",), "dontfork m0.0", "dontfork m0.1", "fork m0 m1"),
    Situation("of a mapped page", ("store m0.0", "dontfork m0.0"), "dofork m0.0", "dofork m0.0", "fork m0 m1"),
    Situation("of a mapped page", ("store m0.0",), "migrate m0.0", "migrate m0.1", "load m0.0"),
    Situation("of a page of two processes", ("store m0.0", "fork m0 m1"), "migrate_all m0.0", "migrate_all m1.0", "load m1.0"),
    Situation("of a mapped page", ("store m0.0",), "reclaim_page m0.0", "reclaim_page m0.0", "store m0.0"),
    Situation("of one page, the second", (), "add_swap 1", "add_swap 1", "swapoff"),
)


@dataclass
class Mean:
    """The mean counts of one operation over `runs` runs, except the `failed` ones, which ended in a finding."""

    runs: int = 0
    failed: int = 0
    operations: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    squares: Counter[str] = field(default_factory=Counter)          # of each run's mean
    taken: Counter[str] = field(default_factory=Counter)
    waited_for: Counter[str] = field(default_factory=Counter)
    under: Counter[str] = field(default_factory=Counter)

    def add(self, counts: Counts) -> None:
        """Add the counts of one operation."""
        self.operations += 1
        self.sums.update({name: getattr(counts, name) for name in COLUMNS})
        self.taken.update(counts.taken)
        self.waited_for.update(counts.waited_for)
        self.under.update(counts.under)

    def ran(self, some: Sequence[Counts]) -> None:
        """Add the counts of the operations of one run."""
        assert some, "a run without a counted operation has no mean"
        for counts in some:
            self.add(counts)
        self.squares.update({name: (sum(getattr(counts, name) for counts in some) / len(some)) ** 2 for name in COLUMNS})

    def error(self, name: str) -> float:
        """Return the standard error of the mean of a count."""
        count = self.runs - self.failed
        return float(max(0.0, self.squares[name] / count - self.of(name) ** 2) / (count - 1)) ** 0.5 if count > 1 else 0.0

    def of(self, name: str) -> float:
        """Return the mean of a count."""
        return self.sums[name] / self.operations if self.operations else 0.0

    def told(self) -> dict[str, Any]:
        """Return the means as a JSON object."""
        each = {name: round(value / max(1, self.operations), 3) for name, value in sorted(self.under.items())}
        return {"runs": self.runs, "left_out": self.failed, **{name: round(self.of(name), 3) for name in COLUMNS},
                "under": each, "taken": {name: round(value / max(1, self.operations), 3) for name, value in sorted(self.taken.items())},
                "waited_for": {name: round(value / max(1, self.operations), 3) for name, value in sorted(self.waited_for.items())}}


@dataclass
class Measured:
    """The means of one situation on one variant; None if the variant lacks an operation."""

    situation: Situation
    variant: str
    alone: Mean | None = None
    twin: Mean | None = None
    partner: Mean | None = None


@dataclass(frozen=True)
class Spread:
    """The distribution of a number over runs: its least and greatest value, and its quartiles; all 0 without a run."""

    least: float = 0.0
    lower: float = 0.0
    median: float = 0.0
    upper: float = 0.0
    greatest: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values."""
        if not values:
            return cls()
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(min(values), lower, median, upper, max(values))


@dataclass
class Chain:
    """The cost of n faults on one page: the mean number of points of one fault, and the lengths of the longest chains of all n, as means
    and as spreads over the `counted` runs, which are those that did not end in a finding."""

    variant: str
    faults: int
    runs: int
    failed: int
    points: float
    chain: float
    line_chain: float
    chain_spread: Spread
    line_chain_spread: Spread

    @property
    def counted(self) -> int:
        """The number of runs in the means and spreads."""
        return self.runs - self.failed

    def told(self) -> dict[str, Any]:
        """Return the numbers as a JSON object."""
        return {"counted": self.counted, **{name: round(value, 3) if isinstance(value, float) else value
                                            for name, value in asdict(self).items()}}


class _Counting(Executor):
    """An executor whose image has a point at every access."""

    def image(self, cpus: int) -> Image:
        if "counting" not in self._images:
            self._images["counting"] = counting_image(self.family, self.variant)
        return self._images["counting"]


class Costs:
    """A measurement of one variant: `runs` schedules for each mean, from `seed`."""

    def __init__(self, family: Family, variant: str, runs: int = RUNS, seed: int = 0):
        self.executor = _Counting(family, variant)
        self.variant = variant
        self.runs = runs
        self.seed = seed
        self.user = user_classes(family)
        self.operations = set(self.executor.operations())

    def has(self, situation: Situation) -> bool:
        """True if the variant has the operations of a situation."""
        return situation.operations() <= self.operations

    def measure(self, situation: Situation) -> Measured:
        """Measure a situation alone, beside its twin, and beside its partner."""
        out = Measured(situation, self.variant)
        if not self.has(situation):
            return out
        out.alone = self.alone(situation)
        out.twin = self._mean(_program(situation.setup, (situation.operation, situation.twin)), self.runs, (0, 1))
        if situation.partner.split()[0] in self.operations:
            out.partner = self.beside(situation)
        return out

    def alone(self, situation: Situation) -> Mean:
        """Count the operation of a situation alone, in one run."""
        return self._mean(_program(situation.setup, (situation.operation,)), 1, (0,))

    def beside(self, situation: Situation) -> Mean:
        """Count the operation of a situation beside its partner."""
        return self._mean(_program(situation.setup, (situation.operation, situation.partner)), self.runs, (0,))

    def _mean(self, program: Program, runs: int, tasks: Sequence[int]) -> Mean:
        out = Mean(runs)
        for meter in self._metered(program, runs):
            if meter is None:
                out.failed += 1
                continue
            out.ran([meter.counts[task] for task in tasks])
        return out

    def _metered(self, program: Program, runs: int) -> Iterator[Meter | None]:
        """Yield the meter of each run, or None for a run that ended in a finding."""
        try:
            prepared = self.executor.prepare(program)
        except SetupFailed:
            yield from [None] * runs
            return
        rng = random.Random(self.seed)
        for _ in range(runs):
            yield self._one(prepared, NoPreempt() if runs == 1 else Walk(rng, CHANCE))

    def _one(self, prepared: Prepared, scheduler: Scheduler) -> Meter | None:
        prepared.image.load(prepared.state)
        meter = Meter(prepared.image, [len(task.ops) for task in prepared.program.tasks], self.user)
        with m.watched(meter, meter):
            outcome = self.executor.run(prepared, scheduler)
        return None if outcome.findings else meter

    def serialise(self, most: int = FAULTERS_MAX) -> list[Chain]:
        """Measure 1 to `most` concurrent faults on one page of a file, which is in the page cache."""
        pages = range((most + MMS - 1) // MMS)
        setup = ("read f0.0", *(f"mmap_shared m0.{page} f0.0" for page in pages), *(f"fork m0 m{mm}" for mm in range(1, MMS)))
        out = []
        for faults in range(1, most + 1):
            program = _program(setup, tuple(f"load m{number % MMS}.{number // MMS}" for number in range(faults)))
            meters = [meter for meter in self._metered(program, self.runs) if meter is not None]
            count = max(1, len(meters))
            points = sum(counts.points for meter in meters for counts in meter.counts)
            lengths, with_lines = [meter.chain for meter in meters], [meter.line_chain for meter in meters]
            out.append(Chain(self.variant, faults, self.runs, self.runs - len(meters), points / count / faults, sum(lengths) / count,
                             sum(with_lines) / count, Spread.of(lengths), Spread.of(with_lines)))
        return out


def _program(setup: Sequence[str], tasks: Sequence[str]) -> Program:
    ops: list[Op] = [parse_op(text, "task") for text in tasks]
    return Program(tuple(parse_op(text, "setup") for text in setup),
                   tuple(TaskProgram(cpu, (op,)) for cpu, op in enumerate(ops)), len(ops))


def situations(measures: Sequence[Costs], names: Sequence[str]) -> list[Situation]:
    """List the situations of the named operations, or of all if none is named, that at least one variant has."""
    return [one for one in SITUATIONS if (not names or one.name in names) and any(costs.has(one) for costs in measures)]
