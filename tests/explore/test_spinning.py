# SPDX-License-Identifier: MIT
"""An exploration ends although loops wait by reading, and has the outcomes of all schedules; loops that only seem to wait go on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.functions.program import Program
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import (
    RMW,
    atomic_read,
    atomic_set,
    atomic_t,
    cpu_relax,
    plain,
    point,
    raise_irq,
    rw_semaphore,
    rwlock_t,
    semaphore,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
    wait_queue_head_t,
)
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine.task import TASKS_MAX

from tests.programs import spinning

RIGHT: list[tuple[Callable[..., Program], tuple[int, ...]]] = [
    (spinning.flag, ()), (spinning.flag_by_cond_load, ()), (spinning.flag_with_yield, ()),
    (spinning.peterson, ()), (spinning.ticket, (2,)), (spinning.ticket, (3,)),
    (spinning.ttas, (2,)), (spinning.ttas, (3,)), (spinning.mcs, (2,)), (spinning.mcs, (3,)), (spinning.barrier, (3,)),
]
# and for the broken one, a title that must be found
BROKEN: list[tuple[Callable[..., Program], tuple[int, ...], str]] = [
    (spinning.flag, (1,), "CHECK: an assertion fails in reader"), (spinning.flag_by_cond_load, (1,), "CHECK: an assertion fails in reader"),
    (spinning.flag_with_yield, (1,), "LIVELOCK: reader"), (spinning.never, (), "LIVELOCK: reader"),
    (spinning.peterson, (1,), "CHECK: the program's own check fails"),
    (spinning.ticket, (2, 1), "LIVELOCK: task"), (spinning.ticket, (2, 1), "CHECK: the program's own check fails"),
    (spinning.ttas, (2, 1), "CHECK: the program's own check fails"), (spinning.mcs, (2, 1), "LIVELOCK: task"),
    (spinning.barrier, (3, 1), "LIVELOCK: task"),
]


def _name(case: Any) -> str:
    make, args, *_ = case
    return f"{make.__name__}{args}"


@pytest.mark.parametrize("case", RIGHT, ids=map(_name, RIGHT))
def test_a_right_one_is_proved(case: tuple[Callable[..., Program], tuple[int, ...]]) -> None:
    make, args = case
    found = verify(make, *args)
    assert found.proved, (found.why, found.titles)


@pytest.mark.parametrize("case", BROKEN, ids=map(_name, BROKEN))
def test_what_is_broken_is_found(case: tuple[Callable[..., Program], tuple[int, ...], str]) -> None:
    make, args, title = case
    found = verify(make, *args)
    assert found.complete
    assert title in found.titles


def test_who_waits_for_ever_is_told_what_it_reads() -> None:
    from vmrace.harness.explore.optimal import Optimal
    from vmrace.harness.functions.program import Runner
    runner = Runner(spinning.never)
    results = [result for result in Optimal().runs(runner.run) if result is not None]
    assert [result.findings[0].detail for result in results] == [
        "task0 reads ready.value again and again in reader, and nobody is left to change it"]


# ---- the outcomes are those of the same program with bounded loops -----------------------------------------------------------

def _spins(rng: random.Random, tries: int | None) -> Callable[[], Program]:
    """Return the maker of a random program of two or three tasks. Some steps wait until a cell has a value: for ever if `tries` is None,
    else for that number of loads, after which the task returns that it gave up."""
    tasks = [[(rng.choice(("store", "inc", "wait", "wait_two", "load", "load")), rng.randrange(2), rng.randrange(3))
              for _ in range(rng.randint(2, 4))] for _ in range(rng.choice((2, 2, 2, 3)))]

    def make() -> Program:
        cells = [cell(f"x{number}", value=0) for number in range(2)]

        def run(steps: list[tuple[str, int, int]]) -> Callable[[], object]:
            def task() -> object:
                seen: list[object] = []
                for kind, which, value in steps:
                    if kind == "store":
                        cells[which].value = value
                    elif kind == "inc":
                        cells[which].value = cells[which].value + 1
                    elif kind == "load":
                        seen.append(cells[which].value)
                    elif kind == "wait" and tries is None:
                        while cells[which].value < value:
                            pass
                    elif kind == "wait":
                        if not any(cells[which].value >= value for _ in range(tries)):      # type: ignore[arg-type]
                            return "gave up"
                    elif tries is None:
                        while cells[0].value != value and cells[1].value != value:
                            pass
                    elif not any(cells[0].value == value or cells[1].value == value for _ in range(tries)):
                        return "gave up"
                return tuple(seen)
            return task
        return Program([run(steps) for steps in tasks])
    return make


def _clean(found: Exploration) -> set[Any]:
    return {outcome for outcome in found.outcomes if not outcome[0] and "'gave up'" not in outcome[1]}      # type: ignore[index]


@pytest.mark.long
def test_random_programs_have_the_outcomes_of_bounded_loops() -> None:
    """Replace loops that wait by two loads, or three: no outcome needs an iteration that changes nothing."""
    compared = waited = several = 0
    for seed in range(80):
        forever = verify(_spins(random.Random(seed), None), runs=400)
        bounded = verify(_spins(random.Random(seed), 2), runs=400)
        if not (forever.complete and bounded.complete):
            continue
        assert _clean(forever) == _clean(bounded), f"seed {seed}"
        gives_up = any("'gave up'" in outcome[1] for outcome in bounded.outcomes)       # type: ignore[index]
        assert not forever.titles or gives_up, f"seed {seed}"
        compared += 1
        waited += gives_up
        several += len(_clean(forever)) > 1
    assert compared >= 60
    assert waited >= 45
    assert several >= 15


# ---- loops that only seem to wait ------------------------------------------------------------------------------------

def _counts_in_a_local() -> Program:
    x = cell("x", value=0)

    def task() -> int:
        tries = 0
        while not x.value and tries < 3:
            tries += 1
        return tries
    return Program([task, lambda: None])


def _counts_in_a_list() -> Program:
    x = cell("x", value=0)

    def task() -> int:
        tries: list[int] = []
        while not x.value and len(tries) < 3:
            tries.append(0)
        return len(tries)
    return Program([task, lambda: None])


def _counts_in_a_closure() -> Program:
    x, tries = cell("x", value=0), [0]

    def again() -> bool:
        tries[0] += 1
        return tries[0] < 3

    def task() -> int:
        while not x.value and again():
            pass
        return tries[0]
    return Program([task, lambda: None])


class _Mine(struct):
    tries = plain(0)


def _counts_in_a_plain_field() -> Program:
    x, mine = cell("x", value=0), _Mine("mine")

    def task() -> int:
        while not x.value and mine.tries < 3:
            mine.tries += 1
        return mine.tries
    return Program([task, lambda: None])


def _counts_in_an_iterator() -> Program:
    x = cell("x", value=0)

    def task() -> int:
        tries = itertools.count()
        while not x.value and next(tries) < 3:
            pass
        return next(tries)
    return Program([task, lambda: None])


def _counts_in_an_outer_loop() -> Program:
    x = cell("x", value=0)

    def task() -> int:
        seen = 0
        for _ in [None] * 3:
            seen += x.value
        return seen
    return Program([task, lambda: None])


def _walks_equal_nodes() -> Program:
    """Walk a list of equal nodes: the position in it is a part of the local state."""
    x, nodes = cell("x", value=0), [[], [], []]

    def task() -> int:
        at = nodes[0]
        while not x.value and at is not nodes[2]:
            at = nodes[next(number for number, node in enumerate(nodes) if node is at) + 1]
        return 1
    return Program([task, lambda: None])


def _counts_under_a_lock() -> Program:
    x, lock = cell("x", value=0), spinlock_t("lock")
    count = atomic_t("count")

    def task() -> int:
        spin_lock(lock)
        while not x.value and atomic_read(count) < 3:
            atomic_set(count, atomic_read(count) + 1)
        spin_unlock(lock)
        return 1
    return Program([task, lambda: None])


@pytest.mark.parametrize("make", [_counts_in_a_local, _counts_in_a_list, _counts_in_a_closure, _counts_in_a_plain_field,
                                  _counts_in_an_iterator, _counts_in_an_outer_loop, _walks_equal_nodes, _counts_under_a_lock])
def test_a_loop_that_ends_by_itself_does_not_wait(make: Callable[[], Program]) -> None:
    found = verify(make)
    assert found.proved, (found.why, found.titles)

# ---- loops whose state is out of sight ---------------------------------------------------------------------------------------------

class _Base:
    tries = 0


class _Counter(_Base):
    def again(self) -> bool:
        type(self).__mro__[1].tries += 1        # type: ignore[attr-defined]
        return _Base.tries % 3 != 0


def _counts_in_a_base_class() -> Program:
    x, mine = cell("x", value=0), _Counter()

    def task() -> None:
        while not x.value and mine.again():
            pass
        assert x.value
    return Program([task, lambda: setattr(x, "value", 1)])


def _polls_by_a_generator() -> Program:
    x = cell("x", value=0)

    def poll() -> Iterator[int]:
        while True:
            yield x.value

    def task() -> None:
        for tries, value in enumerate(poll()):
            if value:
                return
            assert tries < 3
    return Program([task, lambda: setattr(x, "value", 1)])


def _adds_what_a_map_gives() -> Program:
    x = cell("x", value=0)

    def read(one: Any) -> int:
        return one.value        # type: ignore[no-any-return]

    def task() -> None:
        while True:
            if not sum(map(read, [x, x, x])):
                break
    return Program([task, lambda: None])


def _kicks_a_device() -> Program:
    done = cell("done", value=0)

    def device() -> None:
        done.value = 1

    def task() -> None:
        while not done.value:
            raise_irq(device)
    return Program([task])


@pytest.mark.parametrize(("make", "titles"), [
    (_counts_in_a_base_class, ["CHECK: an assertion fails in task"]), (_polls_by_a_generator, ["CHECK: an assertion fails in task"]),
    (_adds_what_a_map_gives, [])])
def test_a_loop_whose_state_is_out_of_sight_does_not_wait(make: Callable[[], Program], titles: list[str]) -> None:
    """Run it alone: it ends."""
    found = verify(make)
    assert (found.titles, found.why) == (titles, None)


def test_who_raises_interrupts_does_more_than_read() -> None:
    found = verify(_kicks_a_device, runs=200)
    assert found.why and not found.titles


def test_what_is_waited_for_may_be_in_a_list_that_a_cell_holds() -> None:
    def make() -> Program:
        c = cell("c", value=[0])

        def waits() -> None:
            while not c.value[0]:
                pass

        def sets() -> None:
            point(c, RMW)
            c._value[0] = 1
        return Program([waits, sets])
    assert verify(make).proved


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_that_leaves_over_who_waits_does_not_make_others_wait(interrupts: int) -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def task() -> None:
            for _ in range(interrupts):
                raise_irq(lambda: None)
            while not x.value:
                pass

        def handler() -> None:
            x.value = 1
        return Program([task], irqs=[handler])
    found = verify(make)
    assert found.proved, (found.titles, found.why)


@pytest.mark.parametrize("lock", [spinlock_t, rwlock_t, semaphore, rw_semaphore, wait_queue_head_t])
def test_a_loop_in_reach_of_any_kernel_object_is_known(lock: Callable[[str], Any]) -> None:
    def make() -> Program:
        go, other = cell("go", value=0), lock("other")

        def waits() -> Any:
            while getattr(go, "value") != 1:        # noqa: B009 (Python calls a builtin in another way, once it is warm)
                cpu_relax()
            return other

        def sets() -> None:
            go.value = 1
        return Program([waits, waits, sets])
    for _ in range(3):
        assert verify(make).proved


def test_many_tasks_wait_for_one() -> None:
    def make() -> Program:
        go = cell("go", value=0)

        def waits() -> None:
            while not go.value:
                pass

        def sets() -> None:
            go.value = 1
        return Program([waits] * (TASKS_MAX - 1) + [sets])
    assert not verify(make, runs=20).titles
