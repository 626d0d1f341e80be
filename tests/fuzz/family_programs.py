# SPDX-License-Identifier: MIT
"""Random programs of the shared interface, and the executors that run them.

Tests make their programs here, so that they do not rest on vmrace.fuzz.programs.generate.
"""

from __future__ import annotations

import functools
import random

from vmrace.fuzz.run.executor import Executor, Prepared, SetupFailed
from vmrace.variants.family import family
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram, parse_op

FAMILY = "lru_free_2_4"
# Operations that raise interrupts or that several tasks contend for. Listed twice, so that short programs have them.
FAVOURED = ("pin", "irq_put", "irq_unpin", "store", "exit", "swap_out", "shrink_cache", "read", "fork")


@functools.cache
def executor(variant: str = "pre_patch", backend: str = "greenlets", checked: bool = False) -> Executor:
    return Executor(family(FAMILY), variant, backend, checked)


def random_op(rng: random.Random, names: tuple[str, ...]) -> Op:
    name = rng.choice((*names, *FAVOURED))
    return Op(name, tuple(rng.choice(OPERANDS[kind][:4]) for kind in OPERATIONS[name].operands))


def random_program(rng: random.Random, cpus: int, tasks: int, ops: int = 3, preempt: bool = False) -> Program:
    """Return a program of `tasks` tasks, each of at most `ops` operations, on cpus chosen at random."""
    names = executor().operations()
    setup = (Op("store", ("m0.0",)), Op("pin", ("m0.0", "k0")), *(random_op(rng, names) for _ in range(rng.randint(0, 2))))
    made = sorted((TaskProgram(rng.randrange(cpus), tuple(random_op(rng, names) for _ in range(rng.randint(1, ops))))
                   for _ in range(tasks)), key=lambda task: task.cpu)
    return Program(setup, tuple(made), cpus, preempt)


def prepared(program: Program, runner: Executor | None = None) -> Prepared | None:
    """Prepare the program; None if the setup alone fails."""
    try:
        return (runner or executor()).prepare(program)
    except SetupFailed:
        return None


def program(setup: list[str], *tasks: list[str], cpus: int | None = None) -> Program:
    """Return a program by its text, each task on a cpu of its own."""
    def ops(lines: list[str]) -> tuple[Op, ...]:
        return tuple(parse_op(line, "test") for line in lines)
    return Program(ops(setup), tuple(TaskProgram(cpu, ops(lines)) for cpu, lines in enumerate(tasks)), cpus or len(tasks))
