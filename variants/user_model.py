# SPDX-License-Identifier: GPL-2.0-only
"""The user-visible model: the values that a load may return, independent of the kernel's code.

Each word of each page of an address space is a register, and so is each word of each page of a file. A history must be linearizable
(Herlihy and Wing, TOPLAS 1990): some order of all accesses to a register explains every load. In that order, accesses that did not
overlap keep their order, and each load returns the value of the last store before it. At a fork, the child's register gets a value that
the parent's register could have while the fork ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vmrace.harness.finding import Kind

GONE = "gone"           # the value that unmap stores: no load may return it
Access = tuple[str, Any, int, int]      # "load" or "store", value, first and last step
Fork = tuple[int, int, int, int]        # parent, child, first and last step
Registers = dict[tuple[Any, Any], list[Access]]     # (address space or file, word) -> its accesses


def judge(history: Sequence[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """Return (title, detail) for each register whose loads no order explains.

    An entry of the history is (what, who, where, value, since, until). `what` is "load", "store", "fork" (`value` is the child), or
    "unjudged", after which the register is not judged. `who` is an address space or a file, `where` a word of it.
    """
    registers: Registers = defaultdict(list)
    forks: list[Fork] = []
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
            out.append(_explain(who, where, accesses, stored, forks))
    return out


def _initial(registers: Registers, forks: list[Fork], unjudged: set[tuple[int, Any]], who: int, where: Any) -> frozenset[Any] | None:
    """Return the values that a register can have at first; None if the model does not know them."""
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
    """True if an access that ended at step `end` was over before the access from `since` to `until` began.

    An access that begins in the step in which another ends came after it: no other task ran between its beginning and its first point.
    """
    return end < since or end == since < until


def admissible(accesses: Sequence[Access], initial: Iterable[Any], since: int, until: int) -> frozenset[Any]:
    """Return the values that a load of the register between the steps `since` and `until` could return."""
    stores = [access for access in accesses if access[0] == "store"]
    out = {value for _, value, begin, end in stores
           if begin <= until and not any(end < later[2] and later[3] < since for later in stores)}
    if not any(end < since for _, _, _, end in stores):
        out |= set(initial)
    return frozenset(out)


def linearizable(accesses: Sequence[Access], initial: Iterable[Any]) -> bool:
    """True if some order of these loads and stores explains each load, from one of the values `initial`."""
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


def _explain(who: int, where: Any, accesses: Sequence[Access], stored: dict[Any, set[Any]], forks: list[Fork]) -> tuple[str, str]:
    """Return the title and the detail of a register that no order explains, by the origin of the value loaded."""
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


def _name(who: object) -> str:
    """Return the name of an address space, given by its number, or of a file, given by its name."""
    return f"m{who}" if isinstance(who, int) else str(who)
