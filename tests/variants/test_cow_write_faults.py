# SPDX-License-Identifier: MIT
"""The table of write faults in the documents has the counts of now."""

from __future__ import annotations

import pathlib

import pytest

from tests.variants import cow_write_faults

PAGE = pathlib.Path(__file__).parents[2] / "docs/explanation/cow_swap_2_6.md"


def test_the_row_of_the_seed_alone_in_the_documents_is_as_measured_now() -> None:
    alone = next(cow_write_faults.rows("hugh_can_reuse", ("alone",)))
    assert f"\n{cow_write_faults.HEAD}\n" in PAGE.read_text() and f"\n{alone}\n" in PAGE.read_text(), alone


@pytest.mark.long
def test_the_table_in_the_documents_has_the_counts_of_now() -> None:
    table = "\n".join(cow_write_faults.table())
    assert f"\n{table}\n" in PAGE.read_text(), f"python -m tests.variants.cow_write_faults prints\n{table}"
