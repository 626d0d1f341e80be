# SPDX-License-Identifier: MIT
"""One kernel source runs on every core: each core has its points and its checks, and fast and checked make the same run."""

from __future__ import annotations

import random

import pytest
from vmrace.harness.kernel.registry import CORES
from vmrace.harness.link.linker import link
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.harness.schedulers.replay import Replay

from tests.harness.programs import TOY, random_program
from tests.toy import Toy

LOCKS = "tests.harness.kernels.locks"
FAMILY_BASE = ("vmrace.variants.lru_free_2_4.types", "vmrace.variants.lru_free_2_4.pre_patch", "vmrace.variants.user_space",
               "vmrace.variants.lru_free_2_4.ops")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("modules", [(TOY,), (LOCKS,), FAMILY_BASE], ids=["toy", "locks", "family"])
def test_every_core_links(modules: tuple[str, ...], core: str) -> None:
    assert link(*modules, core=core).core == core


@pytest.mark.parametrize("core", CORES)
def test_every_core_runs_one_task_to_the_same_end(core: str) -> None:
    toy = Toy(TOY, core=core)
    toy.run([(0, [("section", 0), ("listed", 0), ("store", 1, 7), ("bump", 1)])], NoPreempt())
    a, b = toy["nodes"][0], toy["nodes"][1]
    assert (a._value, a._hint, a.count.counter, a.entry.on, b._free_for_all) == (1, 1, 2, a.head, 8)


def test_the_fast_and_the_checked_core_give_the_same_digest_for_the_same_decisions() -> None:
    fast, checked = Toy(TOY), Toy(TOY, core="checked")
    rng = random.Random(21)
    for _ in range(150):
        program = random_program(rng)
        run = fast.run(program, Walk(rng, 0.3), 3)
        one, other = fast.replay(run, program, 3), checked.replay(run, program, 3)
        assert one.facts == other.facts


def test_the_fast_and_the_checked_core_differ_where_a_lock_is_missing() -> None:
    program = [(0, [("touch_unlocked",)])]
    titles = [Toy(LOCKS, core=core).run(program, NoPreempt()).titles for core in ("fast", "checked")]
    assert titles == [[], ["LOCKSET: guarded_t.under_spinlock touched without its lock in touch_unlocked"]]


# ---- lockset --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("core", ["checked", "up"])
@pytest.mark.parametrize(("call", "field"), [
    ("touch_unlocked", "under_spinlock"), ("read_unlocked", "under_spinlock"), ("read_slot_unlocked", "slots"),
    ("touch_without_semaphore", "under_semaphore"), ("touch_under_the_wrong_one", "under_spinlock"),
    ("touch_reading", "under_reader"), ("touch_sem_reading", "under_rwsem")])
def test_a_guarded_field_touched_without_its_lock_is_a_finding(call: str, field: str, core: str) -> None:
    run = Toy(LOCKS, core=core).run([(0, [(call,)])], NoPreempt(), 1)
    assert run.titles == [f"LOCKSET: guarded_t.{field} touched without its lock in {call}"]


@pytest.mark.parametrize("core", ["checked", "up"])
@pytest.mark.parametrize("call", [
    "touch_locked", "touch_with_semaphore", "touch_under_the_other", "look_reading", "touch_writing", "look_sem_reading",
    "touch_sem_writing", "empty_reading", "add_writing"])
def test_a_guarded_field_touched_under_its_lock_is_no_finding(call: str, core: str) -> None:
    assert Toy(LOCKS, core=core).run([(0, [(call,)])], NoPreempt(), 1).titles == []


@pytest.mark.parametrize("core", ["checked", "up"])
def test_a_list_changed_by_a_reader_is_a_finding(core: str) -> None:
    run = Toy(LOCKS, core=core).run([(0, [("add_reading",)])], NoPreempt(), 1)
    assert run.titles == ["LOCKSET: reader_list touched without its lock in add_reading"]


def test_a_lock_held_by_another_task_does_not_allow_an_access() -> None:
    program = [(0, [("touch_locked",)]), (1, [("touch_unlocked",)])]
    run = Toy(LOCKS, core="checked").run(program, Replay((2, 1), (0,)))      # step 2: task 0 holds `first`
    assert run.titles == ["LOCKSET: guarded_t.under_spinlock touched without its lock in touch_unlocked"]


# ---- points ---------------------------------------------------------------------------------------------------------------

def steps(call: str, core: str, *args: int) -> int:
    return Toy(LOCKS if call.startswith("touch") else TOY, core=core).run([(0, [(call, *args)])], NoPreempt(), 1).steps


@pytest.mark.parametrize(("core", "count"), [("fast", 2), ("checked", 2), ("up", 6)])
def test_guarded_fields_are_points_only_where_a_lock_excludes_nothing(core: str, count: int) -> None:
    """Lock and unlock are points; on one cpu also the two loads and the store of a field, and the store into an array."""
    assert steps("touch_locked", core) == count


def test_a_racy_load_is_a_point_only_without_its_lock() -> None:
    """peek() makes one unlocked load. section() takes the lock, touches the guarded value, stores `hint` (a point), counts, unlocks."""
    assert steps("peek", "fast", 0) == 1
    assert steps("section", "fast", 0) == 4


@pytest.mark.parametrize("core", ["fast", "checked", "up"])
def test_every_access_of_an_unguarded_racy_field_is_a_point(core: str) -> None:
    assert steps("bump", core, 0) == 2
