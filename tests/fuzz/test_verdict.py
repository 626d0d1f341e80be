# SPDX-License-Identifier: MIT
"""Verdicts read back from their texts, and each reason for inconclusive has a sentence."""

from __future__ import annotations

import msgspec
import pytest
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug, parse_verdict
from vmrace.fuzz.verify import reasons
from vmrace.harness.incomplete import Incomplete, Reason, broke


@pytest.mark.parametrize(("verdict", "text"), [
    (bug("double free in f"), "BUG double free in f"), (bug("BUG at mm/a.c:1 in f"), "BUG at mm/a.c:1 in f"),
    (Verdict(Word.PROVED, number=12), "proved in 12"), (Verdict(Word.OK, number=1000), "ok in 1000"), (Verdict(Word.ABSENT), "n/a")])
def test_a_verdict_is_read_back_from_its_text(verdict: Verdict, text: str) -> None:
    """The text has the word BUG exactly once."""
    assert str(verdict) == text
    assert parse_verdict(text) == verdict


@pytest.mark.parametrize(("verdict", "text"), [
    (Verdict(Word.DIVERGED, number=3), "DIVERGED step 3"), (Verdict(Word.LOST), "LOST"),
    (Verdict(Word.FLAKY, number=17, of=20), "FLAKY 17/20"),
    (Verdict(Word.INCONCLUSIVE, why=Incomplete(Reason.RUNS, 1)), "inconclusive 1 run was not enough")])
def test_a_text_that_is_no_verdict_of_an_entry_is_refused(verdict: Verdict, text: str) -> None:
    assert str(verdict) == text
    assert parse_verdict(text) is None


def test_every_reason_has_a_sentence_and_reads_back_from_a_file() -> None:
    for reason in Reason:
        why = Incomplete(reason, 2, "x")
        assert str(why)
        assert msgspec.convert(msgspec.to_builtins(why), Incomplete) == why


def test_a_reason_is_broken_if_vmrace_or_a_process_failed() -> None:
    assert {reason for reason in Reason if broke(Incomplete(reason))} == {Reason.ERROR, Reason.DIED}
    assert not broke(None)
    assert all(reasons.hint(Incomplete(reason)) for reason in Reason if reason.broke or reason.budget)
