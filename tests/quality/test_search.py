# SPDX-License-Identifier: MIT
"""The search finds the failures of SCTBench in about as many runs as the best published one: `python -m tests.quality.search`."""

from __future__ import annotations

import pytest

from tests.quality.search import plain
from tests.quality.search.__main__ import OUT
from tests.quality.search.plain import Measured, Subject

QUICK = [subject for subject in plain.SUBJECTS if len(subject.args) < 2 or sum(subject.args) <= 10]
SEEDS = 5


@pytest.mark.parametrize("subject", QUICK, ids=lambda subject: subject.name)
def test_a_small_program_fails_within_three_times_the_published_number_of_runs(subject: Subject) -> None:
    # The mean over ten seeds is at most 1.3 times the published one (docs/explanation/search_results.md). The seeds are fixed.
    measured, = plain.measure([subject], SEEDS, lambda row: None)
    assert len(measured.found) == SEEDS
    assert measured.ratio <= plain.LIMIT, measured.row


def test_the_table_says_which_programs_are_above_the_aim_and_why() -> None:
    slow = Measured(Subject("slow", plain.SUBJECTS[0].make, (), 2, "its window is short"), (4, 8))
    quick = Measured(Subject("quick", plain.SUBJECTS[0].make, (), 2), (2, None))
    text = plain.table([slow, quick])
    assert "| slow | 2 | 6.0 | 3.00 | 2 of 2 | 4 8 |" in text
    assert f"| quick | 2 | {(2 + plain.RUNS_MAX) / 2:.1f} |" in text
    assert text.endswith("- slow: its window is short\n- quick: no reason is known")


def test_the_page_has_a_row_for_each_program() -> None:
    rows = [line.split("|")[1].strip() for line in OUT.read_text().splitlines() if line.startswith("| ")]
    assert [subject.name for subject in plain.SUBJECTS] == [row for row in rows if row in {subject.name for subject in plain.SUBJECTS}]
