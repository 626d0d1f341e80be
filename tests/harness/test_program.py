# SPDX-License-Identifier: MIT
"""Programs of plain functions return their results and are judged at rest; each run starts in the state that `make` left."""

from __future__ import annotations

import array
import functools
import gc
import io
import itertools
import random
import types
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.backends.greenlets import Greenlets
from vmrace.harness.backends.threads import ThreadStack
from vmrace.harness.functions.program import Program, ProgramError, Result, Runner
from vmrace.harness.kernel import (
    atomic_inc,
    atomic_read,
    atomic_t,
    down,
    local_irq_disable,
    raise_irq,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    smp_processor_id,
    spin_lock,
    spinlock_t,
    up,
    wait_queue_head_t,
)
from vmrace.harness.kernel.cell import cell
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay

from tests.harness import sharing_other

CHECK = "CHECK: the program's own check fails"


def every(runner: Runner, preemptions: int = 1) -> list[Result]:
    return list(every_schedule(runner.run, preemptions))


def lost_update(n: int = 2) -> Program:
    x = cell("x", value=0)

    def add() -> int:
        x.value = seen = x.value + 1
        return seen
    return Program([add] * n, check=lambda: x.value == n)


def test_a_run_has_the_results_of_its_tasks_and_is_judged_at_rest() -> None:
    results = every(Runner(lost_update))
    assert {(result.results, result.title) for result in results} == {
        ((1, 2), None), ((2, 1), None), ((1, 1), CHECK)}
    assert not any(result.limit_hit or result.cut for result in results)


def test_make_is_called_with_the_arguments_of_the_runner() -> None:
    assert Runner(lost_update, 3).run(NoPreempt()).results == (1, 2, 3)


def test_a_check_may_take_the_results_of_the_tasks() -> None:
    def make() -> Program:
        return Program([lambda: 1, lambda: 2], check=lambda results: sum(results) == 4)
    assert Runner(make).run(NoPreempt()).titles == [CHECK]


@pytest.mark.parametrize(("answer", "titles"), [(None, []), (True, []), (1, []), (False, [CHECK]), (0, [CHECK]), ("", [CHECK])])
def test_a_check_fails_if_it_returns_a_false_value_other_than_none(answer: Any, titles: list[str]) -> None:
    def make() -> Program:
        return Program([lambda: 1], check=lambda: answer)
    assert Runner(make).run(NoPreempt()).titles == titles


def test_the_message_of_a_failed_assertion_is_the_detail_of_the_finding() -> None:
    def make() -> Program:
        def check(results: tuple[Any, ...]) -> None:
            assert results == (2,), f"it was {results[0]}"
        return Program([lambda: 1], check=check)
    finding, = Runner(make).run(NoPreempt()).findings
    assert (finding.title, finding.sanitizer) == (CHECK, "check")
    assert finding.detail.startswith("it was 1")


def test_data_that_functions_close_over_is_restored_before_each_run() -> None:
    def make() -> Program:
        line, nested, table, names, data, count = [1], [[1]], {"a": [1]}, {"a"}, bytearray(b"a"), 0

        def task() -> tuple[Any, ...]:
            nonlocal count
            count += 1
            line.append(2)
            nested[0].append(2)
            table["a"].append(2)
            table["b"] = []
            names.add("b")
            data.extend(b"b")
            return count, tuple(line), tuple(nested[0]), tuple(table["a"]), len(table), frozenset(names), bytes(data)
        return Program([task])
    runner = Runner(make)
    first = runner.run(NoPreempt()).results
    assert first == ((1, (1, 2), (1, 2), (1, 2), 2, frozenset("ab"), b"ab"),)
    assert runner.run(NoPreempt()).results == first


class Shop:
    open = 0

    def __init__(self) -> None:
        self.sold: list[int] = []
        self.count = 0


def test_changed_and_new_attributes_are_restored_before_each_run() -> None:
    def make() -> Program:
        shop, space = Shop(), types.SimpleNamespace(n=0)

        def task() -> tuple[Any, ...]:
            Shop.open += 1
            Shop.new = getattr(Shop, "new", 0) + 1              # type: ignore[attr-defined]
            shop.count += 1
            shop.later = getattr(shop, "later", 0) + 1          # type: ignore[attr-defined]
            shop.sold.append(1)
            space.n += 1
            task.calls = getattr(task, "calls", 0) + 1          # type: ignore[attr-defined]
            sharing_other.add()
            return (Shop.open, Shop.new, shop.count, shop.later, len(shop.sold), space.n,   # type: ignore[attr-defined]
                    task.calls, sharing_other.count)                                        # type: ignore[attr-defined]
        return Program([task])
    runner = Runner(make)
    for _ in range(3):
        assert runner.run(NoPreempt()).results == ((1,) * 8,)


