# SPDX-License-Identifier: MIT
"""How long a campaign explores a program, and which of its runs count as distinct."""

from __future__ import annotations

from dataclasses import replace

from vmrace.fuzz.campaign.effort import LEAST, ROUND, ROUNDS, ROUNDS_BLOCK, ROUNDS_MAX, SHARE, Effort, Yields
from vmrace.fuzz.campaign.messages import Lesson, ShardResult, ShardTask
from vmrace.fuzz.campaign.shard import EXHAUST_MAX, EXPLORED, _Shard, run_shard
from vmrace.fuzz.campaign.worker import Worker
from vmrace.fuzz.run.executor import Executor, Outcome
from vmrace.fuzz.run.exhaustive import Explorer
from vmrace.fuzz.sampling.classes import Classes
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.variants.family import family
from vmrace.variants.program import Op, Program, TaskProgram

PROGRAM = Program((Op("store", ("m0.0",)),), (TaskProgram(0, (Op("load", ("m0.0",)),)), TaskProgram(1, (Op("dontneed", ("m0.0",)),))), 2)


def effort(*new: int, blocks: int = 0, least: float = 0.25) -> Effort:
    """Return the effort after rounds with so many new classes, of which the first `blocks` reached a new block."""
    made = Effort(least)
    for number, one in enumerate(new):
        made.add(one, number < blocks, False)
    return made


def test_a_program_whose_runs_have_no_new_class_is_left_after_a_round() -> None:
    assert effort(0).over and effort(0).spent


def test_a_program_with_new_classes_is_left_after_its_rounds_and_is_not_spent() -> None:
    most = [ROUND] * ROUNDS
    assert not effort(*most[:-1]).over
    assert effort(*most).over and not effort(*most).spent


def test_a_new_block_is_worth_more_rounds_up_to_a_limit() -> None:
    most = [ROUND] * ROUNDS
    assert not effort(*most, blocks=ROUNDS).over
    assert effort(*most, *[ROUND] * ROUNDS_BLOCK, blocks=ROUNDS).over
    assert effort(*[ROUND] * ROUNDS_MAX, blocks=ROUNDS_MAX).over


def test_a_program_is_left_if_it_yields_less_than_half_of_what_programs_yield_in_the_campaign() -> None:
    rich = Yields(1000, 800)
    assert rich.least == SHARE * 0.8
    assert Yields(1000, 10).least == LEAST
    assert effort(3, 3, least=rich.least).over and not effort(4, 4, least=rich.least).over


def test_the_classes_of_all_runs_with_few_preemptions_are_those_of_an_exploration() -> None:
    found = Explorer(family("lru_free_2_4"), "pre_patch").explore(PROGRAM)
    executor = Executor(family("lru_free_2_4"), "pre_patch")
    prepared = executor.prepare(PROGRAM)
    classes = Classes(prepared.image, [0, 1], False, False)

    def run(scheduler: Scheduler) -> Outcome:
        with classes.logged():
            return executor.run(prepared, scheduler)

    new = [classes.is_new(outcome) for outcome in every_schedule(run, 4)]
    assert found.complete and sum(new) == found.classes == 24 < len(new) / 100


def test_a_shard_counts_the_runs_of_a_new_class_and_the_replays() -> None:
    result = run_shard(ShardTask("lru_free_2_4", "daniel_lru_count", seed=3, number=0, runs=400, seconds=1e9))
    assert result.error == ""
    assert 100 <= result.distinct == sum(tally.distinct for tally in result.tallies.values()) < result.runs == 400
    assert result.checked_runs < result.replays < result.runs
    assert result.programs_run >= 5


def explored(program: Program) -> tuple[ShardResult, int, bool]:
    """What a shard finds that explores a program, the explorer's share of its runs, and whether the program is spent if it is kept."""
    worker = Worker("lru_free_2_4", "pre_patch")
    worker.begin(Lesson())
    made = _Shard(worker, ShardTask("lru_free_2_4", "pre_patch", seed=1, number=0, runs=1_000, seconds=600.0))
    made._program(program, [])
    assert sum(one.distinct for one in made.result.tallies.values()) == made.result.distinct
    return made.result, made.result.tallies.get(EXPLORED, Tally()).runs, all(one.spent for one in worker.kept)


def test_a_program_of_few_classes_is_run_about_once_for_each() -> None:
    apart = replace(PROGRAM, tasks=(TaskProgram(0, (Op("load", ("m0.0",)),)), TaskProgram(1, (Op("map", ("m1.1",)),))))
    for program in (apart, replace(apart, setup=())):
        result, runs, spent = explored(program)
        assert result.distinct == Explorer(family("lru_free_2_4"), "pre_patch").explore(program).classes
        assert result.distinct <= runs <= EXHAUST_MAX and spent
        assert result.runs - result.replays <= runs + 6                 # six without preemption, and none at random


def test_a_program_of_more_classes_is_sampled() -> None:
    many = replace(PROGRAM, tasks=(PROGRAM.tasks[0], TaskProgram(1, (Op("reclaim"),))))
    for program in (PROGRAM, many):
        result, runs, _ = explored(program)
        assert runs in (0, EXHAUST_MAX) and result.runs > runs + ROUND
