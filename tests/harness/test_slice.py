# SPDX-License-Identifier: MIT
"""The backward slice of a trace follows each of its dependences, and leaves out what the failure does not depend on."""

from __future__ import annotations

import random
from typing import Any

import pytest
from vmrace.harness import points
from vmrace.harness.finding import Finding
from vmrace.harness.replay.columns import COLUMNS_MAX, columns
from vmrace.harness.replay.rows import SLICE_MAX, WHOLE_MAX, Row, Story, as_json, folded
from vmrace.harness.replay.slice import Slice, failure
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.harness.watchers.trace import RUNS, SLEEPS, SPINS, Event

from tests.harness import programs
from tests.toy import Toy

READ, WRITE, RMW, ACQUIRE, RELEASE = points.READ, points.WRITE, points.RMW, points.ACQUIRE, points.RELEASE


class Trace:
    """A trace that is written by hand: one event in each call, steps from 1."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, task: int, kind: int, obj: str = "", arg: Any = None, **more: Any) -> int:
        label = f"{points.NAMES[kind]} {obj}"
        more.setdefault("owner", obj.partition(".")[0])
        self.events.append(Event(len(self.events) + 1, task, task, 0, kind, obj, arg, label, "f", (), 0, **more))
        return len(self.events) - 1

    def change(self, task: int, word: str, obj: str = "", by: int | None = None) -> int:
        return self(task, points.LOCAL, obj, word, by=by)

    def matter(self, last: int, most: int = 100) -> set[int]:
        return Slice(self.events).matter([last], most)


def test_a_load_depends_on_the_last_store_to_the_same_field() -> None:
    t = Trace()
    old, store, other_field, other_object = t(0, WRITE, "A", "x"), t(0, WRITE, "A", "x"), t(0, WRITE, "A", "y"), t(0, WRITE, "B", "x")
    load = t(1, READ, "A", "x")
    assert t.matter(load) == {load, store}
    assert not {old, other_field, other_object} & t.matter(load)


def test_a_store_to_a_whole_word_is_one_to_each_of_its_bits() -> None:
    t = Trace()
    other_bit, word, load = t(0, WRITE, "A.flags", 3), t(0, WRITE, "A.flags"), t(1, READ, "A.flags", 2)
    assert t.matter(load) == {load, word}
    assert other_bit not in t.matter(load)


def test_a_read_modify_write_that_keeps_the_value_is_no_store() -> None:
    t = Trace()
    store, kept, load = t(0, RMW, "A", "x"), t(1, RMW, "A", "x", kept=True), t(2, READ, "A", "x")
    assert t.matter(load) == {load, store}
    assert kept not in t.matter(load)


def test_an_access_depends_on_the_value_that_another_task_has_made_stale() -> None:
    """Check, then act: the check comes first, even if only two events may be added."""
    t = Trace()
    check = t(0, READ, "A", "mapped")
    noise = [t(0, READ, "B", "x") for _ in range(4)]
    changed = t(1, WRITE, "A", "mapped")
    act = t(0, WRITE, "C", "y")
    assert t.matter(act, 3) == {act, check, changed}
    assert not t.matter(act) & set(noise)


def test_a_value_that_the_task_stored_itself_is_not_stale() -> None:
    t = Trace()
    check, mine, act = t(0, READ, "A", "x"), t(0, WRITE, "A", "x"), t(0, WRITE, "C", "y")
    assert not {check, mine} & t.matter(act)


def test_an_access_depends_on_the_earlier_look_of_its_task_at_the_same_object() -> None:
    t = Trace()
    look = t(0, READ, "A", "count")
    alone = t(0, READ, "A", "index")
    act = t(0, WRITE, "A", "y")
    later = t(1, WRITE, "A", "count")
    assert {act, look} <= t.matter(act)
    assert not {alone, later} & t.matter(act)


def test_an_acquire_depends_on_the_release_of_another_task_alone() -> None:
    t = Trace()
    mine_before, _ = t(0, ACQUIRE, "L"), t(0, RELEASE, "L")
    own = t(0, ACQUIRE, "L")
    assert t.matter(own) == {own}
    t(0, RELEASE, "L")
    t(1, ACQUIRE, "L")
    release = t(1, RELEASE, "L")
    acquire = t(0, ACQUIRE, "L")
    inside = t(0, WRITE, "A", "x", held=("L",))
    assert {inside, acquire, release} <= t.matter(inside)
    assert mine_before not in t.matter(inside)


def test_the_first_access_after_a_sleep_depends_on_the_wake_up() -> None:
    t = Trace()
    t.change(0, SLEEPS)
    other, wake = t(1, points.WAKE, "B.wait"), t(1, points.WAKE, "A.wait", woke=(0,))
    runs, first = t.change(0, RUNS, by=1), t(0, WRITE, "A", "x")
    assert {first, runs, wake} <= t.matter(first)
    assert other not in t.matter(first)


def test_a_task_that_waits_for_a_lock_depends_on_the_acquire_of_its_holder() -> None:
    t = Trace()
    done, _ = t(2, ACQUIRE, "L"), t(2, RELEASE, "L")
    held = t(1, ACQUIRE, "L")
    spins = t.change(0, SPINS, "L")
    assert Slice(t.events).holders(spins) == [held]
    assert t.matter(spins, 2) == {spins, held}
    assert done not in t.matter(spins, 2)


def test_a_task_that_sleeps_depends_on_the_condition_that_it_read() -> None:
    t = Trace()
    locked = t(1, RMW, "A.flags", 0)
    condition, constant = t(0, READ, "A.flags", 0), t(0, READ, "A", "mapping")
    sleeps = t.change(0, SLEEPS)
    assert t.matter(sleeps) == {sleeps, condition, locked}
    assert constant not in t.matter(sleeps)


def test_a_slice_has_at_most_the_number_of_events_that_it_may_have() -> None:
    t = Trace()
    for number in range(200):
        t(number % 2, RMW, "A", "x")
    assert len(t.matter(199, 10)) == 10


def test_a_failure_at_rest_shows_in_the_last_stores_to_its_object() -> None:
    t = Trace()
    t(0, WRITE, "A", "x")
    x, y, _ = t(1, WRITE, "A", "x"), t(0, WRITE, "A", "y"), t(0, WRITE, "B", "x")
    assert sorted(failure(t.events, Finding("INVARIANT: it fails", "invariant", 4), [], "A")) == [x, y]


def test_both_sides_of_a_race_are_where_it_shows() -> None:
    t = Trace()
    load, store = t(0, READ, "A", "x"), t(1, WRITE, "A", "x")
    race = Finding("RACE: store s.x in f and load in g", "race", store + 1, "task1")
    assert sorted(failure(t.events, race, [], "A")) == [load, store]


# ---- rows ------------------------------------------------------------------------------------------------------------------

def told(rows: list[Row]) -> list[str]:
    return [f"{row.rows} rows {row.times} times" if row.rows else row.text + (f" x {row.times}" if row.times else "") for row in rows]


def rows(text: str) -> list[Row]:
    return [Row(0, letter) for letter in text]


@pytest.mark.parametrize(("loop", "shown"), [
    ("abc", ["a", "b", "c"]),
    ("aaaa", ["a x 4"]),
    ("xababab", ["x", "a", "b", "2 rows 2 times"]),
    ("abab", ["a", "b", "a", "b"]),
    ("aabbb", ["a x 2", "b x 3"]),
    ("abcabcabcd", ["a", "b", "c", "3 rows 2 times", "d"]),
])
def test_the_repeats_of_a_loop_are_one_row_with_their_number(loop: str, shown: list[str]) -> None:
    assert told(folded(rows(loop))) == shown


def test_rows_that_change_the_failing_object_are_never_folded() -> None:
    some = rows("aaaa")
    some[2].after = "2 locked"
    assert told(folded(some)) == ["a x 2", "a", "a"]


TOY = Toy(programs.TOY)


def story(seed: int, cpus: int, whole: bool = False, tasks: int = 6, words: int = 1) -> Story:
    rng = random.Random(seed)
    program = programs.random_program(rng, cpus=cpus, tasks=tasks, ops=8)

    def state() -> dict[str, str]:
        return {node.name: f"{node.count.counter} {'locked ' * words if node.lock.owner else ''}".strip() for node in TOY["nodes"]}
    run = TOY.trace(program, Walk(rng, 0.3), cpus, watch=state)
    ops = {(number, index): " ".join(map(str, call)) for number, (_, calls) in enumerate(program) for index, call in enumerate(calls)}
    last = next(event for event in reversed(run.events) if event.kind not in (points.LOCAL, points.IRQ))
    name = f"task{last.task}" if last.task >= 0 else f"idle{-2 - last.task}"
    finding = (run.findings or [Finding("CHECK: it fails", "check", last.step, name)])[0]
    return Story(run.events, finding, run.notes, ops, [f"cpu{cpu}" for cpu, _ in program], whole)


def test_a_story_has_every_change_of_the_failing_object_and_every_stop_between_its_steps() -> None:
    long = 0
    for seed in range(60):
        told, whole = story(seed, 3), story(seed, 3, whole=True)
        states = [row.after for row in told.rows() if row.after]
        assert states == [row.after for row in whole.rows() if row.after]
        shown = {row.at for row in told.rows() if row.event is not None}
        for at, event in enumerate(told.events):
            if event.change in (SPINS, SLEEPS):
                later = [other for other in range(at + 1, len(told.events)) if told.events[other].task == event.task]
                until = min(later, default=len(told.events))
                between = [one for one in shown if at < one < until and not told.events[one].change
                           and told.events[one].kind != points.IRQ]
                assert at in shown or not between, (seed, event)
        long += len(whole.rows()) > WHOLE_MAX > 0 and len(told.rows()) < len(whole.rows())
        plain = [row for row in told.rows() if row.step is not None and not row.after]
        assert len(plain) <= max(SLICE_MAX * 2, WHOLE_MAX) + 12, seed
    assert long > 30


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, COLUMNS_MAX + 1])
def test_a_story_takes_at_most_100_columns(cpus: int) -> None:
    for seed in range(30):
        for whole in (False, True):
            lines = columns(story(seed, cpus, whole, words=1 + seed % 12), cpus)
            assert max(map(len, lines)) <= 100, "\n".join(lines)
            assert lines[0].startswith("step  ") and all(line == line.rstrip() for line in lines)


def test_a_story_has_the_results_of_operations_that_are_not_0() -> None:
    run = TOY.trace([(0, [("fails", 0, -12), ("fails", 0, 0)])], NoPreempt(), watch=dict)
    told = Story(run.events, Finding("CHECK: it fails", "check", 2, "task0"), [], {(0, 0): "first", (0, 1): "second"}, ["cpu0"])
    assert [row.text.strip() for row in told.rows()] == [
        "first", "atomic_inc(A.count)", "(returns -ENOMEM)", "second", "atomic_inc(A.count)"]


def test_the_steps_of_a_story_as_json_are_its_rows() -> None:
    told = story(1, 2, whole=True)
    steps = as_json(told)
    accesses = [step for step in steps if step.get("what") and not step["change"] and not step["what"].startswith("irq")]
    assert sum(step["times"] for step in accesses) + sum(
        step["times"] * step["repeats"] for step in steps if "repeats" in step) >= told.accesses
    assert {step["mark"] for step in accesses} <= {"", "BUG", "!!"}
    assert any(step["value"].startswith("= ") for step in accesses) or any(" -> " in step["value"] for step in accesses)