@pytest.mark.parametrize(("thing", "use"), [
    (itertools.count(), next), (iter([1, 2, 3]), next), (zip(range(9), range(9), strict=True), next),
    (array.array("i", [1]), lambda a: a.append(1)),
    (random.Random(1), lambda r: r.random()), (io.StringIO(), lambda f: f.write("a")), (io.BytesIO(b"abc"), lambda f: f.read(1)),
    ((n for n in range(9)), next), (functools.lru_cache(lambda: 1), lambda f: f()),
    (memoryview(bytearray(3)), lambda v: v.__setitem__(0, 7))],
    ids=["count", "list", "zip", "array", "random", "text", "bytes", "generator", "cache", "view"])
def test_changed_data_that_cannot_be_restored_is_refused(thing: Any, use: Callable[[Any], Any]) -> None:
    def make(uses: bool) -> Program:
        def task() -> None:
            if uses:
                use(thing)
        return Program([task])
    unused = Runner(make, False)
    assert not any(unused.run(NoPreempt()).titles for _ in range(2))
    with pytest.raises(ProgramError, match=r"make: thing, an? \w+ that task closes over: it has changed, and cannot be put back"):
        Runner(make, True).run(NoPreempt())


def test_data_that_a_called_function_closes_over_is_restored() -> None:
    def make() -> Program:
        seen: list[int] = []

        def helper() -> int:
            seen.append(1)
            return len(seen)
        return Program([lambda: helper()], check=lambda: len(seen) == 1)
    runner = Runner(make)
    for _ in range(3):
        result = runner.run(NoPreempt())
        assert (result.results, result.titles) == ((1,), [])


def test_a_task_that_fails_changes_nothing_for_the_next_run() -> None:
    def make() -> Program:
        x, log = cell("x", value=0), [0]

        def task() -> None:
            log.append(1)
            x.value = len(log)
            None.anything  # type: ignore[attr-defined]  # noqa: B018
        return Program([task], check=lambda: True)
    runner = Runner(make)
    for _ in range(2):
        result = runner.run(NoPreempt())
        assert result.titles == ["OOPS: NULL pointer dereference in task"]
        assert (result.results, result.state) == ((None,), runner.run(NoPreempt()).state)


def test_setup_runs_once_and_before_the_tasks() -> None:
    def make() -> Program:
        count = atomic_t("count")
        calls: list[int] = []

        def setup() -> None:
            calls.append(1)
            atomic_inc(count)
        return Program([lambda: (atomic_read(count), len(calls))] * 2, setup=setup)
    results = every(Runner(make))
    assert {result.results for result in results} == {((1, 1), (1, 1))}


def test_an_interrupt_comes_exactly_once_in_a_run_at_any_point() -> None:
    def make() -> Program:
        count = atomic_t("count")

        def handler() -> None:
            atomic_inc(count)

        def task() -> tuple[int, int]:
            return atomic_read(count), atomic_read(count)
        return Program([task], irqs=[handler], cpus=2, check=lambda: atomic_read(count) == 1)
    results = every(Runner(make))
    assert {result.results for result in results} == {((0, 0),), ((0, 1),), ((1, 1),)}
    assert not any(result.titles for result in results)


def test_a_list_of_functions_shares_a_cpu() -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def task() -> tuple[int, int]:
            cpu = smp_processor_id()
            seen = x.value
            x.value = seen + 1
            schedule()
            return cpu, seen
        return Program([task, [task, task]])
    runner = Runner(make)
    assert runner.cpus == 2
    results = every(runner, 2)
    assert {tuple(cpu for cpu, _ in result.results) for result in results} == {(0, 1, 1)}
    seen = {tuple(value for _, value in result.results) for result in results}
    assert all(b != c for _, b, c in seen)                  # without preemption they do not interleave
    assert {(0, 0, 1), (0, 1, 2), (1, 0, 2)} <= seen


