# SPDX-License-Identifier: MIT
"""The memory of a campaign: coverage, start states, facts, sweeps, kept programs and titles. A shard learns in a copy of it, and returns
what it learnt.

The knowledge of a campaign is the sum of what its shards have learnt, added in the order of their numbers. It is therefore the same in
every process that adds up the same shards, whichever process made their runs. Nothing here depends on the order of a set.
"""

from __future__ import annotations

import hashlib
import pickle
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vmrace.fuzz.campaign.effort import Yields
from vmrace.fuzz.campaign.facts import Facts, FactsLearnt
from vmrace.fuzz.campaign.start_states import States, StatesLearnt
from vmrace.fuzz.campaign.sweeps import Sweeps, SweepsLearnt
from vmrace.fuzz.sampling.coverage import Features
from vmrace.harness.schedulers.mutate import Bred
from vmrace.variants.program import Program

KEPT_MAX = 400              # programs that are kept
SEEN_MAX = 20 * KEPT_MAX    # programs whose keys are remembered


def key_of(program: Program) -> int:
    """Return a number that identifies a program in every process. The built-in hash() of a text differs from process to process."""
    return int.from_bytes(hashlib.blake2b(repr(program).encode(), digest_size=8).digest(), "big")


@dataclass
class Kept:
    """A program worth more schedules: the blocks that it reaches, and runs to make schedules from.

    The runs have no places, as these are objects of one process. A replay finds them again. `spent`: few of its classes were unseen when
    it was left, so it is not explored again, but changed.
    """

    program: Program
    blocks: array[int]          # a set of the same numbers takes thirty times the memory
    schedules: list[Bred]
    key: int
    spent: bool = False

    @staticmethod
    def of(program: Program, blocks: Iterable[int], schedules: Iterable[Bred], spent: bool = False) -> Kept:
        """Make the memory of a program."""
        return Kept(program, array("H", sorted(blocks)), [replace(one, places=None) for one in schedules], key_of(program), spent)


@dataclass
class Learnt:
    """The lessons of one shard: titles, pairs of accesses, blocks with the number of programs that reached each, states, facts, sweeps,
    programs that it kept or picked, and what the first rounds of programs yielded: runs, and those of a new class.

    `packed`: the same in bytes, if it came from another process. The driver hands every lesson on to the other workers, and to pickle one
    takes it longer than all its other work.
    """

    titles: list[str] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    reached: dict[int, int] = field(default_factory=dict)
    programs: int = 0
    states: StatesLearnt = field(default_factory=StatesLearnt)
    facts: FactsLearnt = field(default_factory=FactsLearnt)
    sweeps: SweepsLearnt = field(default_factory=SweepsLearnt)
    kept: list[Kept] = field(default_factory=list)
    picked: list[int] = field(default_factory=list)
    yields: tuple[int, int] = (0, 0)
    packed: bytes = field(default=b"", repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self.packed or pickle.dumps(vars(self)),)


def _unpacked(packed: bytes) -> Learnt:
    return Learnt(**{**pickle.loads(packed), "packed": packed})


class Memory:
    """The knowledge of a campaign. `seen` holds keys of programs that are kept, or were."""

    def __init__(self) -> None:
        self.features = Features()
        self.states = States()
        self.facts = Facts()
        self.sweeps = Sweeps()
        self.kept: list[Kept] = []
        self.seen: set[int] = set()
        self.picks: dict[int, int] = {}         # key of a kept program -> the times it was picked
        self.titles: set[str] = set()
        self.yields = Yields()
        self.news: Learnt | None = None         # in a copy: kept and picked programs

    def copy(self) -> Memory:
        """Return a copy in which a shard can learn."""
        made = Memory()
        made.features, made.states, made.facts = self.features.copy(), self.states.copy(), self.facts.copy()
        made.sweeps = self.sweeps.copy()
        made.kept, made.seen, made.picks, made.titles = list(self.kept), set(self.seen), dict(self.picks), set(self.titles)
        made.yields = replace(self.yields)
        made.news = Learnt()
        return made

    def add_yields(self, runs: int, new: int) -> None:
        """Add what the first rounds of a program have yielded."""
        self.yields = Yields(self.yields.runs + runs, self.yields.new + new)

    def keep(self, one: Kept) -> bool:
        """Keep a program. Over the limit, drop the one of the older half whose rarest block is the least rare. A program that was kept
        before only gets new blocks. Returns False for such a one."""
        if self.news is not None:
            self.news.kept.append(one)
        if one.key in self.seen:
            self.kept = [replace(other, blocks=one.blocks, spent=one.spent) if other.key == one.key else other for other in self.kept]
            return False
        if len(self.seen) > SEEN_MAX:
            self.seen.clear()
        self.seen.add(one.key)
        self.picks[one.key] = 0
        self.kept.append(one)
        if len(self.kept) > KEPT_MAX:
            most = max(range(KEPT_MAX // 2), key=lambda number: self.features.rarity(self.kept[number].blocks))
            self.picks.pop(self.kept.pop(most).key, None)
        return True

    def pick(self, key: int) -> None:
        """Record that a kept program was picked."""
        if self.news is not None:
            self.news.picked.append(key)
        if key in self.picks:                   # else it was dropped since
            self.picks[key] += 1

    def learnt_since(self, before: Memory, titles: Iterable[str]) -> Learnt:
        """Return what this copy has learnt since it was made of `before`; `titles` are the new ones."""
        assert self.news is not None and self.states.news is not None, "only a copy learns"
        assert self.facts.news is not None and self.sweeps.news is not None
        return Learnt(list(titles), changed(self.features.pairs, before.features.pairs),
                      increase(self.features.reached, before.features.reached), self.features.programs - before.features.programs,
                      self.states.news, self.facts.news, self.sweeps.news, self.news.kept, self.news.picked,
                      (self.yields.runs - before.yields.runs, self.yields.new - before.yields.new))

    def learn(self, learnt: Learnt) -> None:
        """Add what a shard has learnt."""
        features = self.features
        self.titles.update(learnt.titles)
        for pair in learnt.pairs:
            features.pair_count += not features.pairs[pair]
            features.pairs[pair] = 1
        for block, times in learnt.reached.items():
            features.reached[block] = features.reached.get(block, 0) + times
        features.programs += learnt.programs
        self.states.add(learnt.states)
        self.add_yields(*learnt.yields)
        self.facts.add(learnt.facts)
        self.sweeps.add(learnt.sweeps)
        for one in learnt.kept:
            self.keep(one)
        for key in learnt.picked:               # perhaps a program that the same shard kept before
            self.pick(key)


def increase(now: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    """Return the counts that are larger than before, each as the difference."""
    return {block: times - before.get(block, 0) for block, times in now.items() if times != before.get(block, 0)}


def changed(now: bytes | bytearray, before: bytes | bytearray) -> list[int]:
    """List the places at which two maps of the same size differ, ascending."""
    differ = (int.from_bytes(now, "big") ^ int.from_bytes(before, "big")).to_bytes(len(now), "big")
    out = []
    at = differ.find(1)
    while at >= 0:
        out.append(at)
        at = differ.find(1, at + 1)
    return out
