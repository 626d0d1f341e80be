# SPDX-License-Identifier: MIT
"""The cost of a write fault on a page of the swap cache that one process has, on each variant of cow_swap_2_6, as rows of a table.

    python -m tests.variants.cow_write_faults        prints the table of docs/explanation/cow_swap_2_6.md

The page was written to swap, freed, and read back: its pte is read-only, and its slot is still its own. The fault runs alone, and beside
reclaim of the page on another cpu. fuzz/measure/cost.py counts the accesses, for the same schedules on each variant. Requests to the swap
device and slots in use are of the whole run, as a slot that a fault leaves to the page saves or costs reclaim a request.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmrace.fuzz.measure.cost import SITUATIONS, Costs
from vmrace.fuzz.measure.meter import Meter
from vmrace.fuzz.run.executor import Prepared
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.variants.family import family

SITUATION = next(one for one in SITUATIONS if one.what == "a page read back from swap: write fault")
# the variants whose faults differ: the others link the same do_wp_page() and do_swap_page()
VARIANTS = ("pre_2_6_26", "hugh_interim_jun19", "nick_lock_page", "hugh_can_reuse", "merged_2_6_29", "swapin_recheck", "page_count_5_9")
RUNS = 100
PAGE_LOCK, SWAP_LOCK = "PG_locked", "swap_lock"
ALONE, BESIDE = "alone", "beside reclaim"
HEAD = """| write fault | page lock | `swap_lock` | waits | requests | slots in use after it | copies |
|---|---|---|---|---|---|---|"""


@dataclass
class Runs:
    """The requests to the swap device, the slots in use at the end, and 1 if the address shows another page then, of each run without a
    finding."""

    requests: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)


class _Costs(Costs):
    """A measurement that also looks at the swap area after each run."""

    def __init__(self, variant: str):
        super().__init__(family("cow_swap_2_6"), variant, RUNS)
        self.seen = Runs()

    def _one(self, prepared: Prepared, scheduler: Scheduler) -> Meter | None:
        image = prepared.image
        image.load(prepared.state)
        before = image["m0"].pte0._val[0]
        meter = super()._one(prepared, scheduler)
        if meter is not None:
            vm, after = image["vm"], image["m0"].pte0._val
            self.seen.requests.append(m.irqs_raised - len(prepared.raised))
            self.seen.slots.append(vm._total_swap_pages - vm._nr_swap_pages)
            self.seen.copies.append(after.__class__ is tuple and after[0] is not before)
        return meter


def rows(variant: str, ways: tuple[str, ...] = (ALONE, BESIDE)) -> Iterator[str]:
    """Measure a variant and return its rows: alone, in one run, then the means of RUNS runs beside reclaim.

    Columns: PG_locked and swap_lock acquired by the fault, its waits for a lock; requests, slots in use at the end, and copies.
    """
    costs = _Costs(variant)
    for how in ways:
        costs.seen = Runs()
        mean = costs.alone(SITUATION) if how == ALONE else costs.beside(SITUATION)
        places = 0 if how == ALONE else 2
        assert not mean.failed, (variant, how, mean.failed)
        values = [*(mean.taken[name] / mean.operations for name in (PAGE_LOCK, SWAP_LOCK)), mean.of("waited"),
                  *(statistics.mean(each) for each in (costs.seen.requests, costs.seen.slots, costs.seen.copies))]
        yield f"| `{variant}`, {how} | {' | '.join(f'{value:.{places}f}' for value in values)} |"


def table() -> Iterator[str]:
    """Return the lines of the table."""
    yield from HEAD.splitlines()
    for variant in VARIANTS:
        yield from rows(variant)


if __name__ == "__main__":
    print(*table(), sep="\n")
