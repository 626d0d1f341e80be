# SPDX-License-Identifier: MIT
"""The steps at which a preemption can matter are learnt from runs, and from replays of runs."""

import random

from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.finder import Counts, Door, Finder, executors
from vmrace.fuzz.sampling.portfolio import Sampling, portfolio
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.program import Op, Program, TaskProgram

PROGRAM = Program((), (TaskProgram(0, (Op("store", ("m0.0",)),)), TaskProgram(1, (Op("reclaim", ()),))), 2)


class Runs(Finder):
    def __init__(self, fast: Executor, checked: Executor):
        super().__init__(fast, checked, Counts(), set())

    def over(self) -> bool:
        return False

    def spend(self) -> None:
        self.counts.runs += 1


def test_the_run_after_a_replay_gets_no_credit_for_its_blocks() -> None:
    """The replay that finds the places of a kept run also reaches blocks of kernel source."""
    finder = Runs(*executors("lru_free_2_4", "pre_patch"))
    prepared = finder.fast.prepare(PROGRAM)
    door = Door(finder, PROGRAM, prepared, Features())
    rng = random.Random(1)
    door.sampling = Sampling(rng, portfolio(rng), 2, PROGRAM.size, door, [])
    ran = door.run("nopreempt", NoPreempt())
    prepared.image.probes[:] = bytes(len(prepared.image.probes))
    door.places(ran)
    assert door.covered > 0
    assert door.shows("nopreempt", door.run("nopreempt", NoPreempt())) == 0


DOUBLE_FREE = Program((Op("store", ("m0.0",)), Op("shrink_cache", ("1",)), Op("reclaim", ()), Op("shrink_cache", ("1",))),
                      (TaskProgram(0, (Op("shrink_cache", ("1",)),)), TaskProgram(1, (Op("map", ("m0.0",)),))), 2)


def test_an_object_that_no_run_without_preemption_contends_for_gets_children_once_another_run_does() -> None:
    """Both tasks touch the count of a page, but the second one only if an interrupt has unlocked the page before. One of 228 classes with
    at most one preemption has the double free. It is one of 248 children, if the right task goes on after the interrupt: a chance of a half
    for each seed. It is none of the 75 children that are listed at first."""
    images = executors("lru_free_2_4", "pre_patch")
    prepared = images[0].prepare(DOUBLE_FREE)
    titles: set[str] = set()
    for seed in range(10):
        finder = Runs(*images)
        door = Door(finder, DOUBLE_FREE, prepared, Features())
        rng = random.Random(seed)
        door.sampling = sampling = Sampling(rng, portfolio(rng), 2, DOUBLE_FREE.size, door, [])
        sampling.leads()
        listed, before = sum(len(base.children) for base, _ in sampling.bases), finder.counts.runs
        sampling.children()
        assert finder.counts.runs - before > 2 * listed
        titles |= {*finder.counts.titles}
    assert "double free in __free_pages_ok" in titles
