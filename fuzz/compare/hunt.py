# SPDX-License-Identifier: MIT
"""A short campaign on one variant, in this process, that begins with nothing: the programs that it generates, and its first failures."""

from __future__ import annotations

from vmrace.fuzz.campaign.messages import ShardTask
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.run.hit import Hit


def hunt(family: str, variant: str, seed: int, runs: int) -> tuple[list[Hit], int, str]:
    """Run a campaign of `runs` runs. Returns the first hit of each title, the number of runs, and an error of vmrace or an empty text."""
    result = run_shard(ShardTask(family, variant, seed, 0, runs, 1e9))
    return result.hits, result.runs, result.error
