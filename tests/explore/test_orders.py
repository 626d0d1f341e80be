# SPDX-License-Identifier: MIT
"""What the kernel families do without telling explorers: nothing. Classes of runs of every corpus entry on every variant, and of
generated programs, are run again in other orders of the same class, and must come to the same.

The canary is tests/programs/wrong.py (plain_list and its like), which `vmrace verify` refuses by the same means.
"""

from __future__ import annotations

import pathlib
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from fuzz.entry import load
from fuzz.executor import Executor, SetupFailed
from harness.errors import Diverged
from harness.explore.optimal import Optimal
from harness.explore.orders import ORDERS, InOrder, can_be_ordered
from tests.explore.test_family_programs import outcome_of, small
from variants.interface import FAMILIES, family
from variants.program import Program

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"
CLASSES_MAX = 40            # of a program
GENERATED = 6
VARIANTS = [(room, variant) for room in FAMILIES for variant in family(room).variants]


def programs(executor: Executor) -> Iterator[Program]:
    for path in sorted((CORPUS / executor.family.name).glob("*.toml")):
        yield load(path).program
    names = tuple(executor.operations())
    for seed in range(GENERATED):
        yield small(random.Random(seed), names, "shared" if seed % 3 == 2 else "plain")


def agree(executor: Executor, program: Program) -> Counter[str]:
    """Runs some classes of the program in each order; AssertionError if one comes to something else."""
    seen: Counter[str] = Counter()
    try:
        prepared = executor.prepare(program)
    except SetupFailed:
        return seen
    explorer = Optimal({}, prepared.cpus == 1)
    for outcome in explorer.runs(lambda scheduler: executor.run(prepared, scheduler)):
        seen["runs"] += 1
        if seen["runs"] > CLASSES_MAX:
            break
        if outcome is None or explorer.misrouted or outcome.titles or not can_be_ordered(explorer.events):
            continue
        before, events = outcome_of(executor, prepared.image, outcome), list(explorer.events)
        for order in ORDERS:
            try:
                now = executor.run(prepared, InOrder(order(events)))
            except Diverged as error:
                raise AssertionError(f"{program}: {error}") from None
            assert outcome_of(executor, prepared.image, now) == before, str(program)
            seen["compared"] += 1
    return seen


@pytest.mark.parametrize(("room", "variant"), VARIANTS, ids=["/".join(both) for both in VARIANTS])
def test_every_order_of_a_class_comes_to_the_same(room: str, variant: str) -> None:
    executor = Executor(family(room), variant, checked=True)
    executor.races = False
    total: Counter[str] = Counter()
    for program in programs(executor):
        total += agree(executor, program)
    assert total["compared"] >= 200, total
