# SPDX-License-Identifier: MIT
"""A number agrees with its noun in every text that people read."""

from __future__ import annotations

import pytest
from vmrace.fuzz.text.wording import count


@pytest.mark.parametrize(("number", "noun", "text"), [
    (1, "run", "1 run"), (0, "run", "0 runs"), (2000, "run", "2,000 runs"), (2, "entry", "2 entries"), (2, "day", "2 days"),
    (2, "worker process", "2 worker processes"), (1, "class of schedules", "1 class of schedules"),
    (99, "page of each file", "99 pages of each file"), (37, "class of schedules", "37 classes of schedules")])
def test_a_number_agrees_with_its_noun(number: int, noun: str, text: str) -> None:
    assert count(number, noun) == text
