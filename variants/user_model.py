# SPDX-License-Identifier: GPL-2.0-only
"""The user-visible model: the values that a load may return, independent of the kernel's code.

Each word of each page of an address space is a register, and so is each word of each page of a file. A history must be linearizable
(Herlihy and Wing, TOPLAS 1990): some order of all accesses to a register explains every load. In that order, accesses that did not
overlap keep their order, and each load returns the value of the last store before it. At a fork, the child's register gets a value that
the parent's register could have while the fork ran.

A register of a file has a second part, the values that its disk can hold: each value of the register since it was last written to disk
for certain, because the kernel may write a dirty page to disk at any time. An entry of the history has one of these kinds:

    load            The access returned the value of the register.
    store           The register got the value, by write(2) or in memory.
    mapped store    The same through a shared mapping of a file. Only msync moves the dirty bit of the pte to the page, so fsync alone
                    does not write the value for certain.
    direct store    The register and its disk got the value: a write with O_DIRECT, or a truncate, which stores 0.
    may             The register got the value at some time after the beginning of the access, or never: a device wrote through a pin
                    whose page another process may have by now, or a direct write failed after it had reached the disk.
    unknown         The register got a value that the interface leaves open; `value` is the reason, in words. The next store ends that.
    discard         The register may have got a value that its disk can hold: the page was dropped without a write.
    may discard     The same at some time after the beginning of the access: the page is read from disk again before it is next used.
    synced          The register's value was written to disk (fsync).
    msynced         The same, with the dirty bits of the ptes (msync).
    disk load       The access returned a value that the disk can hold, after a write of the dirty page (a read with O_DIRECT).
    moved           The register got a value that the word `value` of the same address space had meanwhile: mremap moved its page here.
    fork            The address space `who` was copied; `value` is the child.
    failed          An operation failed although its user gave no cause for that: `value` is the rest of the title.
    failed, dirty   The same, but a part of the file `who` that may not be on its disk yet is a cause.
    server          The server of a file changed it (close_to_open.py).
    rewrite         The page may have become dirty, and the register's value is the same: a store that failed half-way.

A store that begins after the end of a "may" or a "may discard" ends its doubt. A load of an unknown value is not judged by order. It may
still not return what only another process has stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from vmrace.harness.finding import Kind
from vmrace.variants.close_to_open import settled

GONE = "gone"           # the value that unmap stores: no load may return it
NEVER = float("-inf")   # a step before all others; those of a setup are negative
UNKNOWN = "unknown"     # the value of a register that the interface leaves open
INHERITED = "a load of memory that was moved, whose value a process inherited and the interface left open"
STORES = ("store", "mapped store", "direct store", "moved", "unknown")
VALUES = ("store", "mapped store", "direct store", "may")       # the kinds that give a register a value of the program
OPTIONAL = ("may", "may discard")
LOADS = ("load", "disk load")
DISK = frozenset(("may", "may discard", "discard", "disk load"))        # the kinds for which it matters what the disk can hold
IN_MEMORY = frozenset(("load", *STORES))                                # the kinds that are left if it does not matter
FAILED = ("failed", "failed, dirty")
JUDGED = frozenset(("load", "disk load", *FAILED))                      # the kinds that can be a finding
Access = tuple[str, Any, int, int]      # kind, value, first and last step
_SINCE_UNTIL = itemgetter(2, 3)         # of an access
Fork = tuple[int, int, int, int]        # parent, child, first and last step
Registers = dict[tuple[Any, Any], list[Access]]     # (address space or file, word) -> its accesses
State = tuple[Any, frozenset[Any], bool]            # value, what its disk can hold, True if only msync writes it for certain
After = Callable[[str, Any, Any, list[Access], int], Sequence[Any]]     # see _after


def judge(history: Sequence[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """Return (title, detail) for each register whose loads no order explains.

    An entry of the history is (kind, who, where, value, since, until). `who` is an address space or a file, `where` a word of it.
    """
    registers, forks = _registers(history)
    failed = not {entry[0] for entry in history}.isdisjoint(FAILED)
    out = _failures(history, registers) if failed else []
    loaded = {entry[1:3] for entry in history if entry[0] in LOADS}
    for register, accesses in registers.items():
        if register in loaded:
            who, where = register
            initial = _initial(registers, forks, who, where)
            if not linearizable(accesses, initial) or _foreign(who, accesses, initial, registers, forks):
                out.append(_explain(who, where, accesses, registers, forks))
    return out


def _stored(registers: Registers) -> dict[Any, set[tuple[Any, float]]]:
    """Map each value that was stored to the address spaces and files that have stored it, each with the first step of its store.

    NEVER stands for the step of a device: it may have written to pages that several address spaces have.
    """
    stored: dict[Any, set[tuple[Any, float]]] = defaultdict(set)
    for (who, _), accesses in registers.items():
        for kind, value, since, _ in accesses:
            if value and kind in VALUES:
                stored[value].add((who, NEVER if kind == "may" else since))
    return stored


def not_judged(history: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    """Return the reasons for which the model leaves loads of this history open: those of each unknown value that a load can follow."""
    registers, _ = _registers(history)
    return frozenset(reason for accesses in registers.values() for kind, reason, since, until in accesses if kind == "unknown"
                     and any(access[0] == "load" and access[3] >= since and not _stored_between(accesses, until, access[2])
                             for access in accesses))


def _stored_between(accesses: Sequence[Access], since: int, until: int) -> bool:
    return any(kind in STORES and begin > since and end < until for kind, _, begin, end in accesses)


def _failures(history: Sequence[tuple[Any, ...]], registers: Registers) -> list[tuple[str, str]]:
    """Return (title, detail) for each failure of an operation that nothing explains."""
    out = []
    for kind, who, where, what, since, until in history:
        dirty = kind == "failed, dirty" and any(_can_be_dirty(accesses, since, until) for (owner, (page, _)), accesses in registers.items()
                                                if owner == who and where in (None, page))
        if kind in FAILED and not dirty:
            out.append((Kind.USER.title(what), f"{name_of(who)}, steps {since}-{until}"))
    return out


def _can_be_dirty(accesses: Sequence[Access], since: int, until: int) -> bool:
    """True if a value stored to a register before the step `until` may not be on its disk at some time from the step `since` on.

    The failed access's own store is no cause: it goes to the disk, past the page cache.
    """
    written = {"store": ("synced", "msynced", "direct store"), "mapped store": ("msynced", "direct store"),
               "may": ("synced", "msynced", "direct store"), "rewrite": ("msynced", "direct store")}
    return any(begin <= until and (end >= since or (kind in written and not any(
                   done in written[kind] and end < first and last < since for done, _, first, last in accesses)))
               for kind, _, begin, end in accesses
               if (kind in written or kind == "direct store") and not (kind == "may" and (begin, end) == (since, until)))


def _registers(history: Sequence[tuple[Any, ...]]) -> tuple[Registers, list[Fork]]:
    """Return the accesses of each register, and the forks. The value of a "moved" is the values of which the register got one."""
    registers: Registers = defaultdict(list)
    forks: list[Fork] = []
    moves: list[tuple[int, int, Any, Any, int]] = []        # until, since, the target, the source, the number of the access to the target
    for kind, who, where, value, since, until in settled(history):
        if kind == "fork":
            forks.append((who, value, since, until))
        elif kind not in FAILED:
            if kind == "moved":
                moves.append((until, since, (who, where), (who, value), len(registers[who, where])))
            registers[who, where].append((kind, value, since, until))
    for until, since, target, source, number in sorted(moves, key=lambda move: move[0]):        # an earlier move of the source comes first
        values = admissible(registers.get(source, []), _initial(registers, forks, *source), since, until) - {GONE}
        reasons = [reason for kind, reason, begin, _ in registers.get(source, []) if kind == "unknown" and begin <= until]
        registers[target][number] = ("unknown", reasons[-1] if reasons else INHERITED, since, until) if UNKNOWN in values else (
            "moved", tuple(sorted(values)), since, until)
    return registers, forks


def _initial(registers: Registers, forks: list[Fork], who: int, where: Any) -> frozenset[Any]:
    """Return the values that a register can have at first."""
    birth = next((fork for fork in forks if fork[1] == who), None)
    if birth is None:
        return frozenset([0])
    parent, _, since, until = birth
    return admissible(registers.get((parent, where), []), _initial(registers, forks, parent, where), since, until)


def before(end: int, since: int, until: int) -> bool:
    """True if an access that ended at step `end` was over before the access from `since` to `until` began.

    An access that begins in the step in which another ends came after it: no other task ran between its beginning and its first point.
    """
    return end < since or end == since < until


def admissible(accesses: Sequence[Access], initial: Iterable[Any], since: int, until: int) -> frozenset[Any]:
    """Return the values that a load of the register between the steps `since` and `until` could return, UNKNOWN among them if the
    register's value can be unknown then."""
    stores = [access for access in accesses if access[0] in STORES]
    over = [later for later in stores if before(later[3], since, until)]
    out = {one for kind, value, begin, end in accesses if kind in STORES or kind == "may"
           if begin <= until and not any(before(end, later[2], later[3]) for later in over) for one in _values(kind, value)}
    if not over:
        out |= set(initial)
    return frozenset(out)