@pytest.mark.parametrize("made", [None, 3, [], lambda: None])
def test_a_make_that_returns_no_program_is_refused(made: Any) -> None:
    def make() -> Any:
        return made
    with pytest.raises(ProgramError, match=r"make: returned \w+, not a vmrace.harness.functions.program.Program"):
        Runner(make)


@pytest.mark.parametrize(("tasks", "cpus"), [(0, 0), (129, 0), (1, 129)])
def test_a_program_of_no_task_or_too_many_is_refused(tasks: int, cpus: int) -> None:
    def make() -> Program:
        return Program([lambda: None] * tasks, cpus=cpus)
    with pytest.raises(ProgramError, match=f"make: {tasks} tasks on {cpus or tasks} cpus; at least 1, at most 128 on 128"):
        Runner(make)


@pytest.mark.parametrize("backend", ["greenlets", "threads"])
def test_a_task_may_not_make_kernel_objects(backend: str) -> None:
    """Each run would make a new object, so the explorer would miss the other tasks that touch it, and could prove a false verdict."""
    def make() -> Program:
        shared = cell("shared", value=None)

        def publish() -> None:
            shared.value = node = cell("node", value=0)
            node.value = 1

        def look() -> Any:
            return shared.value and shared.value.value
        return Program([publish, look], check=lambda results: results[1] != 0)
    with pytest.raises(ProgramError, match="make: cell node is made by a task: kernel objects must be made by the function that makes"):
        Runner(make, backend=backend).run(NoPreempt())
    assert Runner(lost_update).run(NoPreempt()).results == (1, 2)


@pytest.mark.parametrize(("count", "mutex"), [(0, None), (2, None), (1, False)])
def test_any_task_may_up_a_semaphore_that_is_no_mutex(count: int, mutex: bool | None) -> None:
    def make() -> Program:
        slots, items, x = semaphore("slots", count or 1, mutex=mutex if count else False), semaphore("items", 0), cell("x", value=0)

        def produce() -> None:
            down(slots)
            x.value += 1
            up(items)

        def consume() -> None:
            down(items)
            assert x.value == 1
            up(slots)
        return Program([produce, consume])
    results = every(Runner(make))
    assert {title for result in results for title in result.titles} == set()


@pytest.mark.parametrize(("task", "title"), [
    (up, "LOCKDEP: sem released by a task that does not hold it in lambda"), (down, "LOCKDEP: sem still held on return to user space")])
def test_only_the_task_that_acquired_a_mutex_may_release_it(task: Callable[[semaphore], None], title: str) -> None:
    def make() -> Program:
        sem = semaphore("sem")
        return Program([lambda: task(sem)])
    assert Runner(make).run(NoPreempt()).titles == [title]


def test_a_failed_make_does_not_affect_the_next_one() -> None:
    def make() -> Program:
        raise ValueError("of its own")
    with pytest.raises(ValueError, match="of its own"):
        Runner(make)
    assert Runner(lost_update).run(NoPreempt()).results == (1, 2)


@pytest.mark.parametrize("make", [lost_update, lambda: lost_update(3)], ids=["two", "three"])
def test_the_threads_backend_gives_the_same_runs(make: Callable[[], Program]) -> None:
    greenlets, threads = Runner(make), Runner(make, backend="threads")
    for result in every(greenlets)[:40]:
        again = threads.run(Replay(result.switches, result.forced))
        assert (again.results, again.titles, again.state, again.steps) == (result.results, result.titles, result.state, result.steps)


def test_the_state_of_a_run_is_a_value_that_differs_if_an_object_differs() -> None:
    runner = Runner(lost_update)
    runner.run(NoPreempt())
    after = runner.state()
    runner.run(NoPreempt())
    assert hash(runner.state()) == hash(after)
    assert runner.state() == after
    lost = next(result for result in every(runner) if result.titles)
    runner.run(Replay(lost.switches, lost.forced))
    assert runner.state() != after


