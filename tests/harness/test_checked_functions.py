# SPDX-License-Identifier: MIT
"""Programs of plain functions are checked like kernel source on a checked core; an access that no lock covers is a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import vmrace.harness.kernel
from vmrace.fuzz.functions.sample import fuzz
from vmrace.harness.errors import ProgramError
from vmrace.harness.finding import Finding
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import (
    BUG_ON,
    LIST_HEAD,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_t,
    cmpxchg,
    data_race,
    down,
    down_read,
    down_write,
    embed,
    flags_t,
    guarded,
    guarded_array,
    kfree,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    list_head,
    local_irq_disable,
    plain,
    racy,
    read_lock,
    read_unlock,
    rw_semaphore,
    rwlock_t,
    semaphore,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)
from vmrace.harness.kernel import test_and_set_bit as take_bit
from vmrace.harness.sanitizers import table
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule

PG_locked = 1


class thing(struct):
    value = racy(0)
    counted = guarded(0, "lock")
    own = guarded(0, ".lock")
    bit = guarded(0, ".flags#PG_locked")
    fixed = plain(0)
    flags = embed(flags_t)
    slots = embed(guarded_array, 2, 0, "lock")
    lock = embed(spinlock_t)
    count = embed(atomic_t, refcount=True)
    link = embed(list_head)
    slab = embed(list_head)


Action = Callable[..., Any]


def program(*actions: Action, setup: Action | None = None) -> Callable[[], Program]:
    """Return the make of a program: each task is one of `actions`, called on a `lock`, a `head` under it and two things."""
    def make() -> Program:
        lock = spinlock_t("lock")
        rest = lock, LIST_HEAD("head", "lock"), thing("one"), thing("two")
        return Program([lambda action=action: action(*rest) for action in actions], setup=(lambda: setup(*rest)) if setup else None)
    return make


def findings(make: Callable[[], Program], preemptions: int = 2) -> list[Finding]:
    runner = Runner(make)
    return [finding for run in every_schedule(runner.run, preemptions) for finding in run.findings]


def titles(make: Callable[[], Program], preemptions: int = 2) -> set[str]:
    return {finding.title for finding in findings(make, preemptions)}


def steps(action: Action) -> int:
    return Runner(program(action)).run(NoPreempt()).steps


def locked(action: Action) -> Action:
    def inside(lock: Any, *rest: Any) -> Any:
        spin_lock(lock)
        out = action(lock, *rest)
        spin_unlock(lock)
        return out
    return inside


def nothing(*_: Any) -> None:
    pass


def of(action: Action, *objects: Any) -> Program:
    """Return a program whose one task calls `action` on `objects`."""
    return Program([lambda: action(*objects)])


# ---- the sanitizers that a verdict names -------------------------------------------------------------------------------

def _order(lock: Any, head: Any, one: Any, two: Any) -> None:
    for first, second in ((one.lock, two.lock), (two.lock, one.lock)):
        spin_lock(first)
        spin_lock(second)
        spin_unlock(second)
        spin_unlock(first)


TRIPS: dict[str, Callable[[], Program]] = {
    "bug": program(lambda lock, head, one, two: BUG_ON(True, 7)),
    "lifetime": program(lambda lock, head, one, two: (kfree(one), one.value)),
    "refcount": program(lambda lock, head, one, two: atomic_dec(one.count)),
    "lists": program(locked(lambda lock, head, one, two: list_del(one.link))),
    "lockdep": program(_order),
    "lockset": program(lambda lock, head, one, two: one.counted),
    "atomic_sleep": lambda: of(locked(lambda lock, sem: down(sem)), spinlock_t("lock"), semaphore("sem")),
    "progress": lambda: of(lambda sem: down(sem), semaphore("sem", count=0)),
}


def test_each_sanitizer_that_a_verdict_on_functions_names_can_trip_on_functions() -> None:
    tripped = {name: {finding.sanitizer for finding in findings(make)} for name, make in TRIPS.items()}
    assert tripped == {name: {name} for name in table.on("functions")}


def test_a_verdict_says_which_sanitizers_were_off() -> None:
    assert table.summary("functions") == "8 of 14 sanitizers (off: race, invariant, quiet, leak, data, user)"
    assert table.summary("entry") == table.summary("scope") == "11 of 14 sanitizers (off: race, quiet, leak)"


# ---- guards ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("action", "what"), [
    (lambda lock, head, one, two: one.counted, "thing.counted"),
    (lambda lock, head, one, two: setattr(one, "counted", 1), "thing.counted"),
    (lambda lock, head, one, two: one.own, "thing.own"),
    (lambda lock, head, one, two: one.bit, "thing.bit"),
    (lambda lock, head, one, two: one.slots[1], "thing.slots"),
    (lambda lock, head, one, two: list_add(one.link, head), "head"),
    (lambda lock, head, one, two: head.next, "head"),
    (lambda lock, head, one, two: head.prev, "head"),
], ids=["load", "store", "own lock", "bit", "item", "list_add", "next", "prev"])
def test_touching_guarded_data_without_its_lock_is_a_finding(action: Action, what: str) -> None:
    assert titles(program(action, nothing)) == {f"LOCKSET: {what} touched without its lock in lambda"}


def _all_of_it(lock: Any, head: Any, one: Any, two: Any) -> None:
    one.counted += 1
    one.slots[1] += 1
    list_add(one.link, head)
    list_add_tail(two.link, head)
    assert head.next is one.link and one.link.next is two.link and head.prev is two.link and not list_empty(head)
    list_del(one.link)
    list_del(two.link)


def test_guarded_data_used_under_its_lock_gives_no_finding() -> None:
    assert titles(program(locked(_all_of_it), locked(_all_of_it))) == set()
    assert verify(program(locked(_all_of_it), locked(_all_of_it))).proved


def test_setting_a_guarding_bit_takes_it_as_a_lock() -> None:
    def mine(lock: Any, head: Any, one: Any, two: Any) -> None:
        if not take_bit(PG_locked, one.flags):
            one.bit += 1
    assert verify(program(mine, mine)).proved


def test_a_guarding_bit_set_by_another_task_may_hide_an_unlocked_access() -> None:
    """A bit has no owner: the access is a finding only in the schedules in which the other task has not yet set the bit."""
    found = verify(program(lambda lock, head, one, two: one.bit, lambda lock, head, one, two: take_bit(PG_locked, one.flags)))
    assert found.titles == ["LOCKSET: thing.bit touched without its lock in lambda"]
    assert (found.classes, found.classes_with(found.titles[0])) == (2, 1)


def test_holding_a_rwlock_for_reading_allows_loads_and_no_stores() -> None:
    def make(store: bool) -> Program:
        rw = rwlock_t("lock")
        one = thing("one")

        def reads() -> None:
            read_lock(rw)
            if store:
                one.counted = 1
            assert not one.counted
            read_unlock(rw)
        return Program([reads, reads])
    assert titles(lambda: make(False)) == set()
    assert titles(lambda: make(True)) == {"LOCKSET: thing.counted touched without its lock in reads"}


def test_holding_a_rwlock_for_reading_allows_walking_a_list_and_not_changing_it() -> None:
    def make(store: bool) -> Program:
        rw, head, one = rwlock_t("lock"), LIST_HEAD("head", "lock"), thing("one")

        def reads() -> None:
            read_lock(rw)
            assert head.next is head
            if store:
                list_add(one.link, head)
            read_unlock(rw)
        return Program([reads])
    assert titles(lambda: make(False)) == set()
    assert titles(lambda: make(True)) == {"LOCKSET: head touched without its lock in reads"}


@pytest.mark.parametrize(("take", "kind"), [(down, semaphore), (down_read, rw_semaphore), (down_write, rw_semaphore)])
@pytest.mark.parametrize("where", ["in an interrupt", "with a spinlock held", "with interrupts off"])
def test_a_call_that_could_sleep_is_reported_even_if_it_need_not(take: Action, kind: Action, where: str) -> None:
    def make() -> Program:
        sem, lock = kind("sem"), spinlock_t("lock")

        def takes() -> None:
            if where == "with a spinlock held":
                spin_lock(lock)
            elif where == "with interrupts off":
                local_irq_disable()
            take(sem)
        return Program([lambda: None], irqs=[takes]) if where == "in an interrupt" else Program([takes])
    assert titles(make) == {f"SLEEP: sleeping {where} in takes"}


def test_raising_a_count_from_zero_by_cmpxchg_is_a_finding() -> None:
    def take(lock: Any, head: Any, one: Any, two: Any) -> None:
        cmpxchg(one.count, 0, 1)
    assert titles(program(take)) == {"REFCOUNT: thing.count raised from zero in take"}


def test_memory_freed_again_in_an_interrupt_is_a_double_free() -> None:
    class node(struct):
        value = racy(0)

    def make() -> Program:
        one = node("one")

        def frees() -> None:
            kfree(one)

        def handler() -> None:
            kfree(one)
        return Program([frees], irqs=[handler])
    assert titles(make) == {"double free in frees", "double free in handler"}


@pytest.mark.parametrize("action", [
    lambda lock, head, one, two: data_race(one.counted),
    lambda lock, head, one, two: data_race(one.slots[0]),
    lambda lock, head, one, two: data_race(head.next),
    lambda lock, head, one, two: data_race(list_entry(head.next)),
], ids=["field", "item", "next", "entry"])
def test_data_race_excuses_the_load_inside_it(action: Action) -> None:
    assert titles(program(action, nothing)) == set()


def test_data_race_excuses_a_store() -> None:
    def store(lock: Any, head: Any, one: Any, two: Any) -> None:
        data_race(one).counted = 1
    assert titles(program(store, nothing)) == set()


def test_data_race_excuses_no_access_outside_it() -> None:
    assert titles(program(lambda lock, head, one, two: data_race(one.value) + one.counted)) == {
        "LOCKSET: thing.counted touched without its lock in lambda"}


def test_a_guard_that_names_no_lock_of_the_program_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"one.\w+ is guarded by 'lock', which is no lock of this program$"):
        Runner(lambda: of(nothing, thing("one")))
    with pytest.raises(ProgramError, match=r"head is guarded by 'lock', which is no lock"):
        Runner(lambda: of(nothing, LIST_HEAD("head", "lock"), atomic_t("lock")))


class of_its_own(struct):
    mine = embed(spinlock_t)
    data = guarded(0, "mine")


def test_the_error_for_a_guard_without_its_dot_suggests_the_name_with_the_dot() -> None:
    with pytest.raises(ProgramError, match=r"of this program; did you mean '.mine', of the struct itself\?$"):
        Runner(lambda: of(nothing, of_its_own("one")))


def test_a_guard_that_names_two_locks_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"head is guarded by 'lock', and 2 objects have the name 'lock'$"):
        Runner(lambda: of(nothing, spinlock_t("lock"), spinlock_t("lock"), LIST_HEAD("head", "lock")))


# ---- points ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("action", "count"), [
    (lambda lock, head, one, two: one.fixed, 1),
    (lambda lock, head, one, two: list_empty(head), 1),
    (lambda lock, head, one, two: data_race(head.next), 1),
    (lambda lock, head, one, two: data_race(one.counted), 1),
    (locked(lambda lock, head, one, two: list_empty(head)), 2),
    (locked(lambda lock, head, one, two: head.next), 2),
    (locked(lambda lock, head, one, two: one.counted), 2),
    (locked(lambda lock, head, one, two: list_add(one.link, head)), 3),
    (lambda lock, head, one, two: kfree(one), 1),
    (lambda lock, head, one, two: (kfree(one), spin_lock(lock), two.counted, list_empty(head), spin_unlock(lock)), 5),
], ids=["plain", "list_empty", "next", "guarded", "list_empty locked", "next locked", "guarded locked", "list_add locked", "kfree",
        "locked, where memory is freed"])
def test_an_access_is_a_point_unless_its_lock_is_held(action: Action, count: int) -> None:
    assert steps(action) == count


def test_a_list_without_a_guard_is_a_point_at_each_use() -> None:
    def make() -> Program:
        head, one = LIST_HEAD("head"), thing("one")
        spinlock_t("lock")

        def take() -> Any:
            if not list_empty(head):
                entry = head.next
                list_del(entry)
                return entry.name
            return None
        return Program([take, take], setup=lambda: list_add(one.link, head))
    titles = verify(make).titles
    assert "LIST: list_del of an unlinked thing.link in take" in titles


def test_list_empty_without_the_lock_is_an_access_in_the_story() -> None:
    """CVE-2011-2183: between list_empty() and the lock the list becomes empty, and the head is used as an entry."""
    def scan(lock: Any, head: Any, one: Any, two: Any) -> Any:
        if list_empty(head):
            return None
        spin_lock(lock)
        entry = head.next
        spin_unlock(lock)
        assert entry is not head
        return entry.name

    make = program(scan, locked(lambda lock, head, one, two: list_del(one.link)),
                   setup=lambda lock, head, one, two: list_add(one.link, head))
    found = verify(make)
    assert found.titles == ["CHECK: an assertion fails in scan"]
    assert "list_empty(head)" in fuzz(make).story and "list_del(one.link)" in fuzz(make).story
    assert found.fewest(found.titles[0]).preemptions == 1
    assert found.classes == 3


# ---- free memory -------------------------------------------------------------------------------------------------------

def test_a_use_after_free_says_where_the_object_was_freed() -> None:
    def drops(lock: Any, head: Any, one: Any, two: Any) -> None:
        kfree(one)
    found = next(finding for finding in findings(program(drops, lambda lock, head, one, two: one.value)))
    assert (found.title, found.detail) == ("use after free in lambda", "one.value is accessed; one was freed in drops by task0 at step 1")


def test_memory_may_be_freed_while_a_task_holds_any_lock() -> None:
    """The task holds the guard of the field, and another task frees the object without that guard, between two accesses."""
    def counts(lock: Any, head: Any, one: Any, two: Any) -> None:
        spin_lock(lock)
        atomic_inc(two.count)
        one.counted += 1
        spin_unlock(lock)

    def drops(lock: Any, head: Any, one: Any, two: Any) -> None:
        if atomic_read(two.count) == 1:
            kfree(one)

    make = program(counts, drops, setup=lambda lock, head, one, two: atomic_set(two.count, 0))
    assert "use after free in counts" in verify(make).titles


def test_walking_a_list_into_free_memory_is_a_use_after_free() -> None:
    def walks(lock: Any, head: Any, one: Any, two: Any) -> None:
        spin_lock(lock)
        entry = head.next
        while entry is not head:
            entry = entry.next
        spin_unlock(lock)

    make = program(walks, lambda lock, head, one, two: kfree(one), setup=lambda lock, head, one, two: list_add(one.link, head))
    assert titles(make) == {"use after free in walks"} == set(verify(make).titles)


def test_changing_a_list_neighbour_in_free_memory_is_a_use_after_free() -> None:
    def make_of(first: Action) -> Callable[[], Program]:
        def links(lock: Any, head: Any, one: Any, two: Any) -> None:
            list_add(one.link, head)
            list_add(two.link, head)
        return program(locked(first), lambda lock, head, one, two: kfree(one), setup=links)
    assert verify(make_of(lambda lock, head, one, two: list_del(two.link))).titles == ["use after free in lambda"]


def test_freeing_an_object_twice_is_a_double_free() -> None:
    def drops(lock: Any, head: Any, one: Any, two: Any) -> None:
        kfree(one)
    assert titles(program(drops, drops)) == {"double free in drops"} == set(verify(program(drops, drops)).titles)


def test_each_run_starts_with_the_same_objects_free() -> None:
    runner = Runner(program(lambda lock, head, one, two: (one.value, kfree(one)), setup=lambda lock, head, one, two: kfree(two)))
    assert [runner.run(NoPreempt()).titles for _ in range(3)] == [[], [], []]
    again = Runner(program(lambda lock, head, one, two: two.value, setup=lambda lock, head, one, two: kfree(two)))
    results = [again.run(NoPreempt()) for _ in range(2)]
    assert [result.titles for result in results] == [["use after free in lambda"]] * 2
    assert results[0].findings[0].detail == "two.value is accessed; two was freed before the run"


def _cached(action: Action, type_stable: bool) -> Callable[[], Program]:
    def make() -> Program:
        lock, one = spinlock_t("lock"), thing("one")
        cache = LIST_HEAD("cache", "lock", freelist=True, type_stable=type_stable)

        def frees() -> None:
            spin_lock(lock)
            list_add(one.slab, cache)
            spin_unlock(lock)

        def allocates() -> None:
            spin_lock(lock)
            if not list_empty(cache):
                list_del(cache.next)
            spin_unlock(lock)
        return Program([lambda: action(one), lambda: (frees(), allocates())])
    return make


def test_a_slab_cache_allocates_a_freed_object_again() -> None:
    found = verify(_cached(lambda one: one.value, type_stable=False))
    assert found.titles == ["use after free in lambda"]
    assert found.classes_with(found.titles[0]) < found.classes


def test_reading_freed_type_stable_memory_is_no_finding() -> None:
    assert verify(_cached(lambda one: (one.value, atomic_read(one.count)), type_stable=True)).proved


def test_a_reference_taken_to_free_type_stable_memory_is_a_use_after_free() -> None:
    found = findings(_cached(lambda one: atomic_inc(one.count), type_stable=True))
    assert "one.count taken on a free object; one was freed in frees by task1 at step 2" in {finding.detail for finding in found}
    assert "use after free in lambda" in verify(_cached(lambda one: atomic_inc(one.count), type_stable=True)).titles


def test_kfree_of_nothing_does_nothing() -> None:
    assert titles(program(lambda lock, head, one, two: kfree(None))) == set()


def test_a_kfree_called_by_another_name_is_refused() -> None:
    runner = Runner(program(lambda lock, head, one, two: getattr(vmrace.harness.kernel, "k" + "free")(one)))
    with pytest.raises(ProgramError, match=r"kfree\(\) is called by another name"):
        runner.run(NoPreempt())


@pytest.mark.parametrize("what", [lambda: 3, lambda: "text", lambda: atomic_t("count")])
def test_kfree_of_anything_but_a_struct_is_a_finding(what: Action) -> None:
    def make() -> Program:
        made = what()
        return Program([lambda: kfree(made)])
    assert titles(make) == {"OOPS: TypeError in lambda"}


class of_a_zone(struct):
    lock = embed(spinlock_t)


class on_a_list(struct):
    link = embed(list_head)


@pytest.mark.parametrize("locks", [True, False])
def test_a_list_may_be_guarded_by_a_lock_inside_another_struct(locks: bool) -> None:
    def make() -> Program:
        zone, head, one = of_a_zone("zone"), LIST_HEAD("head", "zone.lock"), on_a_list("one")

        def adds() -> None:
            if locks:
                spin_lock(zone.lock)
            list_add(one.link, head)
            if locks:
                spin_unlock(zone.lock)
        return Program([adds])
    assert titles(make) == (set() if locks else {"LOCKSET: head touched without its lock in adds"})
