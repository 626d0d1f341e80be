# SPDX-License-Identifier: MIT
"""Code in `with`, `finally` and `except` that runs while a run is being ended is no part of the run."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vmrace.fuzz.functions.sample import fuzz
from vmrace.harness.errors import Diverged
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import BUG_ON, WARN_ON, down, in_interrupt, local_irq_disable, raise_irq, semaphore, up
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay

BACKENDS = ("greenlets", "threads")


class Mutex:
    def __init__(self, name: str):
        self.sem = semaphore(name)

    def __enter__(self) -> None:
        down(self.sem)

    def __exit__(self, *_: object) -> None:
        up(self.sem)


@contextlib.contextmanager
def holding(sem: semaphore) -> Iterator[None]:
    down(sem)
    try:
        yield
    finally:
        up(sem)


def sleeps_for_ever(after: Callable[[Any], Any]) -> Callable[[], Program]:
    """Return the make of a program: a task sleeps for ever, and calls `after` in its `finally`."""
    def make() -> Program:
        x, never = cell("x", value=0), semaphore("never", 0)

        def waits() -> None:
            try:
                down(never)
            finally:
                after(x)
        return Program([waits, lambda: x.value])
    return make


def store(x: cell) -> None:
    x.value = 1


def warn(x: cell) -> None:
    WARN_ON(True, 5)


def bug(x: cell) -> None:
    BUG_ON(True, 6)


def divide(x: cell) -> float:
    return 1 / 0


def interrupt(x: cell) -> None:
    raise_irq(lambda: store(x))
    x.value = 2


def ends(x: cell) -> None:
    raise SystemExit


def disable(x: cell) -> None:
    local_irq_disable()
    assert not in_interrupt()
    x.value = 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("after", [store, warn, bug, divide, interrupt, ends, disable])
def test_a_finally_changes_nothing_after_the_end_of_a_run(after: Callable[[Any], Any], backend: str) -> None:
    runner = Runner(sleeps_for_ever(after), backend=backend)
    for explores in (False, True):
        for result in every_schedule(runner.run, 1, explores=explores):
            assert result.titles == ["DEADLOCK: tasks asleep for ever: waits"]
            assert (result.results, result.steps, m.irqs_raised) == ((None, 0), 2, 0)
            assert runner.image.objects[0]._value == 0


@pytest.mark.parametrize("after", [store, warn, bug, divide, interrupt, ends])
def test_verify_and_fuzz_report_only_the_deadlock_and_nothing_from_the_finally(after: Callable[[Any], Any]) -> None:
    proof, sampled = verify(sleeps_for_ever(after)), fuzz(sleeps_for_ever(after), runs=50)
    assert (proof.titles, proof.why) == (["DEADLOCK: tasks asleep for ever: waits"], None)
    assert (list(sampled.titles), sampled.why) == (proof.titles, None)
    assert "write x" not in sampled.story


@pytest.mark.parametrize("manager", [Mutex, lambda name: None])
def test_the_exit_of_a_with_releases_nothing_after_the_end_of_a_run(manager: Callable[[str], Any]) -> None:
    def make() -> Program:
        made, never = manager("lock"), semaphore("never", 0)
        sem = made.sem if made else semaphore("lock")

        def held() -> Any:
            return made or holding(sem)

        def waits() -> None:
            with held():
                up(sem)                     # as a condition variable does
                down(never)
                down(sem)

        def other() -> None:
            with held():
                pass
        return Program([waits, other])
    found = verify(make)
    assert (found.titles, found.why) == (["DEADLOCK: tasks asleep for ever: waits"], None)


def test_a_task_that_dies_keeps_its_locks_while_the_other_tasks_run() -> None:
    """Under an explorer a BUG halts one cpu: no other task acquires the lock that its `finally` would release."""
    def make() -> Program:
        mutex, x = Mutex("mutex"), cell("x", value=0)

        def dies() -> None:
            try:
                with mutex:
                    BUG_ON(True, 1)
            finally:
                x.value = 1

        def other() -> int:
            with mutex:
                return int(x.value) + 1
        return Program([dies, other])
    runner = Runner(make)
    results = list(every_schedule(runner.run, 2, explores=True))
    assert {result.results for result in results} == {(None, None), (None, 1)}
    assert all(result.titles == ["BUG at test_unwind.py:1 in dies"] for result in results)
    assert verify(make).titles == ["BUG at test_unwind.py:1 in dies"]


def test_an_exception_of_the_programs_own_runs_its_finally() -> None:
    """Such an exception does not end the run, so Python's rules hold."""
    def make() -> Program:
        mutex = Mutex("mutex")

        def fails() -> None:
            with mutex:
                raise ValueError

        def other() -> int:
            with mutex:
                return 1
        return Program([fails, other])
    results = list(every_schedule(Runner(make).run, 2, explores=True))
    assert {result.results for result in results} == {(None, 1)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_that_catches_the_end_of_its_run_returns_nothing(backend: str) -> None:
    def make() -> Program:
        never, x = semaphore("never", 0), cell("x", value=0)

        def catches() -> int:
            try:
                down(never)
            except BaseException:
                with contextlib.suppress(BaseException):
                    x.value = 1
            return 5
        return Program([catches])
    runner = Runner(make, backend=backend)
    for _ in range(3):
        result = runner.run(NoPreempt())
        assert (result.titles, result.results) == (["DEADLOCK: tasks asleep for ever: catches"], (None,))
        assert runner.image.objects[1]._value == 0


def test_a_program_cannot_catch_an_exception_of_the_scheduler() -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def catches() -> None:
            try:
                x.value = 1
            except BaseException:
                x.value = 2
        return Program([catches, lambda: x.value])
    runner = Runner(make)
    with pytest.raises(Diverged):
        runner.run(Replay([1, 7], []))
    assert runner.run(NoPreempt()).titles == []


def generators(kept: bool) -> Callable[[], Program]:
    """Return the make of a program: a task leaves a generator with a `finally` suspended. The task sleeps for ever, or (`kept`) ends, with
    the generator in a cycle that is garbage collected later."""
    def make() -> Program:
        never, x = semaphore("never", 0), cell("x", value=0)

        def steps() -> Iterator[int]:
            try:
                yield 1
            finally:
                x.value += 1

        def leaves() -> int:
            it = steps()
            if kept:
                cycle: list[Any] = [it]
                cycle.append(cycle)
                return next(it) + int(x.value)
            next(it)
            down(never)
            return 0
        return Program([leaves, lambda: x.value])
    return make


@pytest.mark.parametrize("kept", [False, True])
def test_a_generator_that_is_closed_later_does_nothing_in_any_run(kept: bool, capfd: pytest.CaptureFixture[str]) -> None:
    runner = Runner(generators(kept))
    expected = (1, 0) if kept else (None, 0)
    gc.collect()
    gc.freeze()                         # keeps gc.collect() from visiting the objects of other tests each time
    try:
        for result in every_schedule(runner.run, 2, explores=True):
            assert result.results == expected
            assert runner.image.objects[1]._value == 0
            gc.collect()
    finally:
        gc.unfreeze()
    found = verify(generators(kept))
    assert found.proved == kept and not found.why
    assert capfd.readouterr().err == ""


def test_a_bug_in_the_check_is_a_finding() -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def check() -> None:
            BUG_ON(x.value == 1, 3)
        return Program([lambda: store(x)], check=check)
    assert Runner(make).run(NoPreempt()).titles == ["BUG at test_unwind.py:3 in check"]


# ---- interrupts ------------------------------------------------------------------------------------------------------------

def asserts() -> None:
    raise AssertionError("in an interrupt")


def raises() -> None:
    raise ValueError("in an interrupt")


def bugs() -> None:
    BUG_ON(True, 12)


RAISED = [(asserts, "CHECK: an assertion fails in asserts"), (raises, "OOPS: ValueError in raises"),
          (bugs, "BUG at test_unwind.py:12 in bugs")]


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize(("handler", "title"), RAISED)
@pytest.mark.parametrize("raised", ["pending", "by a task", "by an interrupt"])
def test_an_exception_of_an_interrupt_handler_is_a_finding_wherever_it_came(raised: str, handler: Callable[[], None], title: str,
                                                                            cpus: int) -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def task() -> None:
            with contextlib.suppress(Exception):        # suppresses the task's own exceptions and must not suppress the handler's
                if raised == "by a task":
                    raise_irq(handler)
                elif raised == "by an interrupt":
                    raise_irq(lambda: raise_irq(handler))
                x.value = 1
        return Program([task], irqs=[handler] if raised == "pending" else [], cpus=cpus)
    for explores in (False, True):
        for result in every_schedule(Runner(make).run, 1, explores=explores):
            assert result.titles == [title]
    found = verify(make)
    assert (found.titles, found.why) == ([title], None)
    sampled = fuzz(make, runs=20)
    assert (list(sampled.titles), sampled.why) == ([title], None)


def test_an_interrupt_handler_gets_its_arguments() -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def handler(value: int) -> None:
            x.value = value
        return Program([lambda: raise_irq(handler, 7)], check=lambda: x.value == 7)
    assert Runner(make).run(NoPreempt()).titles == []


class _Mine(BaseException):
    """A BaseException that is no Exception."""


def test_any_exception_of_a_task_is_a_finding_even_if_it_is_no_exception_subclass() -> None:
    def wrong() -> None:
        raise _Mine("mine")
    assert verify(lambda: Program([wrong])).titles == ["OOPS: _Mine in wrong"]
