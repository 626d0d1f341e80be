# SPDX-License-Identifier: MIT
"""Each line of a variant that a few hundred runs do not reach has a reason in the README of its family.

The runs are replays of the entries that fail on the variant, without those of a LIVELOCK, which take long, and 200 of a campaign.
test_invalidate_2_6_coverage.py has the two variants for which the whole corpus is replayed.
"""

from __future__ import annotations

import pathlib
from functools import partial

import pytest
from vmrace.fuzz.campaign.shard import _workers
from vmrace.fuzz.corpus import judge
from vmrace.fuzz.corpus.entry import load_all
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.measure.coverage import reach
from vmrace.fuzz.replay import replay as replaying
from vmrace.harness.finding import Kind, kind_of
from vmrace.variants.family import family

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"
VARIANTS = ("lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count", "invalidate_2_6/pre_2_6_15", "invalidate_2_6/andrea_seqschedlock",
            "invalidate_2_6/andrea_seqschedlock_2", "invalidate_2_6/andrea_find_lock_page", "invalidate_2_6/andrea_page_count",
            "invalidate_2_6/page_count_clear_uptodate", "invalidate_2_6/nick_lock_page", "invalidate_2_6/nick_fault",
            "invalidate_2_6/invalidate_2_4")


@pytest.mark.long
@pytest.mark.parametrize("name", VARIANTS)
def test_every_line_of_a_variant_that_three_thousand_runs_do_not_reach_has_a_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "judge_entry", partial(judge_entry, sample=10, replays=1))
    monkeypatch.setattr(judge, "PROVE_MAX", 1)          # an entry whose own schedule does not fail here is not explored
    _workers.clear()
    where, _, variant = name.partition("/")
    fail = [entry for entry in load_all(CORPUS)[0] if entry.family == where and variant in entry.expect
            and entry.expect[variant].word is Word.BUG and kind_of(entry.title) is not Kind.LIVELOCK]
    reached = reach(family(where), variant, fail, 1e9, 3000, 1)
    assert [f"{one.function}  {one.place}" for one in reached.unexplained] == []
    assert sum(part.lines_reached for part in reached.parts) > sum(part.lines for part in reached.parts) // 3
