# SPDX-License-Identifier: MIT
"""Campaigns on variants of families: the run that shows a known title first, and what the campaign costs."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.text.wording import count

from tests.quality.timed import timed

RUNS = 20_000


@dataclass(frozen=True)
class Known:
    """A title that a campaign on a variant should show; `starts` is how it starts."""

    name: str
    variant: str
    starts: str
    runs: int = RUNS


KNOWN = (
    Known("mapped_page", "invalidate_2_6/pre_2_6_15", "INVARIANT: a mapped page is not in the page cache"),
    Known("interrupt_deadlock", "lru_free_2_4/daniel_lru_count", "DEADLOCK: pagemap_lru_lock taken in an interrupt on its holder"),
    Known("swapon_deadlock", "lru_free_2_4/daniel_lru_count", "DEADLOCK: nobody can run: lru_list_lock in try_to_free_buffers"),
    Known("bug_95", "lru_free_2_4/pre_patch", "BUG at mm/page_alloc.c:95 in __free_pages_ok"),
    Known("double_free", "lru_free_2_4/pre_patch", "double free in __free_pages_ok", 5 * RUNS),
)
HEAD = f"""## Campaigns of families

The run of a campaign that first shows a known title, of at most {RUNS:,} runs by one worker, and {5 * RUNS:,} for the double free. No
program is given. A class is an order of all dependent accesses of a program. The rest of the runs repeat one."""


@dataclass(frozen=True)
class Campaign:
    """A campaign: its summary, and the processor time that it took, in seconds."""

    summary: dict[str, Any]
    seconds: float

    def first(self, known: Known) -> int | None:
        """Return the run that shows the title first."""
        return min((run for title, run in self.summary["first_run"].items() if title.startswith(known.starts)), default=None)


def campaign(variant: str, runs: int, seed: int) -> Campaign:
    """Run a campaign of one worker, which shrinks nothing."""
    with tempfile.TemporaryDirectory() as corpus:
        text, seconds = timed([sys.executable, "-m", "vmrace", "fuzz", variant, "--runs", str(runs), "--seed", str(seed), "--workers", "1",
                               "--keep-going", "--no-shrink", "--corpus", corpus, "--json"])
    return Campaign(json.loads(text)["summary"], seconds)


def measure(names: set[str] | None, seeds: int, tell: Callable[[str], None]) -> str:
    """Return the table of campaigns as text for the documentation; "" if there is none. `names`: only these titles.

    One campaign runs on each cpu of the machine.
    """
    wanted = [known for known in KNOWN if names is None or known.name in names]
    found, costs = [], []
    for variant, runs in dict.fromkeys((known.variant, known.runs) for known in wanted):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = list(pool.map(functools.partial(campaign, variant, runs), range(1, seeds + 1)))
        for known in wanted:
            if (known.variant, known.runs) == (variant, runs):
                found.append(row_of(known, [one.first(known) for one in made]))
                tell(found[-1])
        costs.append(cost_of(variant, runs, made))
        tell(costs[-1])
    return table(found, costs) if found else ""


def row_of(known: Known, first: Sequence[int | None]) -> str:
    """Return the row of a title; `first`: for each seed the run that shows it first."""
    runs = " ".join("-" if run is None else str(run) for run in first)
    return f"| {known.name} | {known.variant} | {sum(run is not None for run in first)} of {len(first)} | {runs} |"


def cost_of(variant: str, runs: int, made: Sequence[Campaign]) -> str:
    """Return the row of what the campaigns on a variant cost."""
    total, distinct = sum(one.summary["runs"] for one in made), sum(one.summary["distinct"] for one in made)
    programs, replays = sum(one.summary["programs"] for one in made), sum(one.summary["replays"] for one in made)
    seconds = sum(one.seconds for one in made)
    return (f"| {variant} | {count(runs, 'run')} | {programs / len(made):,.0f} | {1 - distinct / total:.0%} | {replays / total:.0%} "
            f"| {distinct / seconds:,.0f} |")


def table(found: Sequence[str], costs: Sequence[str]) -> str:
    """Return the two tables as text."""
    return "\n".join([HEAD, "", "| title | variant | seeds | first run of each seed |", "|---|---|---|---|", *found, "",
                      "| variant | campaign | programs | runs that repeat a class | replays, of the runs | classes per second |",
                      "|---|---|---:|---:|---:|---:|", *costs])
