# SPDX-License-Identifier: MIT
"""The state that a worker process keeps from shard to shard."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from vmrace.fuzz.campaign.start_states import States
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.sampling.coverage import Features
from vmrace.harness.schedulers.mutate import Bred
from vmrace.variants.family import family
from vmrace.variants.program import Program

KEPT_MAX = 400              # programs that a worker keeps


@dataclass
class Kept:
    """A program worth more schedules: the blocks that it reaches, runs to make schedules from, and the times it was picked since."""

    program: Program
    blocks: array[int]          # a set of the same numbers takes thirty times the memory
    schedules: list[Bred]
    picks: int = 0


class Worker:
    """The images, the coverage and the kept programs of a worker process, for one variant."""

    def __init__(self, family_name: str, variant: str):
        made = family(family_name)
        self.fast = Executor(made, variant, probes=True)
        self.checked = Executor(made, variant, checked=True)
        self.operations = self.fast.operations()
        self.features = Features()
        self.states = States()
        self.kept: list[Kept] = []
        self.seen: set[int] = set()             # hashes of the programs kept here or received from other workers

    def add(self, one: Kept) -> None:
        """Keep a program. Over the limit, drop the one of the older half whose rarest block is the least rare."""
        self.kept.append(one)
        if len(self.kept) > KEPT_MAX:
            self.kept.remove(max(self.kept[: KEPT_MAX // 2], key=lambda other: self.features.rarity(other.blocks)))
