# SPDX-License-Identifier: MIT
"""Random programs of the toy kernel, made up front, and random schedulers to run them under."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st
from vmrace.harness.schedulers import Contended, InTurn, Mutate, NoPreempt, Pct, Pos, ReadsFrom, Surw, Walk

TOY = "tests.harness.kernels.toy"

LOCKING = ("section", "listed", "peek", "trylock", "try_until", "drop_last", "work")
SLEEPING = ("mutex", "try_mutex", "rwsem_reader", "rwsem_writer", "rwsem_downgrader", "give_way", "give_way_twice", "produce",
            "produce_for_one", "consume", "consume_alone")
OTHER = ("reader", "writer", "flag", "bump", "irq_section", "irqsave_section", "irqs_off")
INTERRUPTS = ("interrupt", "interrupt_twice")
EVERYTHING = LOCKING + SLEEPING + OTHER + INTERRUPTS


def calls(names: tuple[str, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.one_of(
        st.tuples(st.sampled_from(names), st.integers(0, 1)),
        st.tuples(st.just("nested"), st.integers(0, 2), st.integers(0, 2)))


def programs(names: tuple[str, ...] = EVERYTHING, cpus: int = 3, tasks: int = 4, ops: int = 4) -> st.SearchStrategy[list[Any]]:
    """Generate lists of tasks, each (cpu, calls)."""
    return st.lists(st.tuples(st.integers(0, cpus - 1), st.lists(calls(names), min_size=1, max_size=ops)), min_size=1, max_size=tasks)


def random_program(rng: random.Random, names: tuple[str, ...] = EVERYTHING, cpus: int = 3, tasks: int = 4, ops: int = 4) -> list[Any]:
    """Return the tasks of one program without Hypothesis, for tests that need a fixed number of programs fast."""
    def call() -> tuple[Any, ...]:
        name = rng.choice((*names, "nested"))
        return (name, rng.randrange(3), rng.randrange(3)) if name == "nested" else (name, rng.randrange(2))
    return [(rng.randrange(cpus), [call() for _ in range(rng.randint(1, ops))]) for _ in range(rng.randint(2, tasks))]


def schedulers(rng: random.Random) -> list[Any]:
    """Return one scheduler of each kind."""
    return [NoPreempt(), Walk(rng), Pct(rng), Mutate(rng), Contended(rng), InTurn(), Pos(rng), Surw(rng), ReadsFrom(rng),
            ReadsFrom(rng, Pos(rng))]
