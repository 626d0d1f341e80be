# SPDX-License-Identifier: MIT
"""The messages between the driver and its workers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from vmrace.fuzz.campaign.memory import Learnt, Memory
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.sampling.finder import Counts
from vmrace.harness.finding import is_only_told
from vmrace.variants.program import Program

RUNS_ENOUGH = 250           # a shard of a campaign begins no other program after so many runs ...
RUNS_PER_SHARD = 4_000      # ... and makes at most so many


@dataclass
class Lesson:
    """The lesson of a worker before a shard: it learns what the shards from number `since` on have learnt, in their order.

    The worker has learnt from those before `since`, or else replaces its memory by `memory`.
    """

    since: int = 0
    memory: Memory | None = None
    learnt: list[Learnt] = field(default_factory=list)

    @property
    def programs(self) -> list[Program]:
        """The programs that were kept by then, in their order."""
        known = self.memory.kept if self.memory is not None else []
        return [one.program for one in (*known, *(kept for learnt in self.learnt for kept in learnt.kept))]


@dataclass
class ShardTask:
    """One part of a campaign, for a worker: at most `runs` runs in at most `seconds` seconds, with random numbers from `seed` and
    `number`. After `enough` runs, it begins no other program.

    Titles in `known`, or in the memory, cause no hit. `programs` are programs of the user's inputs. If `kept` is given, the shard ends
    at the first title outside it, unless that is a RACE.
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
    enough: int = sys.maxsize
    lesson: Lesson = field(default_factory=Lesson)

    def ends_with(self, hits: Iterable[Hit]) -> bool:
        """True if one of the hits ends the shard: its title is not in `kept`."""
        return self.kept is not None and any(hit.title not in self.kept and not is_only_told(hit.title) for hit in hits)


@dataclass
class ShardResult(Counts):
    """The counts and hits of one shard, `number`.

    `left_open` counts the runs with each kind of load that was not judged. `learnt` is for later shards; `kept` holds the programs that
    it keeps for the first time. `late`: the time limit ended the shard. `error` is an error of vmrace that ended the shard early; the
    rest is what was found before it.
    """

    number: int = field(kw_only=True)
    learnt: Learnt = field(default_factory=Learnt)
    kept: list[Program] = field(default_factory=list)
    late: bool = False
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
