# SPDX-License-Identifier: MIT
"""The messages between the driver and its workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.sampling.finder import Counts
from vmrace.harness.finding import is_only_told
from vmrace.variants.program import Program

RUNS_PER_SHARD = 20_000


@dataclass
class ShardTask:
    """One part of a campaign, for a worker: at most `runs` runs in at most `seconds` seconds, with random numbers from `seed` and
    `number`.

    Titles in `known` cause no hit. `programs` are programs kept by other workers. If `kept` is given, the shard ends at the first title
    outside it, unless that is a RACE.
    """

    family: str
    variant: str
    seed: int
    number: int
    runs: int = RUNS_PER_SHARD
    seconds: float = 3.0
    known: frozenset[str] = frozenset()
    programs: list[Program] = field(default_factory=list)
    kept: frozenset[str] | None = None

    def ends_with(self, hits: Iterable[Hit]) -> bool:
        """True if one of the hits ends the shard: its title is not in `kept`."""
        return self.kept is not None and any(hit.title not in self.kept and not is_only_told(hit.title) for hit in hits)


@dataclass
class ShardResult(Counts):
    """The counts and hits of one shard, `number`.

    `left_open` counts the runs with each kind of load that was not judged. `features` and `blocks` are the worker's totals. `kept` holds
    programs for other workers. `error` is an error of vmrace that ended the shard early; the rest is what was found before it.
    """

    number: int = field(kw_only=True)
    features: int = 0
    blocks: int = 0
    kept: list[Program] = field(default_factory=list)
    left_open: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def check(self, task: ShardTask) -> None:
        """Assert that the counts can be those of `task`: a wrong one would end up in the campaign's summary and its error bound."""
        assert self.number == task.number, f"a result of shard {self.number} for shard {task.number}"
        assert self.runs <= task.runs, f"{self.runs} runs in a shard of {task.runs}"
        assert self.distinct <= self.runs, f"{self.distinct} distinct runs of {self.runs}"
        assert self.checked_runs <= self.runs, f"{self.checked_runs} checked runs of {self.runs}"
        assert self.limit_runs <= self.runs, f"{self.limit_runs} runs of {self.runs} hit the limit of steps"
        by_kind = sum(tally.runs for tally in self.tallies.values())
        assert by_kind <= self.runs, f"the kinds of schedules have {by_kind} runs, the shard {self.runs}"
        for hit in self.hits:
            assert hit.title in self.titles, f"{hit.title!r} has a hit but no run"
            assert hit.title not in task.known, f"{hit.title!r} is known, so it is no hit"
