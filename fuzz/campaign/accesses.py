# SPDX-License-Identifier: MIT
"""Facts about accesses: a field is loaded or stored under some locks. Two of them are a goal if one stores and no lock is common to both.

In a campaign of 20,000 runs, hundreds of such pairs are never made by two tasks of one program, so no schedule can show their race.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Iterator
from typing import Any

from vmrace.fuzz.campaign.facts import LOADED, STORED, Fact, Facts, Goal
from vmrace.fuzz.sampling.contention import Places
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers.lockdep import Lock

AND = " and "       # between the names of locks


class Accesses(Places):
    """A recorder of one run. `named` is a cache for the objects of one image: it maps a load or store of a place under some locks to its
    fact. The rest is to be asked after the run."""

    def __init__(self, named: dict[Any, Fact]) -> None:
        super().__init__()
        self.named = named

    @functools.cached_property
    def made_facts(self) -> list[tuple[Any, Fact, list[int], set[int]]]:
        """The place of each load and store, its fact, its steps, and the tasks that made it."""
        out = []
        for (place, held, kind), (steps, tasks) in self.made.items():
            if kind in (READ, WRITE, RMW):
                key = place, held, kind == READ
                fact = self.named.get(key)
                if fact is None:
                    fact = self.named[key] = _fact(kind, place, held.locks)
                out.append((place, fact, steps, tasks))
        return out

    @functools.cached_property
    def at(self) -> dict[Fact, list[int]]:
        """The steps of each fact."""
        out: dict[Fact, list[int]] = {}
        for _, fact, steps, _ in self.made_facts:
            out.setdefault(fact, []).extend(steps)
        return {fact: sorted(steps) for fact, steps in out.items()}

    @property
    def seen(self) -> list[Fact]:
        """List the facts, in the order of their first accesses."""
        return list(dict.fromkeys(fact for _, fact, _, _ in self.made_facts))

    def together(self) -> Iterator[Goal]:
        """Yield the goals of which different tasks made the two accesses to one place."""
        places: dict[Any, dict[Fact, set[int]]] = {}
        for place, fact, _, tasks in self.made_facts:
            if len(self.objects[place].tasks) > 1:
                places.setdefault(place, {}).setdefault(fact, set()).update(tasks)
        for facts in places.values():
            for goal in pairs(facts):
                if len(facts[goal[0]] | facts[goal[1]]) > 1:
                    yield goal


def _fact(kind: int, place: Any, locks: Iterable[Lock]) -> Fact:
    return Fact(LOADED if kind == READ else STORED, _field(place), held=AND.join(sorted({lock.cls for lock in locks})))


def _field(place: Any) -> str:
    """Name the field of an access, without the name of an instance: `page.mapping`, or `page.flags[4]` for a bit."""
    obj, arg = place if isinstance(place, tuple) else (place, None)
    if isinstance(arg, str):
        return f"{type(obj).__name__}.{arg}"
    name = obj.name.rpartition(".")[2]
    owner = getattr(obj, "struct", None)
    whole = f"{type(owner).__name__}.{name}" if owner is not None else name
    return whole if arg is None else f"{whole}[{arg}]"


@functools.cache
def _locks(held: str) -> frozenset[str]:
    return frozenset(held.split(AND) if held else ())


def pairs(facts: Iterable[Fact]) -> Iterator[Goal]:
    """Yield the goals among accesses to one field."""
    listed = sorted(facts)
    for number, one in enumerate(listed):
        for other in listed[number:]:
            if _race(one, other):
                yield one, other


def conflict(mine: Iterable[Fact], theirs: Iterable[Fact]) -> bool:
    """True if an access of the one to a field and one of the other to the same field are a goal."""
    return any(one.what == other.what and _race(one, other) for one in mine for other in theirs)


def _race(one: Fact, other: Fact) -> bool:
    """True if one of two accesses to one field stores, and no lock is common to both."""
    return STORED in (one.kind, other.kind) and _locks(one.held).isdisjoint(_locks(other.held))


def choose(facts: Facts, rng: random.Random) -> Goal | None:
    """Choose a goal that no program has shown and no composition was tried for: of a random field, a random one. None if there is none."""
    fields: dict[str, list[Fact]] = {}
    for fact in facts.witnesses:
        if fact.kind in (LOADED, STORED):
            fields.setdefault(fact.what, []).append(fact)
    names = list(fields)
    rng.shuffle(names)
    for name in names:
        goals = [goal for goal in pairs(fields[name]) if goal not in facts.met and goal not in facts.tried]
        if goals:
            return rng.choice(goals)
    return None
