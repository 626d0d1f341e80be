# SPDX-License-Identifier: MIT
"""Programs as a new user may write them, each with one mistake: tests hold the lines that vmrace prints for them."""

import array
import itertools
import os
import pathlib
import random

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import atomic_inc, spin_lock, spin_unlock, spinlock_t
from vmrace.harness.kernel.cell import cell

OUTSIDE = cell("OUTSIDE", value=0)
numbers = itertools.count()


def raises():
    return 1 / 0


def imports():
    import nosuch
    return nosuch


def ends_in_exit():
    raise SystemExit(5)


def nothing():
    pass


def no_function():
    return Program([1])


def generator():
    def task():
        yield

    return Program([task])


def setup_raises():
    def setup():
        raise KeyError("k")

    return Program([lambda: None], setup=setup)


def shares_a_global():
    def task():
        OUTSIDE.value += 1

    return Program([task, task])


def loops():
    def task():
        while True:
            pass

    return Program([task])


def make_loops():
    while True:
        pass


def waits_for_ever():
    x, rounds = cell("x", value=0), cell("rounds", value=0)

    def task():
        while not x.value:
            rounds.value += 1           # so the loop does more than wait

    return Program([task])


def task_raises():
    x = cell("x", value=0)

    def store():
        x.value = 1

    def task():
        if x.value:
            raise ValueError("it was 1")

    return Program([store, task])


def task_asserts():
    x = cell("x", value=0)

    def store():
        x.value = 1

    def task():
        assert not x.value, "it was 1"

    return Program([store, task])


def handler_raises():
    def handler():
        raise ValueError("in an interrupt")

    return Program([lambda: None], irqs=[handler], cpus=1)


def lambda_raises():
    return Program([lambda: 1 / 0])


def check_raises():
    return Program([lambda: None], check=lambda: {}["k"])


def task_exits():
    def task():
        raise SystemExit("enough")

    return Program([task])


def calls_wrongly():
    def task():
        atomic_inc(5)

    return Program([task])


def number():
    """Return a number that is one more in each run, as the environment is not restored."""
    os.environ["VMRACE_NUMBER"] = str(int(os.environ.get("VMRACE_NUMBER", "0")) + 1)
    return int(os.environ["VMRACE_NUMBER"])


def counts():
    x = cell("x", value=0)

    def task():
        x.value = 1
        return number()

    return Program([task, task])


def draws():
    x = cell("x", value=0)

    def task():
        if random.random() < 0.001:
            x.value = 1

    return Program([task, task])


def counts_points():
    x = cell("x", value=0)

    def task():
        seen = [x.value for _ in range(number())]
        assert not any(seen)

    return Program([task])


def keeps_a_file():
    """Keep a file in the present directory from one run to the next."""
    def task():
        there = pathlib.Path("there")
        if there.exists():
            raise ValueError("it is there")
        there.touch()

    return Program([task])


def two_mistakes():
    x = cell("x", value=0)

    def first():
        x.value = 1
        x.value = 2

    def second():
        if x.value == 1:
            raise ValueError("it was 1")

    return Program([first, second], check=lambda: False)


def plain_list():
    """Append to a list that both tasks share: no point shows the order of the tasks."""
    out = []

    def task(number):
        return lambda: out.append(number)

    return Program([task(1), task(2)], check=lambda: out == [1, 2])


def list_in_a_cell():
    x = cell("x", value=[])

    def task(number):
        return lambda: x.value.append(number)

    return Program([task(1), task(2)], check=lambda: x.value == [1, 2])


def plain_count():
    """Read and write a count under a different lock in each task, so that the locks order nothing."""
    locks = [spinlock_t("one"), spinlock_t("other")]
    count = [0]

    def adder(lock):
        def task():
            spin_lock(lock)
            seen = count[0]
            spin_unlock(lock)
            spin_lock(lock)
            count[0] = seen + 1
            spin_unlock(lock)
        return task

    return Program([adder(lock) for lock in locks], check=lambda: count[0] == 2)


def in_the_environment():
    """Share a variable of the environment. Each point is on an object of one task, so that there is one class."""
    mine, other = cell("mine", value=0), cell("other", value=0)

    def opens_a_window():
        for step in range(10):
            mine.value = step
            os.environ["VMRACE_WINDOW"] = str(step == 5)

    def looks():
        other.value = 1
        assert os.environ.get("VMRACE_WINDOW") != "True"

    return Program([looks, opens_a_window])


def an_iterator():
    x = cell("x", value=0)

    def task():
        x.value = next(numbers)

    return Program([task, task])


def an_array():
    """Append to an array under a lock, but its earlier content cannot be restored."""
    lock, line = spinlock_t("lock"), array.array("i")

    def task():
        spin_lock(lock)
        line.append(1)
        spin_unlock(lock)

    return Program([task, task], check=lambda: len(line) == 2)


def no_points():
    return Program([lambda: 1, lambda: 2])


def one_without_points():
    return Program([lambda: 1])
