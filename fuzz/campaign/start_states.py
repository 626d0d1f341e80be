# SPDX-License-Identifier: MIT
"""Start states: the states of pages when the tasks start, and the pairs of operations that have run from there.

A page's state is the family's description of it, without its name. Random setups reach a few states all the time, and others once in
thousands or never. Setups therefore grow from setups, as in Go-Explore (Nature 2021). A state is picked, a rare one as often as a common
one; a setup that reaches it gets an operation or two more; each new state that this reaches can be picked from then on. A word of the
descriptions is picked first, then a state with that word: otherwise the many states of files would outnumber those of swap. This runs
only the setup, which takes as long as one or two schedules.

A program tries its triples (state, operation of one task, operation of another). Among several candidates, the one with most untried
triples is run. A program whose triples are all well known is not explored in full.

A state is that of a single page. An alternative was tried and dropped: a state of all pages together (the number of free ones, of those
on the LRU, of dirty ones ...). Setups then come down to two free pages, which they never do otherwise, and some campaigns reach the slow
path of the allocator (771 of the 1,070 blocks of lru_free_2_4/pre_patch instead of 760, in 150,000 runs; medians of six seeds). But the
many new triples draw the programs away from states of single pages: the double free was found after 80,000 runs instead of 28,000. With
the new states used only to pick setups, two seeds of four did not find it at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from vmrace.variants.program import Op, Program

SETUPS_MAX = 6          # kept for each state, the shortest
KNOWN = 3               # programs after which a triple is well known
REMEMBERED = 20_000     # setups whose states are remembered

Setup = tuple[Op, ...]
Triple = tuple[str, str, str]


@dataclass
class StatesLearnt:
    """New knowledge about states: setups in the order in which they were met, and how many programs tried each triple."""

    setups: list[tuple[Setup, frozenset[str]]] = field(default_factory=list)
    met: dict[Triple, int] = field(default_factory=dict)


class States:
    """A memory of states, of the setups that reach them, and of the triples that programs tried.

    If `news` is not None, everything that is new is added to it as well. The lists of a copy are shared, and never changed in place.
    """

    def __init__(self) -> None:
        self.setups: dict[str, list[Setup]] = {}        # state -> the shortest setups that reach it
        self.seen: dict[str, int] = {}                  # state -> the setups that reached it
        self.words: dict[str, list[str]] = {}           # word -> the states with it
        self.reached: dict[Setup, frozenset[str]] = {}
        self.met: dict[Triple, int] = {}                # triple -> programs that tried it; at most KNOWN
        self.once_op: dict[Op, Op] = {}                 # each operation as one object, as many setups have the same ones
        self.once_states: dict[frozenset[str], frozenset[str]] = {}
        self.news: StatesLearnt | None = None

    def copy(self) -> States:
        """Return a copy that collects news."""
        made = States()
        made.setups, made.seen, made.words = dict(self.setups), dict(self.seen), dict(self.words)
        made.reached, made.met = dict(self.reached), dict(self.met)
        made.once_op, made.once_states = self.once_op, self.once_states
        made.news = StatesLearnt()
        return made

    def add(self, learnt: StatesLearnt) -> None:
        """Add what a copy has learnt."""
        for setup, states in learnt.setups:
            self._remember(setup, states)
        for triple, times in learnt.met.items():
            self.met[triple] = min(KNOWN, self.met.get(triple, 0) + times)

    def reach(self, setup: Setup, described: dict[str, str]) -> frozenset[str]:
        """Record that a setup leads to pages with these descriptions. Returns the states of the pages in use."""
        states = frozenset(few(text) for text in described.values() if "FREE" not in text) or frozenset([""])
        self._remember(setup, states)
        return states

    def _remember(self, setup: Setup, states: frozenset[str]) -> None:
        if setup in self.reached:
            return
        states = self.once_states.setdefault(states, states)
        setup = tuple([self.once_op.setdefault(op, op) for op in setup])
        if len(self.reached) >= REMEMBERED:
            del self.reached[next(iter(self.reached))]          # the oldest
        self.reached[setup] = states
        if self.news is not None:
            self.news.setups.append((setup, states))
        for state in sorted(states):            # the order of a set of texts differs from process to process
            self.seen[state] = self.seen.get(state, 0) + 1
            if state not in self.setups:
                for word in state.split() or [""]:
                    self.words[word] = [*self.words.get(word, ()), state]
            kept = self.setups.setdefault(state, [])
            if setup not in kept and (len(kept) < SETUPS_MAX or len(setup) < len(kept[-1])):
                self.setups[state] = sorted([*kept, setup], key=len)[:SETUPS_MAX]

    def meet(self, program: Program, described: dict[str, str]) -> bool:
        """Record that a program runs from the state with these descriptions. True if one of its triples is not well known yet."""
        fresh = False
        for triple in triples(self.reach(program.setup, described), program):
            count = self.met.get(triple, 0)
            if count < KNOWN:
                fresh = True
                self.met[triple] = count + 1
                if self.news is not None:
                    self.news.met[triple] = self.news.met.get(triple, 0) + 1
        return fresh

    def novelty(self, program: Program) -> float:
        """Return the number of triples that are not well known, per operation of the tasks; 0 if the setup is not remembered."""
        states = self.reached.get(program.setup)
        if states is None:
            return 0.0
        ops = sum(len(task.ops) for task in program.tasks)
        return sum(self.met.get(triple, 0) < KNOWN for triple in triples(states, program)) / (1 + ops)

    def setup(self, rng: random.Random) -> Setup:
        """Pick a setup: a random word of the descriptions, then a random state with it, then a random setup that reaches that state."""
        if not self.words:
            return ()
        word = rng.choice(list(self.words))
        return rng.choice(self.setups[rng.choice(self.words[word])])


def few(text: str) -> str:
    """Replace a description's leading count by 3 if it is more than 3, so that large counts are one state."""
    count, _, rest = text.partition(" ")
    return f"{min(int(count), 3)} {rest}" if count.isdigit() else text


def triples(states: frozenset[str], program: Program) -> Iterator[Triple]:
    """Yield the program's triples: each state with each pair of operations of different tasks."""
    pairs = sorted({
        (min(one.name, other.name), max(one.name, other.name))
        for task, rival in combinations(program.tasks, 2) for one in task.ops for other in rival.ops})
    for state in sorted(states):
        for one, other in pairs:
            yield state, one, other
