# SPDX-License-Identifier: MIT
"""Programs with a task that counts in a plain variable, one for each place of such a variable: the task returns 1 in every run."""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import RMW, point
from vmrace.harness.kernel.cell import cell

count = 0
counts = []


class Counter:
    every = 0

    def __init__(self):
        self.own = 0


class Slotted:
    __slots__ = ("own",)

    def __init__(self):
        self.own = 0


def two(task, setup=None):
    """Make a program of `task` and a second one. Both store to one cell, so that there are two classes."""
    x = cell("x", value=0)

    def counts():
        x.value = 1
        return task()

    def stores():
        x.value = 1

    return Program([counts, stores], setup=setup)


def a_global():
    def task():
        global count
        count += 1
        return count

    return two(task)


def made_first():
    def task():
        global late
        late = globals().get("late", 0) + 1
        return late

    return two(task)


def a_global_list():
    def task():
        counts.append(1)
        return len(counts)

    return two(task)


def an_object():
    counter = Counter()

    def task():
        counter.own += 1
        return counter.own

    return two(task)


def a_slot():
    counter = Slotted()

    def task():
        counter.own += 1
        return counter.own

    return two(task)


def a_class():
    def task():
        Counter.every += 1
        return Counter.every

    return two(task)


def a_default():
    def task(seen=[]):  # noqa: B006
        seen.append(1)
        return len(seen)

    return two(task)


def in_a_cell():
    line = cell("line", value=[])

    def task():
        point(line, RMW)
        line._value.append(1)
        return len(line._value)

    return two(task)
