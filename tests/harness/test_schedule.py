# SPDX-License-Identifier: MIT
"""A schedule by names, narrated, parsed and followed, gives the same run; if a named point is not reached, the run has diverged."""

from __future__ import annotations

import random

import pytest
from vmrace.fuzz.run.story import narrate
from vmrace.harness import points
from vmrace.harness.errors import Diverged
from vmrace.harness.machine.machine import m
from vmrace.harness.replay.named_schedule import Line, Named, Narrator, parse
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.replay import Replay

from tests.fuzz.family_programs import executor, prepared, random_program
from tests.harness import programs
from tests.toy import Run, Toy

SHAPES = {          # cpus, tasks, preempt
    "a task on each cpu": (3, 3, False),
    "several tasks on a cpu": (2, 5, False),
    "idle cpus for interrupts": (3, 1, False),
    "one cpu": (1, 3, False),
    "preemptible": (2, 4, True),
}
LINES = [
    "cpu0 until before page_cache_get(A) in shrink_cache", "cpu0 until after unlock pagemap_lru_lock in shrink_cache #2",
    "cpu0 until blocked", "irq 0 on cpu1 until done", "cpu1 to the end", "cpu1_task2 until before read A.mapping in f",
    "idle1 until blocked",
    "cpu0 until before write swap_map[3] in swap_free", "irq 12 on cpu0 until before irq 1 left: x in handler",
]


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES)
def test_a_narrated_schedule_gives_the_same_digest_on_the_family(shape: str) -> None:
    cpus, tasks, preempt = SHAPES[shape]
    rng = random.Random(31)
    runner = executor()
    followed = 0
    while followed < 60:
        program = random_program(rng, cpus, tasks, preempt=preempt)
        ready = prepared(program)
        if ready is None:
            continue
        outcome = runner.run(ready, Pct(rng, 4, 200) if followed % 3 == 2 else Walk(rng, (0.05, 0.3)[followed % 2]))
        lines = narrate(runner, ready, outcome)
        again = [parse(str(line)) for line in lines]
        assert again == list(lines)
        told = runner.trace(ready, Named(again, program.keys()))
        exact = runner.trace(ready, Replay(outcome.switches, outcome.forced))
        assert told.digest == exact.digest, (program, lines)
        assert (told.outcome.switches, told.outcome.forced) == (outcome.switches, outcome.forced)
        followed += 1


KEYS = {0: "cpu0", 1: "cpu1", 2: "cpu2"}


def toy_keys(program: list[tuple[int, object]]) -> list[str]:
    seen: dict[int, int] = {}
    out = []
    for cpu, _ in program:
        number = seen[cpu] = seen.get(cpu, -1) + 1
        out.append(f"cpu{cpu}" + (f"_task{number}" if number else ""))
    return out


def narrated(toy: Toy, run: Run, program: list[tuple[int, object]], cpus: int, preempt: bool) -> list[Line]:
    narrator = Narrator(Replay(run.switches, run.forced), toy_keys(program))
    toy.run(program, narrator, cpus, preempt)       # type: ignore[arg-type]
    return narrator.end(m)


@pytest.mark.parametrize(("core", "cpus", "preempt"), [("fast", 3, False), ("fast", 2, True), ("up", 1, False), ("up", 1, True)])
def test_a_narrated_schedule_gives_the_same_digest_on_the_toy_kernel(core: str, cpus: int, preempt: bool) -> None:
    """The toy kernel sleeps, nests interrupts, tries locks and deadlocks, which the family's programs seldom do."""
    toy = Toy(programs.TOY, core=core)
    rng = random.Random(32)
    for _ in range(150):
        program = programs.random_program(rng, cpus=cpus)
        run = toy.run(program, Walk(rng, 0.3), cpus, preempt)
        lines = [parse(str(line)) for line in narrated(toy, run, program, cpus, preempt)]
        told = toy.trace(program, Named(lines, toy_keys(program)), cpus, preempt)
        assert told.facts == toy.replay(run, program, cpus, preempt).facts, (program, run.decisions, [str(line) for line in lines])


# ---- text ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", LINES)
def test_a_schedule_line_is_printed_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["", "cpu0", "cpu0 until", "cpu0 until before x", "cpu0 until during x in f", "cpu to the end",
                                  "irq on cpu0 until done",
                                  "cpu0 to the end ", "task0 to the end", "cpu0 until before x in f #"])
def test_a_text_that_is_no_schedule_line_gives_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"no schedule line: .* \(like ") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


