# SPDX-License-Identifier: MIT
"""A server's change of a file is judged as a store that lasts until the revalidation ends, unless the client writes to the file, too."""

from __future__ import annotations

from typing import Any

import pytest
from vmrace.variants.close_to_open import settled
from vmrace.variants.user_model import judge

OLD = "DATA: a load returns an old value"
PAGE = (0, 0)
OTHER = (1, 0)
BOOT = [("direct store", "f0", PAGE, 1, 0, 1), ("direct store", "f0", OTHER, 2, 0, 1)]


def server(value: int, since: int, until: int) -> tuple[Any, ...]:
    return ("server", "f0", PAGE, value, since, until)


def load(value: int, since: int, until: int, where: Any = PAGE) -> tuple[Any, ...]:
    return ("load", "f0", where, value, since, until)


def store(value: int, since: int, until: int, where: Any = PAGE) -> tuple[Any, ...]:
    return ("store", "f0", where, value, since, until)


@pytest.mark.parametrize("seen", [[load(1, 6, 7)], [load(7, 6, 7)], [load(1, 4, 5), load(7, 6, 7)], []])
def test_until_the_revalidation_ends_a_load_returns_either_value(seen: list[Any]) -> None:
    assert judge([*BOOT, server(7, 3, 9), *seen, load(7, 10, 11)]) == []


@pytest.mark.parametrize("seen", [[load(1, 10, 11)], [load(7, 4, 5), load(1, 6, 7)]])
def test_after_it_or_after_the_new_value_was_seen_the_old_one_is_an_error(seen: list[Any]) -> None:
    assert [title for title, _ in judge([*BOOT, server(7, 3, 9), *seen])] == [OLD]


@pytest.mark.parametrize("write", [store(5, 2, 3), store(5, 8, 20), ("rewrite", "f0", PAGE, 0, 9, 20),
                                   ("mapped store", "f0", PAGE, 5, 4, 5)])
def test_a_write_of_the_client_that_began_before_the_end_leaves_the_word_open_until_the_next_store(write: Any) -> None:
    history = [*BOOT, write, server(7, 3, 9), load(1, 10, 11)]
    assert judge(history) == [] and {entry[2] for entry in settled(history) if entry[0] == "unknown"} == {PAGE}
    assert [title for title, _ in judge([*history, store(8, 30, 31), load(1, 32, 33)])] == [OLD]


def test_a_later_write_of_the_client_and_one_to_another_word_or_file_leave_nothing_open() -> None:
    elsewhere = [("direct store", "f1", PAGE, 3, 0, 1), ("store", "f1", PAGE, 4, 2, 3), ("rewrite", "f1", PAGE, 0, 2, 3),
                 store(5, 2, 3, OTHER)]
    assert [title for title, _ in judge([*BOOT, *elsewhere, server(7, 3, 9), store(8, 10, 11), load(7, 12, 13)])] == [OLD]


def test_the_disk_has_the_value_of_the_server_by_then() -> None:
    assert judge([*BOOT, server(7, 3, 9), ("disk load", "f0", PAGE, 7, 10, 11)]) == []
    assert [title for title, _ in judge([*BOOT, server(7, 3, 9), ("disk load", "f0", PAGE, 1, 10, 11)])] == [OLD]


def test_without_a_server_nothing_changes() -> None:
    history = [*BOOT, ("rewrite", "f0", PAGE, 0, 2, 3), load(1, 4, 5)]
    assert settled(history) == history
