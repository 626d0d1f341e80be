# SPDX-License-Identifier: MIT
"""Measure a property under Hypothesis against the bare engine: the same programs and the same schedules, 200 an example.

    python -m tests.benchmarks.properties

Each round runs a property test, and then its examples again without Hypothesis: prepare the program, and sample its schedules as a
campaign does. Times are of the processor. The goal: at least 80 % of the bare engine's runs a second.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from typing import Any

from hypothesis import HealthCheck
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.testing.properties import SCHEDULES, Schedules, holds_on
from vmrace.fuzz.testing.search import Search
from vmrace.variants.family import family
from vmrace.variants.program import Program

VARIANT = "lru_free_2_4/daniel_lru_count"
OPERATIONS = "store load fork unmap pin irq_put"
EXAMPLES, ROUNDS = 30, 3
GOAL = 0.8


def holds(run: Any) -> object:
    """Hold for every run, after a look at it as cheap as a property can be."""
    return run.title is not None


def round_of(seed: int) -> tuple[float, float]:
    """Return the runs a second of the processor, under Hypothesis and bare, over the same examples."""
    made: list[tuple[Program, int]] = []
    test: Any = holds_on(VARIANT, operations=OPERATIONS, examples=EXAMPLES, findings=False, database=None,
                         suppress_health_check=list(HealthCheck))(holds)
    search = test.property.search
    example = search.example

    def noted(program: Program, number: int, drawn: int) -> Any:
        made.append((program, drawn))
        return example(program, number, drawn)
    search.example = noted
    start = time.process_time()
    test()
    seconds, runs = time.process_time() - start, search.runs
    family_name, _, variant = VARIANT.partition("/")
    bare = Search(family(family_name), variant, "holds", holds, findings=False)
    bare.fast.operations()
    bare.fast.run = functools.partial(Executor.run, bare.fast)       # type: ignore[method-assign]    # without the property
    start = time.process_time()
    for program, drawn in made:
        bare.example(program, Schedules(SCHEDULES, drawn).number, drawn)
    return runs / seconds, bare.runs / (time.process_time() - start)


def main() -> int:
    round_of(0)                 # links and warms up
    ratios = []
    for seed in range(ROUNDS):
        ours, bare = round_of(seed)
        ratios.append(ours / bare)
        print(f"round {seed}: {ours:,.0f} runs/s under Hypothesis, {bare:,.0f} bare, {ours / bare:.2f}")
    middle = statistics.median(ratios)
    print(f"median {middle:.2f} of the bare engine at {SCHEDULES} schedules an example; the goal is {GOAL:.2f}")
    return 0 if middle >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