def _values(kind: str, value: Any) -> Iterable[Any]:
    """Return the values of which a store gives one to a register."""
    return (UNKNOWN,) if kind == "unknown" else value if kind == "moved" else (value,)


def linearizable(accesses: Sequence[Access], initial: Iterable[Any]) -> bool:
    """True if some order of these accesses explains each load, from one of the values `initial`."""
    if any(access[0] in DISK for access in accesses):
        return _explained(accesses, [(value, frozenset([value]), False) for value in initial], _after)
    return _explained([access for access in accesses if access[0] in IN_MEMORY], initial, _value_after)


def _explained(accesses: Sequence[Access], initial: Iterable[Any], after: After) -> bool:
    """Search the orders of accesses from the states `initial`: True if in one of them each access has a state after it."""
    ordered = sorted(accesses, key=_SINCE_UNTIL)
    if _in_order(ordered, initial, after):
        return True
    optional = sum(1 << n for n, access in enumerate(ordered) if access[0] in OPTIONAL)
    full = (1 << len(ordered)) - 1
    seen: set[tuple[int, Any]] = set()
    todo: list[tuple[int, Any]] = [(0, state) for state in initial]
    while todo:
        done, state = todo.pop()
        if done | optional == full:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        first_end = min(access[3] for n, access in enumerate(ordered) if not (done | optional) >> n & 1)
        for n, (kind, value, since, until) in enumerate(ordered):
            if done >> n & 1 or before(first_end, since, until):
                continue
            over = done | 1 << n
            if optional & ~done and kind in STORES:
                over |= sum(1 << k for k, doubt in enumerate(ordered) if doubt[0] in OPTIONAL and before(doubt[3], since, until))
            todo += [(over, new) for new in after(kind, value, state, ordered, optional & ~done)]
    return False


