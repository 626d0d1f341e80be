# SPDX-License-Identifier: MIT
"""The sweeps of a campaign: for each state of pages the pairs of operations that conflict there, and those of them that have run.

A sweep takes one state. Each operation runs alone from there, and its accesses to the pages in that state are recorded. Two operations are
a pair if they access one field of such a page, one of them stores, and no lock is common to both accesses. There are few such pairs: about
75 in a state of lru_free_2_4, of 990 pairs of operations. sweeping.py runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

from vmrace.fuzz.campaign.accesses import conflict
from vmrace.fuzz.campaign.facts import Fact
from vmrace.fuzz.campaign.start_states import Setup
from vmrace.variants.program import Op

TIMES = 2               # tries of a preemption at one site for a pair of operations, in whatever states, before a state is swept again

Pair = tuple[Op, Op]
Preemption = tuple[str, str]        # the site at which the one task is preempted, and the names of both operations


def pairs_of(alone: Sequence[tuple[Op, frozenset[Fact]]]) -> Iterator[Pair]:
    """Yield the pairs of operations that conflict; `alone`: the accesses of each."""
    for (one, mine), (other, theirs) in combinations_with_replacement(alone, 2):
        if conflict(mine, theirs):
            yield one, other


@dataclass
class SweepsLearnt:
    """New knowledge of sweeps: for each state that a sweep began with its setup and its pairs; and the pairs that ran, each with the
    preemptions that were tried."""

    begun: list[tuple[str, Setup, tuple[Pair, ...]]] = field(default_factory=list)
    ran: list[tuple[str, Pair, list[Preemption]]] = field(default_factory=list)


class Sweeps:
    """The sweeps of a campaign. If `news` is not None, everything that is new is added to it as well.

    `left` maps each state to the pairs that have not run, and `begun` to all setups that a sweep of it has begun with. A copy shares the
    tuples.
    """

    def __init__(self) -> None:
        self.left: dict[str, tuple[Pair, ...]] = {}
        self.begun: dict[str, tuple[Setup, ...]] = {}
        self.ran = 0
        self.preempted: dict[Preemption, int] = {}
        self.news: SweepsLearnt | None = None

    def copy(self) -> Sweeps:
        """Return a copy that collects news."""
        made = Sweeps()
        made.left, made.begun = dict(self.left), dict(self.begun)
        made.ran, made.preempted = self.ran, dict(self.preempted)
        made.news = SweepsLearnt()
        return made

    def add(self, learnt: SweepsLearnt) -> None:
        """Add what a copy has learnt."""
        for state, setup, pairs in learnt.begun:
            self.begin(state, setup, pairs)
        for state, pair, preempted in learnt.ran:
            self.run(state, pair, preempted)

    def begin(self, state: str, setup: Setup, pairs: tuple[Pair, ...]) -> None:
        """Record the pairs of a state after a setup. If pairs of that state are left, another shard was first, and its pairs count."""
        if not self.left.get(state) and setup not in self.begun.get(state, ()):
            self.left[state] = pairs
            self.begun[state] = (*self.begun.get(state, ()), setup)
            if self.news is not None:
                self.news.begun.append((state, setup, pairs))

    def run(self, state: str, pair: Pair, preempted: Sequence[Preemption]) -> None:
        """Record that a pair has run with these preemptions. Another shard, which did not know of this one, may have run it, too."""
        before = self.left[state]
        self.left[state] = tuple(one for one in before if one != pair)
        self.ran += len(before) - len(self.left[state])
        for one in preempted:
            self.preempted[one] = self.preempted.get(one, 0) + 1
        if self.news is not None:
            self.news.ran.append((state, pair, list(preempted)))

    def worth(self, one: Preemption, state: str) -> bool:
        """True if a preemption was tried less than TIMES for each setup with which a sweep of a state has begun: in later sweeps of it, it
        is made again."""
        return self.preempted.get(one, 0) < TIMES * max(1, len(self.begun.get(state, ())))

    def queue(self, seen: Mapping[str, int], short: bool = False) -> list[tuple[str, Pair]]:
        """List the pairs that have not run, those of the most promising state first: few setups reach it, and it has few pairs left. With
        `short`, it is first the state with the shortest setup. `seen`: the setups that reach each state."""
        states = sorted(self.left, key=lambda state: (len(self.setup(state)) if short else 0, seen[state] * len(self.left[state]), state))
        return [(state, pair) for state in states for pair in self.left[state]]

    def setup(self, state: str) -> Setup:
        """Return the setup from which the pairs of a state run; () if no sweep of it has begun."""
        return self.begun.get(state, ((),))[-1]

    def other(self, state: str, setups: Iterable[Setup]) -> list[Setup]:
        """List the setups with which a sweep of a state may begin: none while pairs are left, and none that it has begun with."""
        return [] if self.left.get(state) else [setup for setup in setups if setup not in self.begun.get(state, ())]

    @property
    def waiting(self) -> int:
        """The pairs that are known and have not run."""
        return sum(map(len, self.left.values()))
