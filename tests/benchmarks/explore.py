# SPDX-License-Identifier: MIT
"""Measure the cost of choosing the next run: DPOR against a replay of the same runs without analysis. One command, ratios.

    python -m tests.benchmarks.explore
    python -m tests.compiled tests.benchmarks.explore       # with the explorer compiled; the machine that replays is not

Each program is explored once and the decisions of all its runs are kept; then it is explored again and replayed, in turn, and
the least time of each counts. The ratio is replay's time to DPOR's; the goal is 0.3.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Runner
from vmrace.harness.functions.verify import Again
from vmrace.harness.machine.machine import m
from vmrace.variants.family import family

from tests.programs import filesystem, indexer, lastzero

ASKED = 0.3
RUNS_MAX = 3_000
REPEATS = 5
CORPUS = pathlib.Path(__file__).parents[2] / "corpus" / "lru_free_2_4"
ENTRY, VARIANT = "double-free-in-__free_pages_ok-13024daf.toml", "pre_patch"

Run = Callable[[Any], Any]


def explore(run: Run) -> list[tuple[list[int], list[int]]]:
    """Explore, and return the decisions of every run."""
    decisions = []
    for _ in Optimal().runs(run):
        decisions.append((m.switches, m.forced))
        if len(decisions) == RUNS_MAX:
            break
    return decisions


def measure(name: str, run: Run) -> None:
    decisions = explore(run)
    replays = [Again(switches, forced) for switches, forced in decisions]
    explored = replayed = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        explore(run)
        middle = time.process_time()
        for replay in replays:
            run(replay)
        replayed = min(replayed, time.process_time() - middle)
        explored = min(explored, middle - start)
    count = len(decisions)
    ratio = replayed / explored
    print(f"{name:<28} {count:>5} runs of {m.step:>4} points   DPOR {count / explored:8,.0f} runs/s   "
          f"replay {count / replayed:8,.0f} runs/s   ratio {ratio:.2f} {'' if ratio >= ASKED else f'(asked: {ASKED})'}")


def kernel(entry: str, variant: str) -> tuple[str, Run]:
    """Return a name for a corpus entry on `variant`, and a function that runs its program."""
    known = load(CORPUS / entry)
    executor = Executor(family(known.family), variant)
    prepared = executor.prepare(known.program)
    return f"{variant}: {entry[:14]}", lambda scheduler: executor.run(prepared, scheduler)


def main() -> None:
    for module, n in ((lastzero, 7), (filesystem, 18), (indexer, 14)):
        measure(f"{module.__name__.rpartition('.')[2]}({n})", Runner(module.make, n).run)
    measure(*kernel(ENTRY, VARIANT))


if __name__ == "__main__":
    main()
