# SPDX-License-Identifier: MIT
"""The table of sequential programs in the documents is the one of now."""

from __future__ import annotations

import pathlib

import pytest

from tests.variants import cow_sequential

PAGE = pathlib.Path(__file__).parents[2] / "docs/explanation/cow_swap_2_6.md"


@pytest.mark.long
def test_the_table_of_sequential_programs_in_the_documents_is_as_measured_now() -> None:
    table = "\n".join(cow_sequential.table())
    assert f"\n{table}\n" in PAGE.read_text(), f"python -m tests.variants.cow_sequential prints\n{table}"