# ---- following -------------------------------------------------------------------------------------------------------------

TOY = Toy(programs.TOY)
SECTIONS = [(0, [("section", 0)]), (1, [("work", 0)])]


def follow(*lines: str, program: list[tuple[int, object]] = SECTIONS, cpus: int | None = None) -> Run:         # type: ignore[assignment]
    return TOY.trace(program, Named([parse(line) for line in lines], toy_keys(program)), cpus)                 # type: ignore[arg-type]


def order(run: Run) -> list[str]:
    return [f"{event.task} {event.label}" for event in run.events if event.kind != points.LOCAL]


def test_a_line_with_before_stops_before_the_named_point() -> None:
    run = follow("cpu0 until before atomic_inc(A.count) in section", "cpu1 to the end")
    assert order(run) == ["0 lock A.lock", "0 write A.hint", "1 atomic_inc(A.count)", "0 atomic_inc(A.count)", "0 unlock A.lock"]


def test_a_line_with_after_stops_after_the_named_point() -> None:
    run = follow("cpu0 until after write A.hint in section", "cpu1 to the end", "cpu0 to the end")
    assert order(run) == ["0 lock A.lock", "0 write A.hint", "1 atomic_inc(A.count)", "0 atomic_inc(A.count)", "0 unlock A.lock"]


def test_the_number_of_a_point_counts_from_the_start_of_its_schedule_line() -> None:
    program = [(0, [("work", 0)] * 3), (1, [("flag", 0)])]
    run = follow("cpu0 until before atomic_inc(A.count) in work #2", "cpu1 until before mb in flag",
                 "cpu0 until before atomic_inc(A.count) in work", "cpu1 to the end", program=program)
    assert [text[0] for text in order(run)] == ["0", "1", "0", "1", "0"]


def test_after_the_last_schedule_line_no_task_is_preempted() -> None:
    run = follow("cpu1 to the end")
    assert run.preemptions == 0


def test_a_task_without_a_schedule_line_runs_when_no_other_task_can() -> None:
    assert [text[0] for text in order(follow("cpu1 to the end"))] == ["1", "0", "0", "0", "0"]


@pytest.mark.parametrize(("lines", "why"), [
    (["cpu0 until before atomic_inc(B.count) in section", "cpu1 to the end"], "cpu0 never reaches `atomic_inc\\(B.count\\)` in section"),
    (["cpu0 until before atomic_inc(A.count) in work", "cpu1 to the end"], "cpu0 never reaches `atomic_inc\\(A.count\\)` in work"),
    (["cpu0 until before atomic_inc(A.count) in section #2", "cpu1 to the end"], "in section #2"),
    (["cpu0 until before lock A.lock in section", "irq 0 on cpu1 until done"], "irq 0 on cpu1 cannot run here"),
])
def test_if_a_named_point_is_not_reached_the_run_has_diverged(lines: list[str], why: str) -> None:
    with pytest.raises(Diverged, match=why):
        follow(*lines)


def test_if_the_named_task_waits_for_a_lock_the_run_has_diverged() -> None:
    program = [(0, [("section", 0)]), (1, [("section", 0)]), (2, [("work", 1)])]
    with pytest.raises(Diverged, match="cpu1 cannot run here"):
        follow("cpu0 until before write A.hint in section", "cpu1 until blocked", "cpu2 until before atomic_inc(B.count) in work",
               "cpu1 to the end", program=program)


def test_if_the_point_of_the_last_line_is_not_reached_the_run_has_diverged() -> None:
    with pytest.raises(Diverged, match="cpu0 never reaches"):
        follow("cpu1 to the end", "cpu0 until before atomic_inc(C.count) in section", "cpu1 to the end")


def test_a_schedule_that_names_a_task_the_program_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="the schedule names cpu2, the program has cpu0, cpu1"):
        follow("cpu2 to the end")


def test_a_schedule_that_diverges_with_a_lock_held_does_not_change_the_next_run() -> None:
    runner = executor()
    program = random_program(random.Random(33), 2, 2)
    ready = prepared(program)
    assert ready is not None
    before = runner.trace(ready, NoPreempt()).digest
    labels = [event for event in runner.trace(ready, NoPreempt()).events if event.held]
    inside = labels[len(labels) // 2]
    key = program.keys()[inside.task]
    first = f"{key} until before {inside.label} in {inside.function}"
    with pytest.raises(Diverged):
        runner.run(ready, Named([parse(first), parse("irq 9 on cpu0 until done")], program.keys()))
    assert runner.trace(ready, NoPreempt()).digest == before
