# SPDX-License-Identifier: MIT
"""How well a campaign searches a program once it has it. Not part of the test line, as it takes some minutes.

    python -m tests.quality.explorations [TRIALS] [IDENTITY...]

Each trial explores the program of a corpus entry once, with another seed, as late in a campaign: all features are known, so nothing is new
but for this program. A trial is a hit if a run shows the entry's title. The cost counts runs, and a replay as one and a half. A campaign
meets the program with some probability in each exploration, so the cost for each hit is what the search of schedules can change. HARD has
no entry whose title only a checked image shows.
"""

from __future__ import annotations

import contextlib
import math
import pathlib
import sys

from vmrace.fuzz.campaign.messages import Lesson, ShardTask
from vmrace.fuzz.campaign.shard import _Shard
from vmrace.fuzz.campaign.worker import Worker
from vmrace.fuzz.corpus.entry import Entry, find, load
from vmrace.fuzz.sampling import classes
from vmrace.fuzz.sampling.portfolio import Spent

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"
TRIALS = 40
REPLAY = 1.5                # runs; a replay is recorded
PROGRAMS = 5_000            # of the campaign so far
# The entries that at most half of the explorations found with the search of Nov 2026.
HARD = ("63dd38cf", "72b98153", "334dca72", "8a0ef8af", "136b515f", "d377c38a", "8a5bf463", "b75d06ce", "359bb128", "26b3c02e", "3c9cf233",
        "40b8d92f", "e9ee601a", "837601b7", "86f1ca04", "23aa3306", "653b0955", "c8b4a16d", "645fee7e", "1045f2fd", "df855fd2", "6e733c63",
        "d2a94155", "13024daf", "aa718c70", "39b988a3")


def explore(worker: Worker, entry: Entry, seed: int) -> tuple[bool, float]:
    """Explore the entry's program once. Returns whether its title was shown, and the cost in runs."""
    worker.begin(Lesson())
    classes.forget()
    features = worker.memory.features
    features.pairs[:] = b"\1" * len(features.pairs)
    features.programs = PROGRAMS
    features.reached = dict.fromkeys(range(len(worker.fast.image(2).probes)), PROGRAMS)
    shard = _Shard(worker, ShardTask(worker.fast.family.name, worker.fast.variant, seed, 0))
    with contextlib.suppress(Spent):
        shard._program(entry.program, [])
    return entry.title in shard.result.titles, shard.result.runs + REPLAY * shard.result.replays


def main() -> None:
    trials, *chosen = sys.argv[1:] or [str(TRIALS)]
    workers: dict[str, Worker] = {}
    costs = []
    print("| entry | title | hits | cost of an exploration |", "|---|---|---|---|", sep="\n")
    for entry in sorted(map(load, find(CORPUS)), key=lambda one: (one.found_on, one.identity)):
        if entry.identity not in (chosen or HARD):
            continue
        if entry.found_on not in workers:
            workers[entry.found_on] = Worker(*entry.found_on.split("/"))
        done = [explore(workers[entry.found_on], entry, seed) for seed in range(int(trials))]
        hits, cost = sum(hit for hit, _ in done), sum(cost for _, cost in done)
        costs.append(cost / max(hits, 0.5))
        print(f"| {entry.identity} | {entry.title[:60]} | {hits} of {trials} | {cost / len(done):.0f} |", flush=True)
    mean = math.exp(sum(map(math.log, costs)) / len(costs))
    print(f"\nGeometric mean of the cost for each hit, half a hit where there was none: {mean:.0f} runs")


if __name__ == "__main__":
    main()