def _in_order(ordered: list[Access], initial: Iterable[Any], after: After) -> bool:
    """True if the order in which the accesses began explains each load. The search would find it, too; most histories need no other."""
    states = set(initial)
    for kind, value, *_ in ordered:
        states = {new for state in states for new in after(kind, value, state, ordered, 0)}
    return bool(states)


def _value_after(kind: str, operand: Any, value: Any, ordered: list[Access], doubts: int) -> tuple[Any, ...]:
    """Return the same as `_after` for accesses that do not reach the disk: of the state they need the value only."""
    if kind != "load":
        return tuple(_values(kind, operand))
    return (value,) if operand == value or value is UNKNOWN else ()


def _after(kind: str, operand: Any, state: State, ordered: list[Access], doubts: int) -> list[State]:
    """Return the states that a register can have after an access: none if a load cannot return its value. `doubts` marks each access
    of the kind "may" that can still take effect."""
    value, disk, mapped = state
    if kind == "load":
        return [state] if operand == value or value is UNKNOWN else []
    if kind in ("store", "may"):
        return [(operand, disk | {operand}, False)]
    if kind == "mapped store":
        return [(operand, disk | {operand}, True)]
    if kind == "direct store":
        return [(operand, frozenset([operand]), False)]
    if kind == "rewrite":
        return [(value, disk | {value}, True)]
    if kind in ("unknown", "moved"):
        return [(one, frozenset([one]), False) for one in _values(kind, operand)]
    if kind in ("discard", "may discard"):
        return [state, *((held, frozenset([held]), False) for held in disk if held != value)]
    if kind == "synced":
        return [state if mapped else (value, frozenset([value]), False)]
    if kind == "msynced":
        return [(value, frozenset([value]), False)]
    assert kind == "disk load", kind
    held = (disk if mapped else {value}) | {access[1] for n, access in enumerate(ordered) if doubts >> n & 1 and access[0] == "may"}
    return [state] if operand in held or UNKNOWN in held else []


