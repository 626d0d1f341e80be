# SPDX-License-Identifier: MIT
"""Hypothesis strategies: programs for property tests, within the bounds of `vmrace.fuzz.programs.generate`.

Operands are symbolic, so every program is legal, drawn or shrunk. Hypothesis shrinks to fewer tasks, fewer operations, operations
that come earlier in the interface, and operands of the first page.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from vmrace.fuzz.programs.generate import SETUP_MAX, TASK_OPS_MAX, TASKS_MAX
from vmrace.fuzz.run.executor import Executor
from vmrace.variants.family import Family
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import CPUS_MAX, Op, Program, TaskProgram, over_limits


def operations(made: Family) -> tuple[str, ...]:
    """List the operations that every variant of a family has, in the order of the interface."""
    has = [set(Executor(made, variant).operations()) for variant in made.variants]
    return tuple(name for name in OPERATIONS if all(name in names for names in has))


def ops(names: Sequence[str]) -> st.SearchStrategy[Op]:
    """Draw one operation of those names, with operands of the right kinds. A fork never names one address space twice."""
    return st.one_of([_op(name) for name in names])


def _op(name: str) -> st.SearchStrategy[Op]:
    kinds = OPERATIONS[name].operands
    operands: st.SearchStrategy[tuple[str, ...]] = st.tuples(*(st.sampled_from(OPERANDS[kind]) for kind in kinds))
    if kinds == ("mm", "mm"):
        operands = st.sampled_from([(one, other) for one in OPERANDS["mm"] for other in OPERANDS["mm"] if one != other])
    return operands.map(lambda drawn: Op(name, drawn))


@st.composite
def programs(draw: st.DrawFn, made: Family, names: Sequence[str] = (), cpus_max: int = CPUS_MAX) -> Program:
    """Draw a program of a family: a setup, and one to four short tasks on one to `cpus_max` cpus, at most three on each.

    `names` are the operations to draw from; if empty, those that every variant of the family has. The setup alone may already fail:
    Executor.prepare then raises SetupFailed, and the caller decides what that means.
    """
    op = ops(names or operations(made))
    cpus = draw(st.integers(1, cpus_max))
    task = st.builds(TaskProgram, st.integers(0, cpus - 1), st.lists(op, min_size=1, max_size=TASK_OPS_MAX).map(tuple))
    tasks = draw(st.lists(task, min_size=1, max_size=TASKS_MAX).filter(lambda made: not over_limits(cpus, (one.cpu for one in made))))
    setup = draw(st.lists(op, max_size=SETUP_MAX))
    return Program(tuple(setup), tuple(sorted(tasks, key=lambda one: one.cpu)), cpus)
