# SPDX-License-Identifier: MIT
"""The kernel families do nothing that explorers cannot see. For every corpus entry on every variant, and for generated programs, runs
are repeated in other orders of the same class, and must have the same outcome.

The canary is tests/programs/wrong.py (in_the_environment), which `vmrace verify` refuses by the same means.
"""

from __future__ import annotations

import pathlib
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.harness.errors import Diverged
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.orders import ORDERS, InOrder, can_be_ordered, stop_of, stops_of
from vmrace.harness.functions import verify as repeats
from vmrace.harness.functions.program import Program as Functions
from vmrace.harness.functions.program import Runner
from vmrace.harness.incomplete import Reason
from vmrace.harness.kernel.cell import cell
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import Program

from tests.explore.test_family_programs import outcome_of, small
from tests.programs import wrong

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"
CLASSES_MAX = 40            # of one program
GENERATED = 6
VARIANTS = [(room, variant) for room in FAMILIES for variant in family(room).variants]


def programs(executor: Executor) -> Iterator[Program]:
    for path in sorted((CORPUS / executor.family.name).glob("*.toml")):
        yield load(path).program
    names = tuple(executor.operations())
    for seed in range(GENERATED):
        yield small(random.Random(seed), names, "shared" if seed % 3 == 2 else "plain")


def agree(executor: Executor, program: Program) -> Counter[str]:
    """Run some classes of the program in each order; AssertionError if an order has another outcome. Return the numbers of runs."""
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
        alone = len({event.cpu for event in events}) == len({event.process for event in events})       # otherwise it cannot stop there
        stop = stop_of(seen["runs"] * 7 % stops_of(events))
        for order in (*ORDERS, stop) if alone else ORDERS:
            try:
                now = executor.run(prepared, InOrder(order(events)))
            except Diverged as error:
                raise AssertionError(f"{program}: {error}") from None
            assert outcome_of(executor, prepared.image, now) == before, str(program)
            seen["compared"] += 1
    return seen


@pytest.mark.long
@pytest.mark.parametrize(("room", "variant"), VARIANTS, ids=["/".join(both) for both in VARIANTS])
def test_every_order_of_a_class_comes_to_the_same(room: str, variant: str) -> None:
    executor = Executor(family(room), variant, checked=True)
    executor.races = False
    total: Counter[str] = Counter()
    for program in programs(executor):
        total += agree(executor, program)
    assert total["compared"] >= 200, total


# ---- quiet points ----------------------------------------------------------------------------------------------------------

def two_quiet_tasks() -> Functions:
    """Make two tasks that share nothing: all points of a task are one event, and there is one class."""
    cells = [cell("a", value=0), cell("b", value=0)]

    def task(one: cell, times: int) -> None:
        for number in range(times):
            one.value = number
    return Functions([lambda: task(cells[0], 4), lambda: task(cells[1], 2)])


def test_each_process_stops_after_each_of_its_points_until_the_others_are_done() -> None:
    runner, explorer = Runner(two_quiet_tasks), Optimal()
    events = next(list(explorer.events) for _ in explorer.runs(runner.run))
    assert len(events) == 2 and stops_of(events) == 8       # the start of a task is a point, too
    orders = [stop_of(number)(events) for number in range(8)]
    first, second = (event.process for event in events)
    points = {event.process: event.points for event in events}
    expected = []
    for process, other in ((first, second), (second, first)):
        for number in range(1, points[process] + 1):
            expected.append([process] * number + [other] * points[other] + [process] * (points[process] - number))
    assert orders == expected
    for order in orders:
        assert not runner.run(InOrder(order)).titles


def test_what_is_half_done_between_two_quiet_points_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find it with an order in which one task stops right there. Two orders of whole tasks, and taking turns, do not show it."""
    found = repeats.verify(wrong.in_the_environment)
    assert not found.proved and found.why is not None and found.why.reason is Reason.UNSEEN
    monkeypatch.setattr(repeats, "SAMPLED", 0)
    assert not repeats.verify(wrong.in_the_environment).proved
    monkeypatch.setattr(repeats, "stops_of", lambda events: 0)
    assert repeats.verify(wrong.in_the_environment).proved
