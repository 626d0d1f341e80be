# SPDX-License-Identifier: MIT
"""Watched containers know under which locks they are used: each behaves as the plain kind, and counts every use."""

from __future__ import annotations

import collections
import copy
import json
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import Task
from vmrace.harness.sanitizers.lockdep import Lockdep
from vmrace.harness.user_data.watched import KINDS, count_of, is_watched, locks_of, uses, watched

MAKES: list[Callable[[], Any]] = [
    lambda: [3, 1, 2], lambda: {"a": 1, "b": 2}, lambda: collections.deque([1, 2], 3),
    lambda: collections.OrderedDict(a=1, b=2), lambda: collections.Counter("aab"), lambda: collections.defaultdict(list, a=[1])]
IDS = [type(make()).__name__ for make in MAKES]
def unpacked(value: Any) -> Any:
    a, *rest = value
    rest[:0] = value
    rest += value
    return a, rest


USES: list[Callable[[Any], Any]] = [
    len, list, bool, repr, sorted, iter, lambda one: [*one], lambda one: one == one.copy(), lambda one: 1 in one,
    lambda one: next(iter(one)), copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)),
    lambda one: one.clear(), max]
OF_KIND: dict[str, list[Callable[[Any], Any]]] = {
    "list": [lambda one: one[0], lambda one: one.append(1), lambda one: one.sort(), lambda one: operator.add(one, [1]),
             lambda one: operator.add([1], one),
             lambda one: one.__iadd__([1]), json.dumps, lambda one: list(reversed(one)), lambda one: one.pop(), lambda one: one[1:],
             lambda one: one.__setitem__(0, 5), lambda one: print(*one, end=""), sum, tuple, enumerate, lambda one: [1].extend(one),
             lambda one: max(*one), bytes,
             lambda one: [one] == [[3, 1, 2]], lambda one: "".join(map(str, one)), lambda one: one.index(1), zip, unpacked],
    "dict": [lambda one: one["a"], lambda one: one.get("a"), lambda one: list(one.items()), lambda one: one.setdefault("c", 1),
             lambda one: {**one}, lambda one: one | {}, lambda one: {} | one, lambda one: dict(one), json.dumps,
             lambda one: one.keys() & {"a"},
             lambda one: len(one.values()), lambda one: dict(**one), lambda one: {}.update(one)],
    "deque": [lambda one: one.append(1), lambda one: one.popleft(), lambda one: one.rotate(1), lambda one: one[0]],
    "OrderedDict": [lambda one: one.move_to_end("a"), lambda one: one.popitem()],
    "Counter": [lambda one: one.most_common(1), lambda one: one.update("a"), lambda one: one["z"], lambda one: one.total()],
    "defaultdict": [lambda one: one["new"].append(1), lambda one: one["a"]],
}


@pytest.fixture
def someone() -> Task:
    m.current = Task(0, "someone")
    m.current.held = Lockdep().root
    return m.current


def outcome(use: Callable[[Any], Any], value: Any) -> Any:
    try:
        out = use(value)
    except Exception as error:
        return type(error), str(error)
    return list(out) if hasattr(out, "__next__") else out


@pytest.mark.parametrize("make", MAKES, ids=IDS)
def test_a_watched_container_behaves_as_the_plain_one_and_counts_each_use(make: Callable[[], Any], someone: Task) -> None:
    for use in [*USES, *OF_KIND[type(make()).__name__]]:
        plain, seen = make(), watched(make())
        assert is_watched(seen) and not is_watched(plain)
        assert isinstance(seen, type(plain)) and seen == plain and repr(seen) == repr(plain)
        assert count_of(seen) == 0
        with uses:
            before = outcome(use, seen)
            counted = count_of(seen)
        assert before == outcome(use, plain)
        assert seen == plain
        assert counted > 0
        assert locks_of(seen) == frozenset()


@pytest.mark.parametrize("make", MAKES[:2], ids=IDS[:2])
def test_the_locks_of_a_watched_container_are_those_held_at_every_use(make: Callable[[], Any], someone: Task) -> None:
    from vmrace.harness.kernel import spinlock_t
    a, b, seen = spinlock_t("a"), spinlock_t("b"), watched(make())
    dep = someone.held.dep
    with uses:
        someone.held = dep.node((a, b), False, False)
        len(seen)
        assert locks_of(seen) == {a, b}
        someone.held = dep.node((b,), False, False)
        items = iter(seen)
        assert locks_of(seen) == {b}
        someone.held = dep.root
        next(items)
        next(items)
    assert locks_of(seen) == frozenset()


@pytest.mark.parametrize("kind", [set, bytearray, frozenset, tuple])
def test_kinds_that_c_code_reads_directly_are_not_watched(kind: type) -> None:
    assert kind not in KINDS


def test_uses_of_a_watched_container_do_not_count_between_runs(someone: Task) -> None:
    seen = watched([1])
    assert seen == [1] and count_of(seen) == 0