def test_a_new_backend_never_gets_the_stacks_of_a_collected_one() -> None:
    """A new object may have the id of a collected one."""
    def two_increments() -> Program:
        count = atomic_t("count")

        def add() -> int:
            atomic_inc(count)
            return atomic_read(count)
        return Program([add, add])

    def ends_with(backend: str) -> list[Any]:
        runner = Runner(two_increments, backend=backend)
        return [runner.run(NoPreempt()).results for _ in range(2)]
    expected = ends_with("greenlets")
    gc.collect()
    gc.freeze()                         # keeps gc.collect() from visiting the objects of other tests each time
    try:
        for _ in range(20):
            gc.collect()
            assert ends_with("threads") == expected
            assert ends_with("greenlets") == expected
            assert not any(isinstance(task.stack, ThreadStack) for task in Greenlets().pool.values())
    finally:
        gc.unfreeze()


ELSEWHERE = {kind: kind("elsewhere") for kind in (spinlock_t, rwlock_t, semaphore, rw_semaphore, wait_queue_head_t, atomic_t)}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_kernel_object_made_outside_of_make_is_refused(kind: Any) -> None:
    """Such an object would carry its state from one run into the next."""
    made = ELSEWHERE[kind]

    def task() -> object:
        return made
    with pytest.raises(ProgramError, match=rf"{kind.__name__} elsewhere is made outside of it"):
        Runner(lambda: Program([task]))


# ---- before the tasks start ------------------------------------------------------------------------------------------------------

def test_a_semaphore_raised_in_setup_is_raised_in_each_run() -> None:
    def make() -> Program:
        free = semaphore("free", count=0, mutex=False)
        return Program([lambda: down(free)], setup=lambda: up(free))
    assert {result.title for result in every(Runner(make))} == {None}


def _holds() -> Program:
    lock = spinlock_t("lock")
    return Program([lambda: None], setup=lambda: spin_lock(lock))


def _holds_from_make() -> Program:
    lock = spinlock_t("lock")
    spin_lock(lock)
    return Program([lambda: None])


def _off() -> Program:
    return Program([lambda: None], setup=local_irq_disable)


def _raises() -> Program:
    return Program([lambda: None], setup=lambda: raise_irq(lambda: None))


def _raises_in_make() -> Program:
    raise_irq(lambda: None)
    return Program([lambda: None])


@pytest.mark.parametrize(("make", "why"), [
    (_holds, "lock still held when its tasks start"), (_holds_from_make, "lock still held when its tasks start"),
    (_off, "interrupts still off when its tasks start"), (_raises, "an interrupt is raised before its tasks start"),
    (_raises_in_make, "an interrupt is raised before its tasks start")])
def test_setup_that_leaves_a_lock_held_or_an_interrupt_pending_is_refused(make: Callable[[], Program], why: str) -> None:
    with pytest.raises(ProgramError, match=why):
        Runner(make)


def _forgets_to_return(x: Any) -> Callable[[], Any]:
    def check() -> None:
        x.value == 2        # noqa: B015
    return check


def _asserts(x: Any) -> Callable[[], Any]:
    def check() -> None:
        assert x.value == 2
    return check


def test_a_check_without_return_raise_or_call_is_refused() -> None:
    def make(check: Callable[[Any], Callable[[], Any]]) -> Program:
        x = cell("x", value=0)
        return Program([lambda: None], check=check(x))
    with pytest.raises(ProgramError, match="returns nothing, raises nothing and calls nothing"):
        Runner(make, _forgets_to_return)
    assert Runner(make, _asserts).run(NoPreempt()).title == CHECK


def _misspells(x: Any) -> None:
    x.valu = 1


def _says_so_itself(x: Any) -> None:
    raise AttributeError("mine")


def _of_none(x: Any) -> None:
    assert x.value.next


@pytest.mark.parametrize(("wrong", "title"), [(_misspells, "OOPS: AttributeError in _misspells"),
                                              (_says_so_itself, "OOPS: AttributeError in _says_so_itself"),
                                              (_of_none, "OOPS: NULL pointer dereference in _of_none")])
def test_only_a_dereferenced_none_is_a_null_pointer(wrong: Callable[[Any], None], title: str) -> None:
    def make() -> Program:
        x = cell("x", value=None)
        return Program([lambda: wrong(x)])
    assert Runner(make).run(NoPreempt()).title == title


class _Obliging:
    """An object whose __getattr__ raises KeyError for every plain name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return {}[name]


def test_an_object_with_its_own_getattr_is_not_called_by_the_runner() -> None:
    def make() -> Program:
        mine = _Obliging()
        return Program([lambda: mine and None])
    assert Runner(make).run(NoPreempt()).title is None
