# SPDX-License-Identifier: MIT
"""Print vmrace's own engine, Atheris and Hypothesis side by side: the runs and CPU seconds to each known title. Not a test.

    python -m tests.quality.engines                          10 seeds, 50,000 runs each; writes docs/explanation/engines.md
    python -m tests.quality.engines --seeds 2 --runs 5000 --variant lru_free_2_4/pre_patch

A title is known if an entry of the corpus expects it on the variant. Each search begins from nothing, with one worker. The CPU seconds of
own engine and Atheris are those of the whole command, in proportion to the run; those of Hypothesis are taken at the run.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vmrace.fuzz.campaign.status import Options, known_titles

from tests.quality.timed import timed

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "docs" / "explanation" / "engines.md"
VARIANTS = ("lru_free_2_4/pre_patch", "invalidate_2_6/pre_2_6_15", "cow_swap_2_6/pre_2_6_26")
ENGINES = ("own", "atheris", "hypothesis")
SCHEDULES = 200             # of an example of Hypothesis, the number at which it is measured elsewhere
SEEDS, RUNS = 10, 50_000

First = dict[str, tuple[int, float]]        # title -> the run that first showed it, and the CPU seconds up to it


def campaign(engine: str, variant: str, seed: int, runs: int) -> First:
    """Run a campaign on an engine of `vmrace fuzz`. Titles that the corpus knows are counted, and not confirmed again."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(ROOT / "corpus", pathlib.Path(place, "corpus"))
        command = [sys.executable, "-m", "vmrace", "fuzz", variant, "--engine", engine, "--seed", str(seed), "--runs", str(runs), "--for",
                   "10h", "--workers", "1", "--keep-going", "--no-shrink", "--corpus", f"{place}/corpus", "--json"]
        text, seconds = timed(command)
    summary = json.loads(text)["summary"]
    assert summary["runs"] == runs and not summary["errors"], (command, summary)
    return {title: (run, seconds * run / runs) for title, run in summary["first_run"].items()}


def by_hypothesis(variant: str, seed: int, runs: int) -> First:
    """Run examples of a property that always holds, and note the titles of their runs."""
    from hypothesis import HealthCheck
    from hypothesis import seed as seeded
    from vmrace.fuzz.testing.properties import holds_on
    first: First = {}
    made, start = 0, time.process_time()

    def holds(run: Any) -> object:
        nonlocal made
        made += 1
        if made <= runs:
            for title in run.titles:
                first.setdefault(title, (made, time.process_time() - start))
        return True
    test: Any = holds_on(variant, schedules_each=SCHEDULES, examples=-(-runs // SCHEDULES), findings=False, database=None,
                         suppress_health_check=list(HealthCheck))(holds)
    number = 0
    while made < runs:
        seeded(f"{seed}/{number}")(test)()
        number += 1
    return first


def search(engine: str, variant: str, seed: int, runs: int) -> First:
    """Return the first run with each title, of one search in processes of its own."""
    if engine != "hypothesis":
        return campaign(engine, variant, seed, runs)
    command = [sys.executable, "-m", "tests.quality.engines", "--one", variant, str(seed), str(runs)]
    text, _ = timed(command, ROOT)
    return {title: (run, seconds) for title, (run, seconds) in json.loads(text).items()}


def cell(found: Sequence[tuple[int, float]], seeds: int) -> str:
    """Write one cell: how many seeds found the title, the median and the spread of the runs, the median of the CPU seconds."""
    if not found:
        return f"0 of {seeds}"
    runs = [run for run, _ in found]
    return (f"{len(found)} of {seeds}: {statistics.median(runs):,.0f} ({min(runs):,} .. {max(runs):,}), "
            f"{statistics.median(seconds for _, seconds in found):.1f} s")


def table(variant: str, titles: Sequence[str], results: dict[str, list[First]], seeds: int) -> list[str]:
    """Write the results of one variant. `results`: engine -> the first runs of each seed."""
    lines = [f"## {variant}", "", "| title | " + " | ".join(ENGINES) + " |", "|---|" + "---|" * len(ENGINES)]
    missed: dict[str, list[str]] = {engine: [] for engine in ENGINES}
    for title in titles:
        found = {engine: [first[title] for first in results[engine] if title in first] for engine in ENGINES}
        lines.append(f"| {title} | " + " | ".join(cell(found[engine], seeds) for engine in ENGINES) + " |")
        for engine in ENGINES:
            if not found[engine] and any(found.values()):
                missed[engine].append(title)
    for engine in ENGINES:
        lines += ["", f"Missed by {engine}, found by another: {'; '.join(missed[engine]) or 'none'}."]
    never = [title for title in titles if not any(title in first for each in results.values() for first in each)]
    return [*lines, "", f"Found by none: {'; '.join(never) or 'none'}.", ""]


def page(parts: Sequence[list[str]], seeds: int, runs: int) -> str:
    """Return the page of the documentation."""
    told = (f"Known titles of one variant of each family, from nothing: {seeds} seeds, at most {runs:,} runs a seed, one worker. A cell "
            "has the seeds that found the title, the median of the runs up to it (and the least and the most), and the median of the CPU "
            "seconds.")
    head = ["# Engines side by side", "", "Written by `python -m tests.quality.engines`.", "", *textwrap.wrap(told, 140), ""]
    return "\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n"


def main(argv: Sequence[str]) -> None:
    if argv[:1] == ["--one"]:
        print(json.dumps(by_hypothesis(argv[1], int(argv[2]), int(argv[3]))))
        return
    parser = argparse.ArgumentParser(prog="python -m tests.quality.engines", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this one; the page is not written then")
    options = parser.parse_args(argv)
    parts = []
    for variant in options.variant or VARIANTS:
        family, _, name = variant.partition("/")
        titles = sorted(known_titles(Options(family, name, corpus=ROOT / "corpus"))[0])
        results: dict[str, list[First]] = {engine: [] for engine in ENGINES}
        asked = [(engine, variant, seed, options.runs) for seed in range(1, options.seeds + 1) for engine in ENGINES]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for (engine, _, seed, _), first in zip(asked, pool.map(search, *zip(*asked, strict=True)), strict=True):
                results[engine].append(first)
                found = sum(title in first for title in titles)
                print(f"{variant} seed {seed} {engine}: {found} of {len(titles)} known titles", flush=True)
        parts.append(table(variant, titles, results, options.seeds))
        print("\n".join(parts[-1]), flush=True)
    if not options.variant:
        OUT.write_text(page(parts, options.seeds, options.runs))
        print(f"wrote {OUT}")


if __name__ == "__main__":
    main(sys.argv[1:])
