# SPDX-License-Identifier: MIT
"""Locks and barriers that wait by reading, right and broken: Peterson, ticket, test-and-test-and-set, MCS, a barrier."""

from collections.abc import Callable

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import (
    RMW,
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_t,
    cmpxchg,
    cpu_relax,
    point,
    racy,
    smp_cond_load_relaxed,
    struct,
    xchg,
    yield_cpu,
)
from vmrace.harness.kernel.cell import cell


def flag(broken: int = 0) -> Program:
    """Write data, then a flag; the reader waits for the flag."""
    ready, data = cell("ready", value=0), cell("data", value=0)

    def writer() -> None:
        if broken:
            ready.value = 1
            data.value = 1
        else:
            data.value = 1
            ready.value = 1

    def reader() -> None:
        while not ready.value:
            pass
        assert data.value == 1
    return Program([writer, reader])


def flag_by_cond_load(broken: int = 0) -> Program:
    """Write data, then a flag; the reader waits with smp_cond_load_relaxed()."""
    ready, data = cell("ready", value=0), cell("data", value=0)

    def writer() -> None:
        if not broken:
            data.value = 1
        ready.value = 1

    def reader() -> None:
        smp_cond_load_relaxed(lambda: ready.value, lambda value: value == 1)
        assert data.value == 1
    return Program([writer, reader])


def flag_with_yield(broken: int = 0) -> Program:
    """Write a flag; the reader waits with yield_cpu(), although no other task needs its cpu."""
    ready = cell("ready", value=0)

    def reader() -> None:
        while not ready.value:
            yield_cpu()

    def writer() -> None:
        ready.value = 1
    return Program([reader, reader] if broken else [reader, writer])


def never() -> Program:
    """Wait for a flag that no task sets."""
    ready = cell("ready", value=0)

    def reader() -> None:
        while not ready.value:
            cpu_relax()
    return Program([reader, lambda: None])


def peterson(broken: int = 0) -> Program:
    wants = [cell(f"wants{me}", value=0) for me in range(2)]
    turn, count = cell("turn", value=0), cell("count", value=0)

    def run(me: int) -> Callable[[], None]:
        def task() -> None:
            other = 1 - me
            wants[me].value = 1
            turn.value = me if broken else other
            while wants[other].value and turn.value == other:
                pass
            count.value += 1
            wants[me].value = 0
        return task
    return Program([run(0), run(1)], check=lambda: count.value == 2)


def ticket(n: int = 2, broken: int = 0) -> Program:
    following, owner, count = atomic_t("next"), atomic_t("owner"), cell("count", value=0)

    def take() -> int:
        while True:
            mine = atomic_read(following)
            if cmpxchg(following, mine, mine + 1) == mine:
                return mine

    def take_in_two_steps() -> int:
        mine = atomic_read(following)
        atomic_set(following, mine + 1)
        return mine

    def task() -> None:
        mine = take_in_two_steps() if broken else take()
        while atomic_read(owner) != mine:
            pass
        count.value += 1
        atomic_inc(owner)
    return Program([task] * n, check=lambda: count.value == n)


def ttas(n: int = 2, broken: int = 0) -> Program:
    """Lock by test-and-test-and-set; if broken, the second test is missing."""
    lock, count = atomic_t("lock"), cell("count", value=0)

    def task() -> None:
        while True:
            while atomic_read(lock):
                pass
            if broken:
                atomic_set(lock, 1)
                break
            if not xchg(lock, 1):
                break
        count.value += 1
        atomic_set(lock, 0)
    return Program([task] * n, check=lambda: count.value == n)


class mcs_node(struct):
    locked = racy(0)
    next = racy(None)


def mcs(n: int = 2, broken: int = 0) -> Program:
    """Lock with Mellor-Crummey and Scott's queue; if broken, the owner does not wait for a successor that is about to join it."""
    tail, count = cell("tail", value=None), cell("count", value=0)
    nodes = [mcs_node(f"node{number}") for number in range(n)]

    def swap(new: mcs_node) -> mcs_node | None:
        point(tail, RMW)
        old, tail._value = tail._value, new
        return old

    def empties(me: mcs_node) -> bool:
        point(tail, RMW)
        if tail._value is not me:
            return False
        tail._value = None
        return True

    def run(me: mcs_node) -> Callable[[], None]:
        def task() -> None:
            me.next = None
            me.locked = 1
            before = swap(me)
            if before is not None:
                before.next = me
                while me.locked:
                    pass
            count.value += 1
            if me.next is None:
                if empties(me):
                    return
                while not broken and me.next is None:
                    pass
            if me.next is not None:
                me.next.locked = 0
        return task
    return Program([run(node) for node in nodes], check=lambda: count.value == n)


def barrier(n: int = 3, broken: int = 0) -> Program:
    count, sense = atomic_t("count", n), cell("sense", value=0)
    came = [cell(f"came{number}", value=0) for number in range(n)]

    def arrives() -> bool:
        if not broken:
            return bool(atomic_dec_and_test(count))
        left = atomic_read(count) - 1
        atomic_set(count, left)
        return not left

    def run(me: int) -> Callable[[], None]:
        def task() -> None:
            came[me].value = 1
            if arrives():
                sense.value = 1
            else:
                while not sense.value:
                    pass
            assert came[(me + 1) % n].value
        return task
    return Program([run(number) for number in range(n)])
