# SPDX-License-Identifier: MIT
"""Ctrl-C while no code of a task runs: the caller hears of it, and the next run of the process begins afresh.

A greenlet that Ctrl-C had hit between two runs was dead, and the next run took it for a task that was done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.functions.program import Program as Functions
from vmrace.harness.functions.program import Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import down, semaphore, up
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine import stacks
from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.program import Op, Program, TaskProgram

PLACES = ((Machine, "dispatch"), (stacks, "_leave"), (stacks, "unwind"), (stacks, "nobody"), (stacks, "assign"))


def make(stuck: bool) -> Functions:
    """Two tasks take turns at a semaphore; with `stuck`, a third waits for ever."""
    x, turn, never = cell("x", value=0), semaphore("turn", 1), semaphore("never", 0)

    def adds() -> None:
        down(turn)
        x.value += 1
        up(turn)
    return Functions([adds, adds, *([lambda: down(never)] if stuck else [])], check=lambda: x.value == 2)


def facts(runner: Runner) -> tuple[Any, ...]:
    result = runner.run(NoPreempt())
    return result.titles, result.switches, result.forced, result.steps


class Raises:
    """The function, but call number `at` of it raises KeyboardInterrupt, before it or `after`."""

    def __init__(self, function: Callable[..., Any], at: int, after: bool):
        self.function, self.left, self.after = function, at, after

    def __get__(self, obj: object, kind: type) -> Callable[..., Any]:
        return lambda *args: self(obj, *args)

    def __call__(self, *args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return self.function(*args)         # no other one hears of Ctrl-C
        self.left -= 1
        if not self.left and not self.after:
            raise KeyboardInterrupt
        out = self.function(*args)
        if not self.left:
            raise KeyboardInterrupt
        return out


@pytest.mark.parametrize("backend", ["greenlets", "threads"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[name for _, name in PLACES])
def test_the_run_after_one_that_was_broken_off_is_like_any_other(
        owner: Any, name: str, after: bool, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = 0
    for stuck in (False, True):
        runner = Runner(make, stuck, backend=backend)
        expected = facts(runner)
        for at in range(1, 12):
            with monkeypatch.context() as patched:
                raises = Raises(getattr(owner, name), at, after)
                patched.setattr(owner, name, raises)
                try:
                    assert facts(runner) == expected
                except KeyboardInterrupt:
                    heard += 1
                raises.left = -1            # a stack may return from such a call in a later run
            assert facts(runner) == expected
    in_a_task = name in ("_leave", "nobody")        # it returns in a later run, if at all; and a thread of a task hears nothing
    assert heard or (in_a_task and (after or backend == "threads"))
    assert verify(make, False).proved


@pytest.mark.parametrize("what", ["prepare", "leaks"])
def test_ctrl_c_outside_the_runs_of_an_executor_is_heard(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor(family("lru_free_2_4"), "pre_patch")
    program = Program((), (TaskProgram(0, (Op("store", ("m0.0",)),)),), 2)
    prepared = executor.prepare(program)
    ran = executor.run(prepared, NoPreempt())
    with monkeypatch.context() as patched:
        patched.setattr(Machine, "dispatch", Raises(Machine.dispatch, 1, after=False))
        with pytest.raises(KeyboardInterrupt):
            executor.prepare(program) if what == "prepare" else executor.leaks(prepared, ran)
    again = executor.run(executor.prepare(program), NoPreempt())
    assert (again.titles, again.switches, again.forced, again.steps) == (ran.titles, ran.switches, ran.forced, ran.steps)
