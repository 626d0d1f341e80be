# SPDX-License-Identifier: MIT
"""Plain data that one task changes and another reaches is refused by name; each kind has twins that are not refused."""

from __future__ import annotations

import collections
import dataclasses
import functools
import heapq
import types
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.functions.program import Program
from vmrace.harness.functions.verify import verify
from vmrace.harness.incomplete import Reason
from vmrace.harness.kernel import (
    READ,
    RMW,
    atomic_inc,
    atomic_t,
    down,
    down_read,
    embed,
    guarded,
    plain,
    point,
    raise_irq,
    read_lock,
    read_unlock,
    rw_semaphore,
    rwlock_t,
    semaphore,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
    up,
    up_read,
)
from vmrace.harness.kernel.cell import cell

from tests.harness import sharing_other

total = 0
totals: list[int] = []
LIMITS = {"most": 3}
REFUSED: list[tuple[Callable[[], Program], str]] = []
FINE: list[Callable[[], Program]] = []
Make = Callable[[], Program]


def refused(why: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        REFUSED.append((make, why))
        return make
    return add


def fine(make: Make) -> Make:
    FINE.append(make)
    return make


def two(task: Callable[[], Any], other: Callable[[], Any] | None = None, check: Callable[..., Any] | None = None) -> Program:
    """Return a program of two tasks, each on its own cpu after a point on its own object, so that it has one class of schedules."""
    def after_a_point(name: str, then: Callable[[], Any]) -> Callable[[], Any]:
        count = atomic_t(name)

        def run() -> Any:
            atomic_inc(count)
            return then()
        run.__name__ = name
        return run
    return Program([after_a_point("first", task), after_a_point("second", other or task)], check=check)


class Account:
    bank = 0
    limits = (1, 2)

    def __init__(self) -> None:
        self.amount = 0
        self.log: list[int] = []

    def add(self) -> None:
        self.amount += 1


class Slotted:
    __slots__ = ("amount",)

    def __init__(self) -> None:
        self.amount = 0


@dataclasses.dataclass(frozen=True)
class Limits:
    most: int = 3


class holder(struct):
    lock = embed(spinlock_t)
    line = guarded(None, ".lock")
    own = plain(0)


# ---- programs that are refused ---------------------------------------------------------------------------------------------

@refused("n, a list that add closes over: changed by first on cpu0, reached by second on cpu1")
def a_list() -> Program:
    n = [0]

    def add() -> None:
        n[0] += 1
    return two(add)


@refused("n, a list that writes closes over: changed by first on cpu0, reached by second on cpu1")
def only_one_writes() -> Program:
    n = [0]

    def writes() -> None:
        n[0] = 1
    return two(writes, lambda: n[0])


@refused("n, a list that writes closes over: changed by first on cpu0, reached by second on cpu1")
def changed_and_changed_back() -> Program:
    n, mine = [0], cell("mine", value=0)

    def writes() -> None:
        n[0] = 1
        mine.value = 1
        n[0] = 0
    return two(writes, lambda: n[0])


@refused("counts, a dict that add closes over")
def a_dict() -> Program:
    counts: dict[str, int] = {}

    def add() -> None:
        counts["a"] = counts.get("a", 0) + 1
    return two(add)


@refused("names, a set that lambda closes over")
def a_set() -> Program:
    names: set[int] = set()
    return two(lambda: names.add(len(names)))


@refused("data, a bytearray that lambda closes over")
def a_bytearray() -> Program:
    data = bytearray()
    return two(lambda: data.append(1))


@refused("line, a deque that lambda closes over")
def a_deque() -> Program:
    line: collections.deque[int] = collections.deque()
    return two(lambda: line.append(1))


@refused("n, a variable that add closes over: changed by first on cpu0, reached by second on cpu1")
def a_variable() -> Program:
    n = 0

    def add() -> None:
        nonlocal n
        n += 1
    return two(add)


@refused("total, a variable that is global to tests.harness.test_sharing")
def a_global() -> Program:
    def add() -> None:
        global total
        total += 1
    return two(add)


@refused("totals, a list that is global to tests.harness.test_sharing")
def a_global_list() -> Program:
    return two(lambda: totals.append(1))


@refused("count, a variable that is global to tests.harness.sharing_other")
def a_global_of_another_module() -> Program:
    return two(lambda: sharing_other.add())


@refused("level, a variable that is global to tests.harness.sharing_other")
def set_in_another_module() -> Program:
    def raise_level() -> None:
        sharing_other.level += 1
    return two(raise_level)


@refused("account.amount, an attribute that add reaches")
def an_attribute() -> Program:
    account = Account()

    def add() -> None:
        account.add()
    return two(add)


@refused("slotted.amount, an attribute that add reaches")
def a_slot() -> Program:
    slotted = Slotted()

    def add() -> None:
        slotted.amount += 1
    return two(add)


@refused("Account.bank, an attribute that add reaches")
def a_class_attribute() -> Program:
    def add() -> None:
        Account.bank += 1
    return two(add)


@refused("Account.new, an attribute that add reaches")
def a_new_class_attribute() -> Program:
    def add() -> None:
        Account.new = 1         # type: ignore[attr-defined]
    return two(add)


@refused("add.calls, an attribute that add reaches")
def an_attribute_of_a_function() -> Program:
    def add() -> None:
        add.calls = getattr(add, "calls", 0) + 1        # type: ignore[attr-defined]
    return two(add)


@refused("space.n, an attribute that add reaches")
def a_namespace() -> Program:
    space = types.SimpleNamespace(n=0)

    def add() -> None:
        space.n += 1
    return two(add)


@refused("a default of add, a list that add reaches")
def a_default() -> Program:
    def add(seen: list[int] = []) -> None:  # noqa: B006
        seen.append(1)
    return two(add)


@refused("an argument of then, a list that first reaches")
def an_argument_of_a_partial() -> Program:
    line: list[int] = []

    def append(to: list[int]) -> None:
        to.append(1)
    return two(functools.partial(append, line))


@refused("pair[1], a list that add reaches")
def in_a_tuple() -> Program:
    pair = (1, [0])

    def add() -> None:
        pair[1][0] += 1         # type: ignore[index]
    return two(add)


@refused("own.own, a plain field that add closes over")
def a_plain_field() -> Program:
    own = holder("own")

    def add() -> None:
        own.own += 1
    return two(add)


@refused("n, a dict that one closes over: changed by first on cpu0, reached by second on cpu1")
def under_two_locks() -> Program:
    n, locks = {"n": 0}, [spinlock_t("a"), spinlock_t("b")]

    def adder(lock: spinlock_t) -> Callable[[], None]:
        def one() -> None:
            spin_lock(lock)
            n["n"] += 1
            spin_unlock(lock)
        return one
    return two(adder(locks[0]), adder(locks[1]))


@refused("n, a dict that one closes over")
def read_under_the_lock_and_written_outside() -> Program:
    n, lock = {"n": 0}, spinlock_t("lock")

    def one() -> None:
        spin_lock(lock)
        seen = n["n"]
        spin_unlock(lock)
        n["n"] = seen + 1
    return two(one)


@refused("line, a list that adds closes over")
def iterated_after_the_lock_is_free() -> Program:
    line, lock = [1, 2], spinlock_t("lock")

    def adds() -> None:
        spin_lock(lock)
        line.append(3)
        spin_unlock(lock)

    def looks() -> int:
        spin_lock(lock)
        items = iter(line)
        spin_unlock(lock)
        return sum(items)
    return two(adds, looks)


@refused("table, a dict that adds closes over")
def its_items_are_looked_at_after_the_lock_is_free() -> Program:
    table, lock = {"a": 1}, spinlock_t("lock")

    def adds() -> None:
        spin_lock(lock)
        table["b"] = 2
        spin_unlock(lock)

    def looks() -> int:
        spin_lock(lock)
        values = table.values()
        spin_unlock(lock)
        return len(values)
    return two(adds, looks)


@refused("line, a list that add closes over")
def by_a_method_of_the_base() -> Program:
    line, lock = [0], spinlock_t("lock")

    def add() -> None:
        spin_lock(lock)
        list.append(line, 1)
        spin_unlock(lock)
    return two(add)


@refused("table, a dict that add closes over")
def a_list_made_by_a_task_inside_a_dict_under_a_lock() -> Program:
    table, lock = {"first": 1}, spinlock_t("lock")

    def add() -> None:
        spin_lock(lock)
        line = table.setdefault("line", [])         # type: ignore[arg-type]
        spin_unlock(lock)
        line.append(1)                              # type: ignore[attr-defined]
    return two(add)


@refused("names, a set that add closes over")
def a_set_under_a_lock() -> Program:
    names, lock = {0}, spinlock_t("lock")

    def add() -> None:
        spin_lock(lock)
        names.add(len(names))
        spin_unlock(lock)
    return two(add)


@refused("heap, a list that push closes over")
def in_c_code_that_asks_nobody() -> Program:
    heap, lock = [3, 4], spinlock_t("lock")

    def push() -> None:
        spin_lock(lock)
        heapq.heappush(heap, 1)
        spin_unlock(lock)
    return two(push)


@refused("line, a list that add closes over")
def where_a_function_asks_for_the_exact_type() -> Program:
    line, lock = [0], spinlock_t("lock")

    def add() -> None:
        spin_lock(lock)
        if type(line) is list:
            line.append(1)
        spin_unlock(lock)
    return two(add)


@refused("n, a variable that add closes over")
def a_variable_under_a_lock() -> Program:
    n, lock = 0, spinlock_t("lock")

    def add() -> None:
        nonlocal n
        spin_lock(lock)
        n += 1
        spin_unlock(lock)
    return two(add)


@refused("what x.value holds, a list, is changed by second on cpu1 without a point of x")
def inside_a_cell_without_a_point() -> Program:
    x = cell("x", value=[])
    return two(lambda: x.value.append(1))


@refused("what x.value holds, a Account, is changed by first on cpu0 without a point of x")
def an_object_published_in_a_cell_and_changed_later() -> Program:
    x, y = cell("x", value=None), cell("y", value=0)

    def publish() -> None:
        account = Account()
        x.value = account
        y.value = 1
        account.amount = 1
    return two(publish, lambda: x.value and x.value.amount)


@refused("x.value is stored to without a point of x")
def stored_raw() -> Program:
    x = cell("x", value=0)

    def store() -> None:
        x._value = 5
    return two(store, lambda: x.value)


@refused("n, a list that task closes over: changed by interrupt handler, reached by task on cpu0")
def with_an_interrupt() -> Program:
    n, x = [0], cell("x", value=0)

    def handler() -> None:
        n[0] += 1

    def task() -> int:
        raise_irq(handler)
        x.value = 1
        return n[0]
    return Program([task])


@refused("n, a list that handler closes over: changed by interrupt handler, reached by interrupt handler")
def in_two_interrupts() -> Program:
    n, x = [0], cell("x", value=0)

    def handler() -> None:
        n[0] += 1

    def task() -> None:
        x.value = 1
    return Program([task], irqs=[handler, handler], cpus=2)


@pytest.mark.parametrize(("make", "why"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_plain_data_that_tasks_share_is_refused_by_name(make: Make, why: str) -> None:
    found = verify(make)
    assert not found.proved
    assert found.why is not None and found.why.reason is Reason.SHARES and found.why.detail.startswith(why), found.why


# ---- programs that are not refused -----------------------------------------------------------------------------------------

@fine
def data_of_one_task() -> Program:
    mine, names, account = [0], {"a": 0}, Account()

    def task() -> int:
        mine[0] += 1
        names["b"] = 1
        account.add()
        account.log.append(1)
        return mine[0]
    return two(task, lambda: 1)


@fine
def a_variable_of_one_task() -> Program:
    n = 0

    def add() -> int:
        nonlocal n
        n += 1
        return n
    return two(add, lambda: 1)


@fine
def results_that_only_check_reads() -> Program:
    log: list[int] = []
    return two(lambda: log.append(1), lambda: 2, check=lambda: log == [1])


@fine
def a_list_made_by_each_task() -> Program:
    def task() -> int:
        line = [1]
        line.append(2)
        return sum(line)
    return two(task)


@fine
def constants() -> Program:
    table, limits, account = {"a": [1, 2]}, Limits(), Account()
    return two(lambda: (table["a"][0], LIMITS["most"], limits.most, Account.limits, account.amount, sharing_other.LEVELS[0]))


@fine
def partials() -> Program:
    x = cell("x", value=0)

    def store(to: cell, value: int) -> None:
        to.value = value
    return two(functools.partial(store, x, 1), functools.partial(store, x, value=2))


@fine
def a_memo_of_one_task() -> Program:
    memo: dict[int, int] = {}

    def fibonacci(n: int) -> int:
        if n not in memo:
            memo[n] = n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
        return memo[n]
    return two(lambda: fibonacci(10), lambda: 55)


@fine
def one_instance_each() -> Program:
    accounts = [Account(), Account()]

    def adder(account: Account) -> Callable[[], None]:
        return lambda: account.add()
    return two(adder(accounts[0]), adder(accounts[1]))


@fine
def a_set_up_by_setup() -> Program:
    table: dict[str, int] = {}
    program = two(lambda: table["a"])
    program.setup = lambda: table.update(a=1)
    return program


@fine
def under_one_spinlock() -> Program:
    table, line, lock = {"n": 0}, [0], spinlock_t("lock")

    def add() -> int:
        spin_lock(lock)
        table["n"] += 1
        line.append(table["n"])
        seen = sum(line) + sum(table.values())
        spin_unlock(lock)
        return seen
    return two(add, check=lambda: table == {"n": 2} and line == [0, 1, 2])


@fine
def under_one_mutex_in_an_object() -> Program:
    account, mutex = Account(), semaphore("mutex")

    def add() -> None:
        down(mutex)
        for one in account.log:
            assert one
        account.log.append(1)
        up(mutex)
    return two(add, check=lambda: account.log == [1, 1])


@fine
def inside_a_cell_right_after_a_point() -> Program:
    table = cell("table", value={"a": 1})

    def pop() -> int:
        point(table, RMW)
        return int(table._value.pop("a", 0))

    def look() -> int:
        point(table, READ)
        return len(table._value)
    return two(pop, look, check=lambda: not table._value)


@fine
def inside_a_guarded_field() -> Program:
    made = holder("made", line=[])

    def add() -> None:
        spin_lock(made.lock)
        made.line.append(1)
        spin_unlock(made.lock)
    return two(add, check=lambda: made._line == [1, 1])


@fine
def an_object_made_and_published() -> Program:
    x = cell("x", value=None)

    def publish() -> None:
        account = Account()
        account.amount = 1
        x.value = account
    return two(publish, lambda: x.value and x.value.amount)


@fine
def data_of_an_interrupt() -> Program:
    n, x = [0], cell("x", value=0)

    def handler() -> None:
        n[0] += 1

    def task() -> None:
        raise_irq(handler)
        x.value = 1
    return Program([task], check=lambda: n[0] == 1)


@pytest.mark.parametrize("make", FINE, ids=[make.__name__ for make in FINE])
def test_plain_data_that_no_two_tasks_share_is_not_refused(make: Make) -> None:
    found = verify(make)
    assert found.proved, (found.why, found.titles)


def test_plain_data_shared_only_in_a_rare_schedule_is_refused() -> None:
    def make() -> Program:
        n, x = [0], cell("x", value=0)

        def task() -> None:
            x.value += 1
            if x.value == 1:                # both have read 0
                n[0] += 1
        return Program([task, task])
    found = verify(make)
    assert not found.proved and "n, a list that task closes over" in str(found.why), found.why


# ---- sharing that is not seen directly changes the results of a class ----------------------------------------------------------

class _Request:
    def __init__(self) -> None:
        self.count = 0


def a_request_that_the_interrupt_changes_too() -> Program:
    reg, mine, done = cell("reg", value=0), cell("mine", value=0), semaphore("done", 0)

    def device(request: _Request) -> None:
        seen = request.count
        reg.value = 1
        request.count = seen + 1
        up(done)

    def task() -> None:
        request = _Request()
        raise_irq(device, request)
        seen = request.count
        mine.value = 1
        request.count = seen + 1
        down(done)
        assert request.count == 2
    return Program([task], cpus=2)


def _changed_between(enter: Callable[[], None], leave: Callable[[], None], data: dict[str, int]) -> Program:
    """Return a program of two tasks that both change `data` between `enter` and `leave`, around a store to a cell of their own."""
    cells = [cell(name, value=0) for name in ("one", "two")]

    def change(number: int) -> Callable[[], None]:
        def task() -> None:
            enter()
            data["n"] = number
            cells[number].value = 1
            seen = data["n"]
            leave()
            assert seen == number
        return task
    return Program([change(0), change(1)])


def changed_under_a_lock_that_is_held_for_reading() -> Program:
    lock = rwlock_t("lock")
    return _changed_between(lambda: read_lock(lock), lambda: read_unlock(lock), {"n": 0})


def changed_under_a_semaphore_that_is_held_for_reading() -> Program:
    lock = rw_semaphore("lock")
    return _changed_between(lambda: down_read(lock), lambda: up_read(lock), {"n": 0})


class _Line(struct):
    lock = embed(spinlock_t)
    line = guarded(None, ".lock")


def a_guarded_list_that_is_changed_under_other_locks() -> Program:
    whole, others = _Line("whole", line=[0]), [spinlock_t("other0"), spinlock_t("other1")]

    def change(number: int) -> Callable[[], None]:
        def task() -> None:
            spin_lock(whole.lock)
            line = whole.line
            spin_unlock(whole.lock)
            spin_lock(others[number])
            line[0] += 1
            spin_unlock(others[number])
        return task
    return Program([change(0), change(1)])


@pytest.mark.parametrize("make", [a_request_that_the_interrupt_changes_too, changed_under_a_lock_that_is_held_for_reading,
                                  changed_under_a_semaphore_that_is_held_for_reading, a_guarded_list_that_is_changed_under_other_locks])
def test_a_program_that_shares_data_unseen_is_never_proved(make: Make) -> None:
    found = verify(make)
    assert not found.proved
    assert found.why or found.titles


def by_a_bound_method() -> Program:
    data = {"n": 0}
    get, update = data.get, data.update
    return _changed_between(lambda: update(n=get("n", 0) + 1), lambda: None, data)


def by_a_chain_of_dicts() -> Program:
    chain = collections.ChainMap({"n": 0})

    def task() -> None:
        chain["n"] += 1
    one = cell("one", value=0)
    return Program([task, task, lambda: setattr(one, "value", 1)])


def by_a_view_of_a_dict() -> Program:
    values = {"n": [0]}.values()

    def task() -> None:
        next(iter(values))[0] += 1
    one = cell("one", value=0)
    return Program([task, task, lambda: setattr(one, "value", 1)])


@pytest.mark.parametrize("make", [by_a_bound_method, by_a_chain_of_dicts, by_a_view_of_a_dict])
def test_data_reached_through_a_bound_method_a_chain_or_a_view_counts_as_shared(make: Make) -> None:
    found = verify(make)
    assert found.why is not None and found.why.reason is Reason.SHARES, (found.why, found.titles)


class _Zone(struct):
    lock = embed(spinlock_t)


class _Pages(struct):
    free = guarded(None, "zone.lock")


def test_a_list_guarded_by_a_lock_of_another_object_may_be_changed_under_it() -> None:
    def make() -> Program:
        zone, pages = _Zone("zone"), _Pages("pages", free=[0])

        def task() -> None:
            spin_lock(zone.lock)
            pages.free[0] += 1
            spin_unlock(zone.lock)
        return Program([task, task])
    found = verify(make)
    assert found.proved, (found.why, found.titles)
