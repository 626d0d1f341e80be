# SPDX-License-Identifier: MIT
"""Sampled schedules of an entry's program, the same ones each time, and a digest of their runs.

The runs are a function of the program, the image, the schedulers and the seed. A certificate can therefore stand for them, as it can for
a proof (see fuzz/verify/sample_file). The hash of vmrace covers this file.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt, Pct, Walk

SAMPLE = 1000
SEED = 0


@dataclass(frozen=True)
class Sample:
    """The runs of sampled schedules, up to the first finding. `found` is the run that has it, None if all `runs` are ok. `digest` is over
    all runs."""

    found: Outcome | None
    runs: int
    digest: str


def run_sample(executor: Executor, prepared: Prepared, runs_max: int) -> Sample:
    """Run sampled schedules of a program, at most `runs_max`, up to the first finding."""
    assert runs_max >= 1, runs_max
    rng, digest = random.Random(SEED), hashlib.blake2b(digest_size=12)
    outcome = executor.run(prepared, NoPreempt())
    digest.update(_facts(outcome))
    schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, max(outcome.steps, 2)), Walk(rng, 0.2), Pct(rng, 3, max(outcome.steps, 2))]
    runs = 1
    while not outcome.findings and runs < runs_max:
        outcome = executor.run(prepared, schedulers[runs % len(schedulers)])
        digest.update(_facts(outcome))
        runs += 1
    return Sample(outcome if outcome.findings else None, runs, digest.hexdigest())


def _facts(outcome: Outcome) -> bytes:
    """Return the decisions of the run just made, its points, its loads and stores of user memory with their values and steps, and the
    results of its operations. A digest of its trace would need a recorder, and fifteen times as long."""
    results = [task.results for task in m.tasks]
    facts = outcome.switches, outcome.forced, outcome.steps, m.history, results, outcome.titles
    return json.dumps(facts, default=lambda other: type(other).__name__).encode()       # the repr of an object may hold its address
