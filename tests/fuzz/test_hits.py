# SPDX-License-Identifier: MIT
"""A hit is confirmed by a worker, whatever happens to workers; and shrinking one whose runs are long must not take the whole campaign."""

import math
import pathlib
import time

import pytest
from vmrace.fuzz.campaign.driver import Campaign
from vmrace.fuzz.campaign.status import Options
from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.run.hit import Hit
from vmrace.variants.program import Program, TaskProgram


@pytest.mark.parametrize(("seconds", "keep_going", "expected"), [
    (600.0, True, 30.0),        # as long as all hits have after the search
    (60.0, True, 10.0),         # at least so long
    (5.0, True, 7.0),           # the search and the time for shrinking are over by then
    (600.0, False, 630.0),      # the search has ended with the hit
    (math.inf, True, math.inf)])        # the result must not depend on the machine
def test_a_hit_takes_a_part_of_the_time(seconds: float, keep_going: bool, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(Options("lru_free_2_4", "pre_patch", seconds, keep_going=keep_going), View())
    hits, until = campaign.hits, []

    def give(deadline: float, grace: float) -> None:
        until.append(deadline)
        hits.queue.clear()
    monkeypatch.setattr(hits, "give", give)
    hits.queue.append((Hit("a title", Program((), (), 2), [], [], 1, "walk", 0.0), ""))
    campaign.status.started = now = time.monotonic()
    campaign.status.interrupted = True          # no shard begins
    campaign._fill()
    assert [deadline - now for deadline in until] == [pytest.approx(expected, abs=1.0)]


def test_a_hit_for_which_no_worker_can_be_started_is_kept_as_it_was_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(Options("lru_free_2_4", "pre_patch", corpus=tmp_path), View())
    hits = campaign.hits

    def full(*_: object) -> None:
        raise OSError("no descriptor is left")
    monkeypatch.setattr(hits.workers, "give", full)
    hits.add(Hit("a title", Program((), (TaskProgram(0, ()),), 2), [], [], 1, "walk", 0.0))
    with pytest.raises(OSError, match="no descriptor"):
        hits.give(math.inf, 1.0)
    assert [hit.title for hit, _ in hits.queue] == ["a title"]
    hits.end("the time was up")
    assert list(campaign.status.raw) == ["a title"]
