# SPDX-License-Identifier: MIT
"""The replay that finds the places of a kept run also reaches blocks of kernel source. The next run must get no credit for them."""

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
