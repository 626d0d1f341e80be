# SPDX-License-Identifier: MIT
"""Measure the engine against the floor, and against frontrun: one command, one run, ratios.

    python -m tests.benchmarks.engine

Floor: the same kernel functions linked over plain primitives (floor.py), one task after another, state reset the same way.
Each figure is the least of many rounds of one fixed batch, and the floor is measured in every round: if the floor varies, the
machine was busy, and the last line says so. The goals on greenlets: 2.2x without preemption, 2.8x PCT d=3, 7x uniform walk.
frontrun (if it is installed) explores a lost update of two threads. Its points are bytecodes, ours are shared accesses, so its
schedules a second do other work than ours.
"""

from __future__ import annotations

import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.run.executor import Executor, Prepared, _address_spaces, _call, _threads
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.variants.family import family
from vmrace.variants.program import Program, TaskProgram, parse_ops

from tests.benchmarks import floor

FAMILY, VARIANT = "lru_free_2_4", "pre_patch"
# A fault, a free and a reclaim: about 100 points, on the paths on which campaigns spend their time.
PROGRAM = Program(
    parse_ops(["store m0.0", "store m0.1"], "setup"),
    (TaskProgram(0, parse_ops(["unmap m0.0"], "cpu0")), TaskProgram(1, parse_ops(["store m0.2"], "cpu1")),
     TaskProgram(2, parse_ops(["shrink_cache 1"], "cpu2"))), 3)


ROUNDS = 15
STEADY = 1.1        # on an idle machine half of the rounds of the floor take at most this many times the least


def once(run: Callable[[], Any], batch: int) -> float:
    """Return the microseconds of one call, over a batch of calls. A batch before it, not timed, warms up, as other code has just run."""
    for _ in range(batch):
        run()
    start = time.perf_counter()
    for _ in range(batch):
        run()
    return (time.perf_counter() - start) / batch * 1e6


def floor_run(program: Program) -> Callable[[], None]:
    """Return a function that runs the program as plain Python calls."""
    image = family(FAMILY).link(VARIANT, "floor", toolkit=floor.TOOLKIT)
    floor.now_running.task = image.tasks[0]
    image.load(image.boot)
    image["boot"](_threads(program))
    for number, op in enumerate(program.setup, 1):
        function, args = _call(image, op, number)
        function(*args)
    image["start"]()
    state = image.save()
    calls = [(image.tasks[number], [_call(image, op, 9) for op in task.ops] + [(image["leave"], (number, _address_spaces(task)))])
             for number, task in enumerate(program.tasks)]

    def run() -> None:
        image.load(state)
        for task, operations in calls:
            floor.now_running.task = task
            for function, args in operations:
                function(*args)
            floor.deliver()
    return run


def bare(executor: Executor, prepared: Prepared, scheduler: Any) -> Callable[[], None]:
    """Return a function that resets the machine and runs the program, without judging it at rest."""
    image = prepared.image

    def run() -> None:
        image.load(prepared.state)
        m.run(image, prepared.tasks, scheduler, executor.backend, prepared.cpus, False, prepared.raised)
        if m.aborting:
            image.load_volatile(image.at_rest)
    return run


def engine(backend: str, batch: int) -> list[float]:
    """Print the ratios on `backend`; return the microseconds of the floor in each round."""
    executor = Executor(family(FAMILY), VARIANT, backend)
    prepared = executor.prepare(PROGRAM)
    points = executor.run(prepared, NoPreempt()).steps
    rng = random.Random(1)
    schedulers = {"no preemption": NoPreempt(), "PCT d=3": Pct(rng, 3, points), "geometric walk 0.1": Walk(rng, 0.1),
                  "uniform walk": Walk(rng, 1)}
    floor_of_program = floor_run(PROGRAM)
    rounds = [(once(floor_of_program, batch),
               [(once(bare(executor, prepared, scheduler), batch), once(lambda s=scheduler: executor.run(prepared, s), batch))
                for scheduler in schedulers.values()]) for _ in range(ROUNDS)]
    base = min(floor for floor, _ in rounds)
    print(f"{backend:<10} floor {base:.1f} us")
    for number, name in enumerate(schedulers):
        alone, judged = (min(figures[number][which] for _, figures in rounds) for which in (0, 1))
        print(f"{backend:<10} {name:<20} {points:>4} points  machine {alone:7.1f} us {alone / base:6.2f}x   "
              f"with all judged {judged:7.1f} us {judged / base:6.2f}x   {1e6 / judged:8,.0f} runs/s")
    return [floor for floor, _ in rounds]


def lost_update_here() -> None:
    """Print schedules a second of two tasks that each load and store one racy field; a point is one shared access."""
    from vmrace.harness.backends import BACKENDS
    from vmrace.harness.link.linker import link
    image = link("tests.benchmarks.lost_update")
    backend = BACKENDS["greenlets"]()
    tasks = [(0, [(image["add_one"], ())]), (1, [(image["add_one"], ())])]
    scheduler = Walk(random.Random(1), 0.5)

    def run() -> None:
        image.load(image.boot)
        m.run(image, tasks, scheduler, backend, 2)
    each = min(once(run, 2000) for _ in range(ROUNDS))
    print(f"lost update  vmrace     {1e6 / each:10,.0f} schedules/s   point: a shared access")


def lost_update_frontrun() -> None:
    command = shutil.which("frontrun", path=str(pathlib.Path(sys.executable).parent))
    if command is None:
        print("lost update  frontrun   not installed (pip install frontrun==0.7.0)")
        return
    script = pathlib.Path(__file__).with_name("lost_update_frontrun.py")
    done = subprocess.run([command, sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        print(f"lost update  frontrun   failed: {done.stderr.strip().splitlines()[-1:]}")
        return
    print(f"lost update  frontrun   {float(done.stdout.split()[-1]):10,.0f} schedules/s   point: a bytecode (explore_random)")


def main() -> None:
    floors = engine("greenlets", 500)
    engine("threads", 60)
    lost_update_here()
    lost_update_frontrun()
    low, middle, high = min(floors), statistics.median(floors), max(floors)
    print(f"the floor took {low:.1f} to {high:.1f} us, half of the rounds up to {middle:.1f}: "
          + ("steady" if middle < STEADY * low else "the machine was busy, and these ratios are worth nothing"))


if __name__ == "__main__":
    main()
