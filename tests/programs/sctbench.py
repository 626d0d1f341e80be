# SPDX-License-Identifier: MIT
"""Programs of SCTBench, each load and each store a point; threads are spawned and joined as in the C source.

Thomson, Donaldson, Betts, "Concurrency Testing Using Controlled Schedulers: An Empirical Study" (TOPC 2016); the sources:
github.com/mc-imperial/sctbench, commit d59ab26d (Alastair F. Donaldson, 16 Dec 2021), benchmarks/concurrent-software-benchmarks and
benchmarks/safestack. The sizes 50 and 100 of reorder and 20 and 50 of twostage are those that RFF adds (ASPLOS 2024): all tasks but one
set, and one checks. A pthread_mutex_t is a spinlock here: a thread that waits for it is chosen only when it is free. The main thread of
account_bad returns without a join; here its threads run to their end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import (
    atomic_add,
    atomic_read,
    atomic_set,
    atomic_sub,
    atomic_t,
    cmpxchg,
    join,
    spawn,
    spin_lock,
    spin_unlock,
    spinlock_t,
    thread,
    xchg,
    yield_cpu,
)
from vmrace.harness.kernel.cell import cell

Body = Callable[[], Any]


def _program(bodies: Sequence[Body], joined: bool = True, also: Body | None = None) -> Program:
    """Return a program whose main thread spawns these bodies in order, runs `also`, and joins them in order."""
    threads = [thread(f"t{number}", body) for number, body in enumerate(bodies)]

    def main() -> None:
        for one in threads:
            spawn(one)
        if also is not None:
            also()
        if joined:
            for one in threads:
                join(one)

    return Program([main, *threads])


def account() -> Program:
    """account_bad: the check compares with (x - y) - z, and the balance is (x + y) - z."""
    m = spinlock_t("m")
    balance, deposit_done, withdraw_done = cell("balance", value=1), cell("deposit_done", value=0), cell("withdraw_done", value=0)
    x, y, z = 1, 2, 4

    def deposit() -> None:
        spin_lock(m)
        balance.value = balance.value + y
        deposit_done.value = 1
        spin_unlock(m)

    def withdraw() -> None:
        spin_lock(m)
        balance.value = balance.value - z
        withdraw_done.value = 1
        spin_unlock(m)

    def check_result() -> None:
        spin_lock(m)
        if deposit_done.value and withdraw_done.value:
            assert balance.value == (x - y) - z
        spin_unlock(m)

    return _program([check_result, deposit, withdraw], joined=False)


def bluetooth_driver() -> Program:
    """bluetooth_driver_bad: the device is stopped between the test of stoppingFlag and the increment of pendingIo."""
    esbmc_mutex = spinlock_t("esbmc_mutex")
    pending_io, stopped = cell("pendingIo", value=1), cell("stopped", value=False)
    stopping_flag, stopping_event = cell("stoppingFlag", value=False), cell("stoppingEvent", value=False)

    def io_increment() -> int:
        if stopping_flag.value:
            return -1
        spin_lock(esbmc_mutex)
        pending_io.value = pending_io.value + 1
        spin_unlock(esbmc_mutex)
        return 0

    def io_decrement() -> None:
        spin_lock(esbmc_mutex)
        pending_io.value = pending_io.value - 1
        pending = pending_io.value
        spin_unlock(esbmc_mutex)
        if pending == 0:
            stopping_event.value = True

    def pnp_add() -> None:
        if io_increment() == 0:
            assert not stopped.value
        io_decrement()

    def pnp_stop() -> None:
        stopping_flag.value = True
        io_decrement()
        if stopping_event.value:
            stopped.value = True

    return _program([pnp_stop], also=pnp_add)


def deadlock01() -> Program:
    """deadlock01_bad: two threads acquire two locks, each in another order."""
    a, b, counter = spinlock_t("a"), spinlock_t("b"), cell("counter", value=1)

    def one(first: spinlock_t, second: spinlock_t, change: int) -> Body:
        def body() -> None:
            spin_lock(first)
            spin_lock(second)
            counter.value = counter.value + change
            spin_unlock(second)
            spin_unlock(first)
        return body

    return _program([one(a, b, 1), one(b, a, -1)])


def lazy01() -> Program:
    """lazy01_bad: the third thread must come last."""
    mutex, data = spinlock_t("mutex"), cell("data", value=0)

    def adds(what: int) -> Body:
        def body() -> None:
            spin_lock(mutex)
            data.value = data.value + what
            spin_unlock(mutex)
        return body

    def checks() -> None:
        spin_lock(mutex)
        assert not data.value >= 3
        spin_unlock(mutex)

    return _program([adds(1), adds(2), checks])


def reorder(setters: int, checkers: int) -> Program:
    """reorder_N_bad: a checker must run in the window of all setters between their two stores."""
    a, b = cell("a", value=0), cell("b", value=0)

    def set_thread() -> None:
        a.value = 1
        b.value = -1

    def check_thread() -> None:
        assert (a.value == 0 and b.value == 0) or (a.value == 1 and b.value == -1)

    return _program([set_thread] * setters + [check_thread] * checkers)


def twostage(setters: int, readers: int) -> Program:
    """twostage_N_bad: a reader must run in the window of all setters between their two critical sections."""
    data1_lock, data2_lock = spinlock_t("data1Lock"), spinlock_t("data2Lock")
    data1, data2 = cell("data1Value", value=0), cell("data2Value", value=0)

    def func_a() -> None:
        spin_lock(data1_lock)
        data1.value = 1
        spin_unlock(data1_lock)
        spin_lock(data2_lock)
        data2.value = data1.value + 1
        spin_unlock(data2_lock)

    def func_b() -> None:
        spin_lock(data1_lock)
        if data1.value == 0:
            spin_unlock(data1_lock)
            return
        t1 = data1.value
        spin_unlock(data1_lock)
        spin_lock(data2_lock)
        t2 = data2.value
        spin_unlock(data2_lock)
        assert t2 == t1 + 1

    return _program([func_a] * setters + [func_b] * readers)


def wronglock(first: int, second: int) -> Program:
    """wronglock_bad: two kinds of thread change one variable, each under another lock."""
    data_lock, this_lock, data = spinlock_t("dataLock"), spinlock_t("thisLock"), cell("dataValue", value=0)

    def func_a() -> None:
        spin_lock(data_lock)
        x = data.value
        data.value = data.value + 1
        assert data.value == x + 1
        spin_unlock(data_lock)

    def func_b() -> None:
        spin_lock(this_lock)
        data.value = data.value + 1
        spin_unlock(this_lock)

    return _program([func_a] * first + [func_b] * second)


def safestack(threads: int = 3, turns: int = 2) -> Program:
    """SafeStack (Dmitry Vyukov, CHESS forum, 2010): two threads hold one element; the least known schedule has five preemptions."""
    head, count = atomic_t("head", 0), atomic_t("count", threads)
    following = [atomic_t(f"next{number}", number + 1 if number < threads - 1 else -1) for number in range(threads)]
    values = [cell(f"value{number}", value=-1) for number in range(threads)]

    def pop() -> int:
        while atomic_read(count) > 1:
            head1 = atomic_read(head)
            next1 = xchg(following[head1], -1)
            if next1 >= 0:
                if cmpxchg(head, head1, next1) == head1:
                    atomic_sub(1, count)
                    return head1
                xchg(following[head1], next1)
            else:
                yield_cpu()
        return -1

    def push(index: int) -> None:
        head1 = atomic_read(head)
        while True:
            atomic_set(following[index], head1)
            seen = cmpxchg(head, head1, index)
            if seen == head1:
                break
            head1 = seen
        atomic_add(1, count)

    def worker(number: int) -> Body:
        def body() -> None:
            for _ in range(turns):
                while (element := pop()) < 0:
                    yield_cpu()
                values[element].value = number
                assert values[element].value == number
                push(element)
        return body

    return _program([worker(number) for number in range(threads)])
