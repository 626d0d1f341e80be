# SPDX-License-Identifier: MIT
"""Each line of a patch is reached, or the README of the family says why not.

This test makes a few hundred runs and looks only at the variants' own functions. `vmrace coverage invalidate_2_6` shows in a long
campaign that no other line is left.
"""

from __future__ import annotations

import pathlib
from functools import partial

import pytest
from vmrace.fuzz.campaign.shard import _workers
from vmrace.fuzz.corpus import judge
from vmrace.fuzz.corpus.entry import load_all
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.measure.coverage import reach
from vmrace.fuzz.replay import replay as replaying
from vmrace.variants.family import family

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"


@pytest.mark.long
@pytest.mark.parametrize("variant", ["nick_mkwrite", "andrea_pg_truncate"])
def test_every_line_of_a_patch_that_is_not_reached_has_a_reason(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "judge_entry", partial(judge_entry, sample=10, replays=1))
    monkeypatch.setattr(judge, "PROVE_MAX", 1)          # an entry whose own schedule does not fail here is not explored
    _workers.clear()
    reached = reach(family("invalidate_2_6"), variant, load_all(CORPUS)[0], 1e9, 100, 1)
    assert [f"{one.function}  {one.place}" for one in reached.unexplained] == []
    assert sum(part.lines_reached for part in reached.parts) > sum(part.lines for part in reached.parts) // 2
