# SPDX-License-Identifier: MIT
"""The table of engines (`python -m tests.quality.engines`) names what an engine misses, and its page is the one in the documentation."""

from __future__ import annotations

from tests.quality import engines


def test_the_table_has_median_and_spread_and_names_what_an_engine_misses() -> None:
    results: dict[str, list[engines.First]] = {
        "own": [{"one": (10, 0.5), "two": (7, 0.1)}, {"one": (30, 1.5)}], "atheris": [{"one": (40, 2.0)}, {}], "hypothesis": [{}, {}]}
    text = "\n".join(engines.table("family/variant", ["one", "three", "two"], results, 2))
    assert "| one | 2 of 2: 20 (10 .. 30), 1.0 s | 1 of 2: 40 (40 .. 40), 2.0 s | 0 of 2 |" in text
    assert "| two | 1 of 2: 7 (7 .. 7), 0.1 s | 0 of 2 | 0 of 2 |" in text
    assert "Missed by own, found by another: none." in text
    assert "Missed by atheris, found by another: two." in text
    assert "Missed by hypothesis, found by another: one; two." in text
    assert "Found by none: three." in text


def test_the_page_has_a_table_for_each_family() -> None:
    headings = [line[3:] for line in engines.OUT.read_text().splitlines() if line.startswith("## ")]
    assert headings == list(engines.VARIANTS)
