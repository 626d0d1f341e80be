# SPDX-License-Identifier: MIT
"""States: what the pages look like when the tasks start, and which pairs of operations have met there.

A page's state is the family's description of it, without its name. Random setups reach a few states all the time and others
once in thousands, or never: so setups grow from setups. A state is picked, rare ones as often as common ones, a setup that
reaches it gets an operation or two more, and whatever new state that reaches is picked from then on (as in Go-Explore,
Nature 2021). To pick evenly means: first a word, then a state with it, or the many states of files would drown those of swap.
Only the setup is run for that, which costs as much as a schedule or two.

What a program tries is its triples (state, operation of one task, operation of another). Of several candidates the one with
most triples not yet tried is run, and a program whose triples are all well known is not explored in full.

A state is of one page. Tried and not kept: states of all pages together, how many are free, on the LRU, dirty ... Setups then come
down to two free pages, which they never do otherwise, and reach the slow path of the allocator in some campaigns (of 1,070 blocks
of lru_free_2_4/pre_patch 771, not 760, in 150,000 runs; medians of six seeds). But the many new triples draw the programs away from
states of single pages: the double free came after 80,000 runs, not 28,000; and where the new states only served to pick setups, in two
seeds of four not at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from vmrace.variants.program import Op, Program

SETUPS_MAX = 6          # kept for each state, the shortest
KNOWN = 3               # programs after which a triple is well known
REMEMBERED = 20_000     # setups whose states are remembered

Setup = tuple[Op, ...]
Triple = tuple[str, str, str]


class States:
    def __init__(self) -> None:
        self.setups: dict[str, list[Setup]] = {}
        self.words: dict[str, list[str]] = {}           # word -> the states it occurs in
        self.reached: dict[Setup, frozenset[str]] = {}
        self.met: dict[Triple, int] = {}
        self.once: dict[Any, Any] = {}                  # operations and sets of states, each once: many setups have the same ones

    def reach(self, setup: Setup, described: dict[str, str]) -> frozenset[str]:
        """A setup was run and led here. Returns the states of the pages in use."""
        one_of = self.once.setdefault
        states = frozenset(_few(text) for text in described.values() if "FREE" not in text) or frozenset([""])
        states = one_of(states, states)
        setup = tuple([one_of(op, op) for op in setup])
        if len(self.reached) >= REMEMBERED:
            del self.reached[next(iter(self.reached))]          # the one that was met first
        self.reached[setup] = states
        for state in states:
            if state not in self.setups:
                for word in state.split() or [""]:
                    self.words.setdefault(word, []).append(state)
            kept = self.setups.setdefault(state, [])
            if setup not in kept and (len(kept) < SETUPS_MAX or len(setup) < len(kept[-1])):
                kept.append(setup)
                kept.sort(key=len)
                del kept[SETUPS_MAX:]
        return states

    def meet(self, program: Program, described: dict[str, str]) -> bool:
        """A program is about to run from this state. Is any of its triples not well known?"""
        fresh = False
        for triple in _triples(self.reach(program.setup, described), program):
            count = self.met.get(triple, 0)
            self.met[triple] = count + 1
            fresh = fresh or count < KNOWN
        return fresh

    def novelty(self, program: Program) -> float:
        """How much of what the program tries is not well known, for each operation it runs; 0 where its setup never ran."""
        states = self.reached.get(program.setup)
        if states is None:
            return 0.0
        ops = sum(len(task.ops) for task in program.tasks)
        return sum(self.met.get(triple, 0) < KNOWN for triple in _triples(states, program)) / (1 + ops)

    def setup(self, rng: random.Random) -> Setup:
        """A setup for a state: a word of the descriptions is picked evenly, then a state it occurs in."""
        if not self.words:
            return ()
        word = rng.choice(list(self.words))
        return rng.choice(self.setups[rng.choice(self.words[word])])


def _few(text: str) -> str:
    """A description with its leading count told as 0, 1, 2 or many: 3."""
    count, _, rest = text.partition(" ")
    return f"{min(int(count), 3)} {rest}" if count.isdigit() else text


def _triples(states: frozenset[str], program: Program) -> Iterator[Triple]:
    """What the program tries: each state with each pair of operations of different tasks."""
    pairs = {
        tuple(sorted((one.name, other.name)))
        for task, rival in combinations(program.tasks, 2) for one in task.ops for other in rival.ops}
    for state in states:
        for one, other in pairs:
            yield state, one, other
