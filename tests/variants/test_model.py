# SPDX-License-Identifier: MIT
"""The user-visible model judges histories by hand, and its register agrees with a search through every permutation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmrace.variants.user_model import Access, admissible, judge, linearizable, not_judged

OLD = "DATA: a load returns an old value"
OTHER = "DATA: a load returns another address space's store"
NOBODY = "DATA: a load returns what nobody stored"
FAILED = "USER: -EIO in invalidate2, the file is clean"
A, B, C = (0, 0), (1, 0), (2, 0)        # word 0 of page 0, 1, 2
F0 = "f0"


def seen(kind: str, value: Any, since: int, until: int, who: Any = 0, where: Any = A) -> tuple[Any, ...]:
    return (kind, who, where, value, since, until)


def store(value: Any, since: int, until: int, who: Any = 0, where: Any = A) -> tuple[Any, ...]:
    return seen("store", value, since, until, who, where)


def load(value: Any, since: int, until: int, who: Any = 0, where: Any = A) -> tuple[Any, ...]:
    return seen("load", value, since, until, who, where)


def failed(kind: str, since: int, until: int) -> tuple[Any, ...]:
    return (kind, F0, 0, "-EIO in invalidate2, the file is clean", since, until)


def fork(parent: int, child: int, since: int, until: int) -> tuple[Any, ...]:
    return ("fork", parent, None, child, since, until)


def moved(since: int, until: int, target: Any = B, source: Any = A) -> tuple[Any, ...]:
    return seen("moved", source, since, until, where=target)


def titles(*history: tuple[Any, ...]) -> list[str]:
    return [title for title, _ in judge(history)]


GOOD: dict[str, list[tuple[Any, ...]]] = {
    "nothing": [],
    "never stored, reads zero": [load(0, 0, 1)],
    "the last store": [store(1, 0, 1), store(2, 2, 3), load(2, 4, 5)],
    "a store that overlaps, seen": [store(1, 0, 9), load(1, 2, 3)],
    "a store that overlaps, not seen yet": [store(1, 0, 9), load(0, 2, 3)],
    "two stores that overlap, either order": [store(1, 0, 5), store(2, 0, 5), load(1, 6, 7)],
    "two that overlap, seen in turn": [store(1, 0, 9), store(2, 0, 9), load(2, 1, 2), load(1, 3, 4)],
    "another word is another register": [store(1, 0, 1), load(0, 2, 3, where=(0, 1))],
    "another address space is another register": [store(1, 0, 1), load(0, 2, 3, who=1)],
    "a child reads what its parent had": [store(1, 0, 1), fork(0, 1, 2, 3), load(1, 4, 5, who=1)],
    "a child does not see later stores of its parent": [store(1, 0, 1), fork(0, 1, 2, 3), store(2, 4, 5), load(1, 6, 7, who=1)],
    "a store during the fork, copied": [store(1, 0, 1), fork(0, 1, 2, 6), store(2, 3, 4), load(2, 7, 8, who=1)],
    "a store during the fork, not copied": [store(1, 0, 1), fork(0, 1, 2, 6), store(2, 3, 4), load(1, 7, 8, who=1)],
    "a grandchild": [store(1, 0, 1), fork(0, 1, 2, 3), fork(1, 2, 4, 5), load(1, 6, 7, who=2)],
    "a register that the interface leaves open": [seen("unknown", "why", 0, 1), load(7, 2, 3), load(8, 4, 5)],
    "what a child inherits of that": [seen("unknown", "why", 0, 1), fork(0, 1, 2, 3), load(7, 4, 5, who=1)],
    "a doubtful store, seen": [seen("may", 1, 0, 1), load(0, 2, 3), load(1, 4, 5), load(1, 6, 7)],
    "a doubtful store, never seen": [seen("may", 1, 0, 1), load(0, 2, 3), store(2, 4, 5), load(2, 6, 7)],
    "a doubtful store, copied by a fork": [seen("may", 1, 0, 1), fork(0, 1, 2, 3), load(1, 4, 5, who=1), load(0, 4, 5)],
    "a dirty page dropped, and back to what the disk has": [store(1, 0, 1, F0), seen("discard", 0, 2, 3, F0), load(0, 4, 5, F0)],
    "a dirty page that the kernel wrote in time": [store(1, 0, 1, F0), seen("discard", 0, 2, 3, F0), load(1, 4, 5, F0)],
    "dropped, with a value in between on disk": [store(1, 0, 1, F0), store(2, 2, 3, F0), seen("discard", 0, 4, 5, F0), load(1, 6, 7, F0)],
    "dropped late": [store(1, 0, 1, F0), seen("may discard", 0, 2, 3, F0), load(1, 4, 5, F0), load(0, 6, 7, F0)],
    "fsync does not know a store in memory": [
        seen("mapped store", 1, 0, 1, F0), seen("synced", 0, 2, 3, F0), seen("discard", 0, 4, 5, F0), load(0, 6, 7, F0)],
    "a disk load of an older value than memory has": [seen("mapped store", 1, 0, 1, F0), seen("disk load", 0, 2, 3, F0)],
    "a disk load of what a failed direct write left on disk": [seen("may", 1, 0, 1, F0), seen("disk load", 1, 2, 3, F0), load(0, 4, 5, F0)],
    "an error because the file is dirty": [store(1, 0, 1, F0), failed("failed, dirty", 2, 3)],
    "an error because a page in memory is dirty": [
        seen("mapped store", 1, 0, 1, F0), seen("synced", 0, 2, 3, F0), failed("failed, dirty", 4, 5)],
    "an error beside a direct write, which may go through the cache": [
        seen("direct store", 1, 1, 5, F0), failed("failed, dirty", 2, 4)],
    "an error after a store that failed half-way": [seen("rewrite", 0, 0, 9, F0), failed("failed, dirty", 2, 4)],
    "an error after a direct write that failed": [seen("may", 1, 0, 1, F0), failed("failed, dirty", 2, 3)],
    "an error while fsync is at work": [store(1, 0, 1, F0), seen("synced", 0, 2, 5, F0), failed("failed, dirty", 4, 6)],
    "an error while the file becomes dirty": [store(1, 3, 6, F0), failed("failed, dirty", 2, 4)],
    "a moved page": [store(1, 0, 1), moved(2, 3), load(1, 4, 5, where=B)],
    "moved during a store, which may be before it": [store(1, 0, 1), store(2, 2, 5), moved(3, 4), load(1, 6, 7, where=B)],
    "moved during a store, which may be after it": [store(1, 0, 1), store(2, 2, 5), moved(3, 4), load(2, 6, 7, where=B)],
    "moved twice": [store(1, 0, 1), moved(2, 3), moved(4, 5, C, B), load(1, 6, 7, where=C)],
    "moved, and a child": [store(1, 0, 1), moved(2, 3), fork(0, 1, 4, 5), store(2, 6, 7, where=B), load(1, 8, 9, who=1, where=B)],
    "moved by a child": [store(1, 0, 1), fork(0, 1, 2, 3), seen("moved", A, 4, 5, 1, B), load(1, 6, 7, who=1, where=B)],
    "moved with a value that is open": [seen("unknown", "why", 0, 1), moved(2, 3), load(7, 4, 5, where=B), load(8, 6, 7, where=B)],
    "a device stores during a move": [seen("may", 1, 2, 4), seen("may", 1, 2, 4, where=B), moved(3, 5), load(1, 6, 7, where=B)],
    "unmapped and mapped again": [store(1, 0, 1), store("gone", 2, 3), store(0, 4, 5), load(0, 6, 7)],
}
BAD: dict[str, tuple[list[tuple[Any, ...]], str]] = {
    "an old value": ([store(1, 0, 1), store(2, 2, 3), load(1, 4, 5)], OLD),
    "a lost store": ([store(1, 0, 1), load(0, 2, 3)], OLD),
    "a lost store, at once": ([store(1, 0, 3), load(0, 3, 5)], OLD),
    "back in time": ([store(1, 0, 9), load(1, 1, 2), load(0, 3, 4)], OLD),
    "two that overlap cannot alternate": ([store(1, 0, 9), store(2, 0, 9), load(1, 1, 2), load(2, 3, 4), load(1, 5, 6)], OLD),
    "a value from the future": ([load(1, 0, 1), store(1, 2, 3)], OLD),
    "another's value": ([store(1, 0, 1, who=1), load(1, 2, 3)], OTHER),
    "an old value that was copied to another": ([store(1, 0, 1), store(1, 2, 3, who=1), store(2, 4, 5), load(1, 6, 7)], OLD),
    "a child's store seen by its parent": ([fork(0, 1, 0, 1), store(1, 2, 3, who=1), load(1, 4, 5)], OTHER),
    "nobody's value": ([store(1, 0, 1), load(7, 2, 3)], NOBODY),
    "a child does not see what its parent had": ([store(1, 0, 1), fork(0, 1, 2, 3), load(0, 4, 5, who=1)], OLD),
    "a parent's later store seen by the child": ([store(1, 0, 1), fork(0, 1, 2, 3), store(2, 4, 5), load(2, 6, 7, who=1)], OTHER),
    "a grandparent's store after the first fork": (
        [store(1, -9, -8), fork(0, 1, -7, -6), store(2, -5, -4), fork(1, 2, -3, -2), load(2, 0, 1, who=2)], OTHER),
    "a value of before the fork that was overwritten in the setup": (
        [store(1, -9, -8), store(2, -7, -6), fork(0, 1, -5, -4), load(1, 0, 1, who=1)], OLD),
    "a store long before the fork": ([store(1, 0, 1), store(2, 2, 3), fork(0, 1, 4, 5), load(1, 6, 7, who=1)], OLD),
    "a value that was unmapped": ([store(1, 0, 1), store("gone", 2, 3), store(0, 4, 5), load(1, 6, 7)], OLD),
    "a doubtful store ends with the next": ([seen("may", 1, 0, 1), store(2, 2, 3), load(1, 4, 5)], OLD),
    "a doubtful store, forgotten again": ([seen("may", 1, 0, 1), load(1, 2, 3), load(0, 4, 5)], OLD),
    "after an unknown value, a store": ([seen("unknown", "why", 0, 1), store(1, 2, 3), load(7, 4, 5)], NOBODY),
    "an unknown value that is another process's": ([seen("unknown", "why", 0, 1), store(1, 0, 1, who=1), load(1, 2, 3)], OTHER),
    "a clean page dropped": ([store(1, 0, 1, F0), seen("synced", 0, 2, 3, F0), seen("discard", 0, 4, 5, F0), load(0, 6, 7, F0)], OLD),
    "dropped late, and a store in between": (
        [store(1, 0, 1, F0), seen("may discard", 0, 2, 3, F0), store(2, 4, 5, F0), load(0, 6, 7, F0)], OLD),
    "msync knows a store in memory": (
        [seen("mapped store", 1, 0, 1, F0), seen("msynced", 0, 2, 3, F0), seen("discard", 0, 4, 5, F0), load(0, 6, 7, F0)], OLD),
    "a direct write dropped": ([seen("direct store", 1, 0, 1, F0), seen("discard", 0, 2, 3, F0), load(0, 4, 5, F0)], OLD),
    "a disk load of an older value than write(2) gave": ([store(1, 0, 1, F0), seen("disk load", 0, 2, 3, F0)], OLD),
    "an error, nothing is dirty": ([store(1, 0, 1, F0), seen("synced", 0, 2, 3, F0), failed("failed, dirty", 4, 5)], FAILED),
    "a failure that nothing explains": ([failed("failed", 0, 1)], FAILED),
    "an error of a direct write, which its own store does not explain": ([seen("may", 1, 0, 9, F0), failed("failed, dirty", 0, 9)], FAILED),
    "a moved page that is lost": ([store(1, 0, 1), moved(2, 3), load(0, 4, 5, where=B)], OLD),
    "an old value that was not moved": ([store(1, 0, 1), store(2, 2, 3), moved(4, 5), load(1, 6, 7, where=B)], OLD),
    "a store to the old place after a move": ([store(1, 0, 1), moved(2, 3), store(2, 4, 5), load(2, 6, 7, where=B)], OLD),
    "the value before a move": ([store(1, 0, 1), store(2, 0, 1, where=B), moved(2, 3), load(2, 4, 5, where=B)], OLD),
    "moved twice, and lost": ([store(1, 0, 1), moved(2, 3), moved(4, 5, C, B), load(0, 6, 7, where=C)], OLD),
    "moved by a child, and lost": ([store(1, 0, 1), fork(0, 1, 2, 3), seen("moved", A, 4, 5, 1, B), load(0, 6, 7, who=1, where=B)], OLD),
    "torn: one word is old": ([store(1, 0, 1), store(1, 0, 1, where=(0, 1)), load(1, 2, 3), load(0, 2, 3, where=(0, 1))], OLD),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_a_register_explains_is_accepted(name: str) -> None:
    assert titles(*GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_reported(name: str) -> None:
    history, title = BAD[name]
    assert titles(*history) == [title]


def test_each_register_is_judged_for_itself() -> None:
    assert titles(store(1, 0, 1), load(0, 2, 3), store(2, 0, 1, where=(1, 0)), load(0, 2, 3, where=(1, 0))) == [OLD, OLD]


def test_the_detail_of_a_data_finding_names_address_space_word_and_steps() -> None:
    assert judge([store(1, 0, 1), load(7, 2, 3)])[0][1] == "m0.(0, 0): 7, steps 2-3"


def test_the_reason_for_a_load_that_is_not_judged_is_known() -> None:
    open_ = seen("unknown", "why", 0, 1)
    assert not_judged([open_, load(7, 2, 3)]) == {"why"}
    assert not_judged([open_, moved(2, 3), load(7, 4, 5, where=B)]) == {"why"}
    assert not_judged([open_, store(1, 2, 3), load(1, 4, 5)]) == not_judged([load(0, 0, 1)]) == frozenset()


# ---- against brute force -----------------------------------------------------------------------------------------------------

def came_before(a: Access, b: Access) -> bool:
    """True if `a` ended before `b` began. An access happens after its step `since` and not after its step `until`."""
    return a[3] < b[2] or (a[3] == b[2] and b[3] > b[2])


def explained(accesses: Sequence[Access], initial: Sequence[Any]) -> bool:
    """True if some permutation keeps the order of accesses that do not overlap, and every load in it reads the last store."""
    for order in itertools.permutations(accesses):
        if any(came_before(later, earlier) for earlier, later in itertools.combinations(order, 2)):
            continue
        for value in initial:
            now, good = value, True
            for what, operand, _, _ in order:
                if what == "store":
                    now = operand
                elif operand != now:
                    good = False
                    break
            if good:
                return True
    return False


accesses = st.builds(
    lambda what, value, since, length: (what, value, since, since + length),
    st.sampled_from(["load", "store"]), st.integers(0, 2), st.integers(0, 6), st.integers(1, 4))


@settings(deadline=None, max_examples=400, derandomize=True)
@given(history=st.lists(accesses, max_size=5), initial=st.lists(st.integers(0, 2), min_size=1, max_size=2))
def test_a_history_is_linearizable_if_and_only_if_some_permutation_explains_it(history: list[Access], initial: list[int]) -> None:
    assert linearizable(history, initial) == explained(history, initial)
    doubt: Access = ("may", 99, 0, 0)               # a value that no load returns changes nothing, and takes the way for disks
    assert linearizable([*history, doubt], initial) == explained(history, initial)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(stores=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), max_size=4), since=st.integers(0, 8), length=st.integers(1, 4))
def test_admissible_contains_every_value_that_a_load_returns_in_some_permutation(
        stores: list[tuple[int, int]], since: int, length: int) -> None:
    """admissible() may return too many values, but a missing possible value would be a finding against a healthy fork."""
    history: list[Access] = [("store", number + 1, begin, begin + span) for number, (begin, span) in enumerate(stores)]
    for value in range(len(stores) + 1):
        if explained([*history, ("load", value, since, since + length)], [0]):
            assert value in admissible(history, [0], since, since + length)


def test_admissible_leaves_out_a_value_overwritten_before_the_load() -> None:
    assert admissible([("store", 1, 0, 1), ("store", 2, 2, 3)], [0], 4, 5) == {2}


def test_admissible_leaves_out_a_store_after_the_load() -> None:
    assert admissible([("store", 1, 0, 1), ("store", 2, 8, 9)], [0], 4, 5) == {1}
