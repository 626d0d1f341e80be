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

KEPT_MAX = 400              # programs a worker keeps


@dataclass
class Kept:
    """A program worth more: the blocks it reaches, the runs to breed from, and how often it was picked since."""

    program: Program
    blocks: array[int]          # a set of so many takes thirty times the room
    schedules: list[Bred]
    picks: int = 0


class Worker:
    """The state of a worker process from shard to shard: its images, its features, its programs."""

    def __init__(self, family_name: str, variant: str):
        made = family(family_name)
        self.fast = Executor(made, variant, probes=True)
        self.checked = Executor(made, variant, checked=True)
        self.operations = self.fast.operations()
        self.features = Features()
        self.states = States()
        self.kept: list[Kept] = []
        self.seen: set[int] = set()             # hashes of every program kept here or handed over

    def add(self, one: Kept) -> None:
        """Keep a program; over the limit, one of the older ones that reaches only what most do goes."""
        self.kept.append(one)
        if len(self.kept) > KEPT_MAX:
            self.kept.remove(max(self.kept[: KEPT_MAX // 2], key=lambda other: self.features.rarity(other.blocks)))