def _ancestors(who: object, forks: list[Fork]) -> dict[object, float]:
    """Return an address space and those from which it descends, each with the last step at which it can have stored what this one has."""
    last: dict[object, float] = {who: float("inf")}
    found = True
    while found:
        found = False
        for parent, child, _, until in forks:
            step = min(until, last.get(child, NEVER))
            if step > last.get(parent, NEVER):
                last[parent], found = step, True
    return last


def _has_from(stores: Iterable[tuple[Any, float]], last: dict[object, float]) -> bool:
    """True if one of the stores is of an address space itself, or of an ancestor before the fork."""
    return any(owner in last and since <= last[owner] for owner, since in stores)


def _foreign(who: object, accesses: Sequence[Access], initial: Iterable[Any], registers: Registers, forks: list[Fork]) -> bool:
    """True if a load of an address space returned what only other address spaces have stored, or an ancestor after the fork. Any order
    that explains such a load has it return an unknown value."""
    if not isinstance(who, int) or (UNKNOWN not in initial and not any(access[0] == "unknown" for access in accesses)):
        return False
    last, stored = _ancestors(who, forks), _stored(registers)
    loaded = [stored[value] for kind, value, *_ in accesses if kind == "load" and value and value in stored]
    return any(not _has_from(stores, last) and all(isinstance(owner, int) for owner, _ in stores) for stores in loaded)


def _explain(who: int, where: Any, accesses: Sequence[Access], registers: Registers, forks: list[Fork]) -> tuple[str, str]:
    """Return the title and the detail of a register that no order explains, by the origin of the value loaded."""
    last, stored = _ancestors(who, forks), _stored(registers)
    for kind, value, since, until in accesses:
        if kind in LOADS and value and not _has_from(stored.get(value, ()), last):
            if value in stored:
                owners = " and ".join(sorted({name_of(one) for one, _ in stored[value]}))
                return (Kind.DATA.title("a load returns another address space's store"),
                        f"{name_of(who)}.{where}: {value} of {owners}, steps {since}-{until}")
            return Kind.DATA.title("a load returns what nobody stored"), f"{name_of(who)}.{where}: {value}, steps {since}-{until}"
    loads = "; ".join(f"{kind} {value} @{since}-{until}" for kind, value, since, until in accesses)
    return Kind.DATA.title("a load returns an old value"), f"{name_of(who)}.{where}: {loads}"


def name_of(who: object) -> str:
    """Return the name of an address space, given by its number, or of a file, given by its name."""
    return f"m{who}" if isinstance(who, int) else str(who)
