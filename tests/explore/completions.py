# SPDX-License-Identifier: MIT
"""Programs with completions and threads: some whose classes can be counted by hand, and small random ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import (
    complete,
    complete_all,
    completion,
    join,
    spawn,
    spin_lock,
    spin_unlock,
    spinlock_t,
    thread,
    wait_for_completion,
)
from vmrace.harness.kernel.cell import cell

KINDS = ("x", "x", "load x", "load x", "y", "load y", "wait", "wait", "wait", "complete", "complete", "complete", "complete other",
         "wait other", "complete all", "locked", "spawn", "join")


def joins(n: int) -> Program:
    """One task spawns n threads and joins them: one class."""
    threads = [thread(f"t{number}", lambda: None) for number in range(n)]

    def main() -> None:
        for one in threads:
            spawn(one)
        for one in threads:
            join(one)
    return Program([main, *threads])


def _workers(n: int, waits: int) -> Program:
    """n tasks store and complete; one task waits that number of times, and reads what all have stored."""
    stored, done = [cell(f"x{number}", value=0) for number in range(n)], completion("done")

    def worker(number: int) -> Callable[[], None]:
        def body() -> None:
            stored[number].value = 1
            complete(done)
        return body

    def main() -> tuple[int, ...]:
        for _ in range(waits):
            wait_for_completion(done)
        return tuple(one.value for one in stored)
    return Program([main, *(worker(number) for number in range(n))])


def all_done(n: int) -> Program:
    """Wait for all: one class."""
    return _workers(n, n)


def one_done(n: int) -> Program:
    """Wait for any one of n. Each set of workers that is not empty may be done: 2^n - 1 classes."""
    return _workers(n, 1)


def gate(n: int) -> Program:
    """n tasks wait for one complete_all(): one class."""
    gate = completion("gate")
    return Program([lambda: complete_all(gate), *[lambda: wait_for_completion(gate)] * n])


def one_token(n: int) -> Program:
    """n tasks wait, and one can go on: n classes."""
    done = completion("done", 1)
    return Program([lambda: wait_for_completion(done)] * n)


def generated(seed: int, shared: bool = False) -> Program:
    """Return the random program of that seed; with `shared`, its first two tasks share a cpu."""
    rng = random.Random(seed)
    n = rng.choice((2, 2, 3, 3, 4))
    x, y, lock = cell("x", value=0), cell("y", value=0), spinlock_t("lock")
    done, other = completion("done", rng.choice((0, 0, 1, 1, 2))), completion("other", rng.choice((0, 0, 1)))
    spawned = n > 2 and rng.random() < 0.5
    threads: list[thread] = []

    def task(number: int, body: list[str]) -> Callable[[], tuple[int, ...]]:
        def run() -> tuple[int, ...]:
            seen: list[int] = []
            for position, kind in enumerate(body):
                _act(kind, 10 * number + position + 1, seen)
            return tuple(seen)

        def _act(kind: str, value: int, seen: list[int]) -> None:
            if kind in ("x", "y"):
                (x if kind == "x" else y).value = value
            elif kind in ("load x", "load y"):
                seen.append((x if kind == "load x" else y).value)
            elif kind == "locked":
                spin_lock(lock)
                seen.append(x.value)
                x.value = seen[-1] + 1
                spin_unlock(lock)
            elif kind == "spawn" and threads and number == 0 and not threads[0].progress:
                spawn(threads[0])
            elif kind == "join" and threads and number < n - 1:
                join(threads[0])
            elif kind in _CALLS:
                call, which = _CALLS[kind]
                call(done if which == "done" else other)
        return run

    bodies: list[Any] = [task(number, [rng.choice(KINDS) for _ in range(rng.randint(1, (4, 3, 2)[n - 2]))]) for number in range(n)]
    if spawned:
        threads.append(thread("worker", bodies[-1]))
        bodies[-1] = threads[0]
    return Program([bodies[:2], *bodies[2:]] if shared else bodies)


_CALLS: dict[str, tuple[Callable[[completion], None], str]] = {
    "wait": (wait_for_completion, "done"), "complete": (complete, "done"), "wait other": (wait_for_completion, "other"),
    "complete other": (complete, "other"), "complete all": (complete_all, "other")}
