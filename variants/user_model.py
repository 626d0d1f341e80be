# SPDX-License-Identifier: GPL-2.0-only
"""The user-visible model: what a load may return, whatever the kernel did.

Each word of each page of each address space is a register, and each word of each page of a file. A history is judged as
linearizable: there must be an order of all accesses to a register, agreeing with the order of those that did not overlap, in
which each load returns what the last store before it wrote. Fork gives the child's register a value the parent's could have
had while the fork ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vmrace.harness.finding import Kind

GONE = "gone"           # what unmap stores: no load may return it
Access = tuple[str, Any, int, int]      # "load" or "store", value, since, until


def judge(history: Sequence[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """(title, detail) for each load that no order explains. Entries: (what, who, where, value, since, until)."""
    registers: dict[tuple[int, Any], list[Access]] = defaultdict(list)
    forks: list[tuple[int, int, int, int]] = []
    unjudged: set[tuple[int, Any]] = set()
    stored: dict[Any, set[Any]] = defaultdict(set)
    for what, who, where, value, since, until in history:
        if what == "fork":
            forks.append((who, value, since, until))
        elif what == "unjudged":
            unjudged.add((who, where))
        else:
            registers[who, where].append((what, value, since, until))
            if what == "store" and value:
                stored[value].add(who)
    if forks:
        unjudged |= {(child, where) for parent, child, *_ in forks for who, where in list(unjudged) if who == parent}
    out = []
    for (who, where), accesses in registers.items():
        if (who, where) in unjudged or not any(access[0] == "load" for access in accesses):
            continue
        initial = _initial(registers, forks, unjudged, who, where)
        if initial is not None and not linearizable(accesses, initial):
            out.append(_explain(who, where, accesses, stored, registers, forks))
    return out


def _initial(registers: Any, forks: Any, unjudged: Any, who: int, where: Any) -> frozenset[Any] | None:
    """The values the register can start with; None if the model does not know."""
    birth = next((fork for fork in forks if fork[1] == who), None)
    if birth is None:
        return frozenset([0])
    parent, _, since, until = birth
    if (parent, where) in unjudged:
        return None
    above = _initial(registers, forks, unjudged, parent, where)
    if above is None:
        return None
    return admissible(registers.get((parent, where), []), above, since, until)


def before(end: int, since: int, until: int) -> bool:
    """Was an access that ended at step `end` over before the one from `since` until `until` began? One that begins in the very
    step in which another ends came after it: between its beginning and its own first point nobody else ran."""
    return end < since or end == since < until


def admissible(accesses: Sequence[Access], initial: Iterable[Any], since: int, until: int) -> frozenset[Any]:
    """What a read of the register between `since` and `until` could return."""
    stores = [access for access in accesses if access[0] == "store"]
    out = {value for _, value, begin, end in stores
           if begin <= until and not any(end < later[2] and later[3] < since for later in stores)}
    if not any(end < since for _, _, _, end in stores):
        out |= set(initial)
    return frozenset(out)


def linearizable(accesses: Sequence[Access], initial: Iterable[Any]) -> bool:
    """Is there an order of these overlapping loads and stores that one register could have produced?"""
    ordered = sorted(accesses, key=lambda access: (access[2], access[3]))
    full = (1 << len(ordered)) - 1
    seen: set[tuple[int, Any]] = set()
    todo: list[tuple[int, Any]] = [(0, value) for value in initial]
    while todo:
        done, value = todo.pop()
        if done == full:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        first_end = min(access[3] for n, access in enumerate(ordered) if not done >> n & 1)
        for n, (what, wrote, since, until) in enumerate(ordered):
            if done >> n & 1 or before(first_end, since, until):
                continue
            if what == "store":
                todo.append((done | 1 << n, wrote))
            elif wrote == value:
                todo.append((done | 1 << n, value))
    return False


def _explain(who: int, where: Any, accesses: Sequence[Access], stored: dict[Any, set[Any]], registers: Any, forks: Any) -> tuple[str, str]:
    family = {who}
    while True:
        more = {parent for parent, child, *_ in forks if child in family} - family
        if not more:
            break
        family |= more
    for what, value, since, until in accesses:
        if what == "load" and value and not stored.get(value, set()) & family:
            if value in stored:
                owners = " and ".join(sorted(_name(one) for one in stored[value]))
                return (Kind.DATA.title("a load returns another address space's store"),
                        f"{_name(who)}.{where}: {value} of {owners}, steps {since}-{until}")
            return Kind.DATA.title("a load returns what nobody stored"), f"{_name(who)}.{where}: {value}, steps {since}-{until}"
    loads = "; ".join(f"{what} {value} @{since}-{until}" for what, value, since, until in accesses)
    return Kind.DATA.title("a load returns an old value"), f"{_name(who)}.{where}: {loads}"


def _name(who: Any) -> str:
    """An address space is known by its number, a file by its name."""
    return f"m{who}" if isinstance(who, int) else str(who)
