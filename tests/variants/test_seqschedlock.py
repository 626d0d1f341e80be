# SPDX-License-Identifier: MIT
"""Andrea's seqschedlock alone, on every schedule of small programs: SUCCESS at both ends of a read section is true.

SUCCESS means that no write section overlapped the read section. A read section runs from the end of read_seqschedlock() to the start
of read_seqschedunlock(), a write section likewise. The tests compare the counts of schedules with those of interleavings, so they fail
if a schedule is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, factorial
from typing import Any

import pytest
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.toy import Run, Toy

LOCK = "vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h"
SECTIONS = "tests.variants.kernels.sections"
BARE = "tests.variants.kernels.no_barriers"
AS_POSTED = Toy(LOCK, SECTIONS)
WITHOUT_BARRIERS = Toy(LOCK, SECTIONS, BARE)
SUCCESS, RACE, RUNNING = 0, 1, 2

Notes = list[tuple[Any, ...]]


def program(*calls: str) -> list[Any]:
    return [(cpu, [(call, cpu)]) for cpu, call in enumerate(calls)]


def schedules(kernel: Toy, tasks: Sequence[Any], preemptions: int = 99) -> list[Notes]:
    """Run every schedule, and return the log of each."""
    seen: list[Notes] = []

    def run(scheduler: Any) -> Run:
        out = kernel.run(tasks, scheduler)
        assert out.titles == []
        seen.append(list(kernel["log"].seen))
        assert (kernel["lock"].writers.counter, kernel["lock"].sequence.counter) == (0, sum("write" in call[0] for _, (call,) in tasks))
        return out
    for _ in every_schedule(run, preemptions):
        pass
    return seen


def results(notes: Notes) -> list[int]:
    """Return the code at the end of each read section that began with SUCCESS."""
    return [note[3] for note in notes if note[2] == "result"]


def fooled(notes: Notes) -> bool:
    """True if a write section overlapped a read section with SUCCESS at both ends."""
    open_writes: set[int] = set()
    open_reads: dict[int, bool] = {}            # reader -> True if a write section overlapped
    met: dict[int, bool] = {}
    for what, who, event, *state in notes:
        if what == "write":
            (open_writes.add if event == "begins" else open_writes.discard)(who)
            open_reads = dict.fromkeys(open_reads, True) if event == "begins" else open_reads
        elif event == "begins" and state == [SUCCESS]:
            open_reads[who] = bool(open_writes)
        elif event == "ends":
            met[who] = open_reads.pop(who)
        elif event == "result" and state == [SUCCESS] and met[who]:
            return True
    return False


# ---- alone -------------------------------------------------------------------------------------------------------------------


def alone(*calls: tuple[Any, ...]) -> Notes:
    run = AS_POSTED.run([(0, calls)], NoPreempt())
    assert run.titles == []
    return list(AS_POSTED["log"].seen)


def test_a_read_section_alone_succeeds_and_stores_nothing() -> None:
    before = AS_POSTED.image.boot
    run = AS_POSTED.run([(0, [("read_section", 0)])], NoPreempt())
    assert results(list(AS_POSTED["log"].seen)) == [SUCCESS]
    AS_POSTED["log"].seen = ()
    assert AS_POSTED.image.save() == before and run.titles == []


def test_the_counters_show_an_open_write_section_and_one_that_has_ended() -> None:
    assert alone(("write_seqschedlock", AS_POSTED["lock"]), ("read_section", 0)) == [("read", 0, "begins", RUNNING)]
    assert results(alone(("write_section", 0), ("read_section", 0))) == [SUCCESS]
    assert AS_POSTED["lock"].sequence.counter == 1


def test_the_codes_of_the_seqschedlock_have_the_numbers_of_the_header() -> None:
    assert [AS_POSTED[f"SEQSCHEDLOCK_{name}"] for name in ("SUCCESS", "WRITER_RACE", "WRITER_RUNNING")] == [SUCCESS, RACE, RUNNING]


def test_without_config_smp_there_is_no_seqschedlock() -> None:
    kernel = Toy(LOCK, SECTIONS, core="up")
    kernel.run([(0, [("write_seqschedlock", kernel["lock"]), ("read_section", 0)])], NoPreempt(), cpus=1)
    assert results(list(kernel["log"].seen)) == [SUCCESS]
    assert kernel["lock"].writers.counter == 0


# ---- every schedule ------------------------------------------------------------------------------------------------------------


def test_success_at_both_ends_means_that_no_write_section_overlapped() -> None:
    # A reader has 5 loads and one of its body, a writer 3 stores and 2: 7 and 6 segments in any order. A reader that sees at its
    # begin that a writer is running ends there, and has fewer; hence the bound and not the number.
    seen = schedules(WITHOUT_BARRIERS, program("read_section", "write_section"))
    assert comb(10, 4) < len(seen) <= comb(13, 6)
    assert not any(map(fooled, seen))
    codes = {code for notes in seen for code in results(notes)}
    assert codes == {SUCCESS, RACE, RUNNING}


def test_with_barriers_success_at_both_ends_means_that_no_write_section_overlapped() -> None:
    # 2 (3 + 2) points of an empty read section and 6 of an empty write section
    seen = schedules(AS_POSTED, program("empty_read_section", "empty_write_section"))
    assert 1000 < len(seen) <= comb(18, 7)
    assert not any(map(fooled, seen))


@pytest.mark.long
def test_two_writers_do_not_exclude_each_other_and_fool_no_reader() -> None:
    seen = schedules(WITHOUT_BARRIERS, program("empty_read_section", "empty_write_section", "empty_write_section"))
    assert 1000 < len(seen) <= factorial(14) // (factorial(6) * factorial(4) ** 2)
    assert not any(map(fooled, seen))
    orders = {tuple(note[1:3] for note in notes if note[0] == "write") for notes in seen}
    assert ((1, "begins"), (2, "begins"), (1, "ends"), (2, "ends")) not in orders       # an empty section ends where it began
    both = schedules(WITHOUT_BARRIERS, program("write_section", "write_section"))
    orders = {tuple(note[1:3] for note in notes) for notes in both}
    assert ((0, "begins"), (1, "begins"), (0, "ends"), (1, "ends")) in orders


def test_two_readers_do_not_disturb_each_other() -> None:
    seen = schedules(WITHOUT_BARRIERS, program("empty_read_section", "empty_read_section"))
    assert len(seen) == comb(12, 6)
    assert {tuple(results(notes)) for notes in seen} == {(SUCCESS, SUCCESS)}


def test_two_readers_and_two_writers_within_two_preemptions() -> None:
    tasks = program("read_section", "read_section", "write_section", "write_section")
    assert not any(map(fooled, schedules(WITHOUT_BARRIERS, tasks, preemptions=2)))


# ---- the order of the accesses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slip", ["writers_first", "sequence_first"])
def test_with_two_accesses_of_the_lock_exchanged_some_schedule_fools_a_reader(slip: str) -> None:
    kernel = Toy(LOCK, SECTIONS, BARE, f"tests.variants.kernels.{slip}")
    assert any(map(fooled, schedules(kernel, program("read_section", "write_section"))))


def test_the_second_load_of_the_sequence_only_saves_the_reader_work() -> None:
    kernel = Toy(LOCK, SECTIONS, BARE, "tests.variants.kernels.one_load")
    assert not any(map(fooled, schedules(kernel, program("read_section", "write_section"))))


def test_a_read_section_says_nothing_about_writers_after_its_end() -> None:
    """A fault that maps the page after read_seqschedunlock() may do so with a write section open, or after one."""
    seen = schedules(WITHOUT_BARRIERS, program("read_section", "write_section"))
    late = [notes for notes in seen if results(notes) == [SUCCESS] and notes[-1][0] == "write" and notes[0][0] == "read"]
    assert late and not any(map(fooled, late))
