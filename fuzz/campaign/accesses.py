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
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE, place_of
from vmrace.harness.sanitizers.lockdep import Lock

AND = " and "       # between the names of locks


class Accesses(Places):
    """A recorder of one run. `at` maps each fact to its steps. `named` is a cache for the objects of one image: it maps a load or store
    of a place under some locks to its fact."""

    def __init__(self, named: dict[Any, Fact]) -> None:
        super().__init__()
        self.named = named
        self.at: dict[Fact, list[int]] = {}
        self.made: dict[Any, dict[Fact, set[int]]] = {}         # place -> fact -> the tasks that made the access

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        super().__call__(kind, obj, arg)
        if kind not in (READ, WRITE, RMW):
            return
        me, place = m.current, place_of(obj, arg)
        key = kind == READ, place, me.held
        fact = self.named.get(key)
        if fact is None:
            fact = self.named[key] = _fact(kind, obj, arg, me.held.locks)
        self.at.setdefault(fact, []).append(m.step)
        self.made.setdefault(place, {}).setdefault(fact, set()).add(me.id - 100 * me.irq_depth)

    def together(self) -> Iterator[Goal]:
        """Yield the goals of which different tasks made the two accesses to one place."""
        for facts in self.made.values():
            if len(set().union(*facts.values())) > 1:
                for goal in pairs(facts):
                    if len(facts[goal[0]] | facts[goal[1]]) > 1:
                        yield goal


def _fact(kind: int, obj: Any, arg: Any, locks: Iterable[Lock]) -> Fact:
    return Fact(LOADED if kind == READ else STORED, _field(obj, arg), held=AND.join(sorted({lock.cls for lock in locks})))


def _field(obj: Any, arg: Any) -> str:
    """Name the field of an access, without the name of an instance: `page.mapping`, or `page.flags[4]` for a bit."""
    if isinstance(arg, str):
        return f"{type(obj).__name__}.{arg}"
    name = obj.name.rpartition(".")[2]
    owner = getattr(obj, "struct", None)
    whole = f"{type(owner).__name__}.{name}" if owner is not None else name
    return whole if arg is None or isinstance(arg, tuple) else f"{whole}[{arg}]"


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
