# SPDX-License-Identifier: MIT
"""A short campaign on one variant, in this process, that begins with nothing: the programs that it generates, and its first failures."""

from __future__ import annotations

from vmrace.fuzz.campaign.memory import Learnt
from vmrace.fuzz.campaign.messages import RUNS_ENOUGH, RUNS_PER_SHARD, Lesson, ShardTask
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.hit import Hit


def hunt(family: str, variant: str, seed: int, runs: int) -> tuple[list[Hit], int, str]:
    """Run a campaign of `runs` runs. Returns the first hit of each title, the number of runs, and an error of vmrace or an empty text.

    Each of its shards knows what all before it have learnt.
    """
    hits: list[Hit] = []
    made, number, error = 0, 0, ""
    learnt: list[Learnt] = []
    while made < runs and not error and not stop_request.asked():
        most = min(RUNS_PER_SHARD, runs - made)
        result = run_shard(ShardTask(family, variant, seed, number, most, 1e9, enough=min(RUNS_ENOUGH, most),
                                     lesson=Lesson(max(0, number - 1), None, learnt)))
        hits += result.hits
        made, number, error, learnt = made + result.runs, number + 1, result.error, [result.learnt]
    return hits, made, error
