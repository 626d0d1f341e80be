# SPDX-License-Identifier: MIT
"""The messages between the driver and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.variants.program import Program

RUNS_PER_SHARD = 20_000


@dataclass
class ShardTask:
    """What to do: which variant, which part of the campaign, what is known already."""

    family: str
    variant: str
    seed: int
    number: int
    runs: int = RUNS_PER_SHARD
    seconds: float = 3.0
    known: frozenset[str] = frozenset()
    programs: list[Program] = field(default_factory=list)
    preempt: bool = False
    kept: frozenset[str] | None = None      # if given, the shard ends at the first title that is not among these nor only told


@dataclass
class ShardResult:
    number: int
    runs: int = 0
    distinct: int = 0
    programs_run: int = 0
    checked_runs: int = 0
    failing_runs: int = 0
    limit_runs: int = 0
    features: int = 0
    blocks: int = 0
    hits: list[Hit] = field(default_factory=list)
    kept: list[Program] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)
    error: str = ""             # of ours, which ended it before its time: what there is by then is in the rest
