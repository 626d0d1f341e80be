# SPDX-License-Identifier: MIT
"""The memory of a worker over a million runs is flat and under 150 MB. Not part of the test line.

    python -m tests.quality.memory            writes tests/quality/memory.md

One worker runs shard after shard, as in a campaign, and learns from each. Memory is VmRSS of the
process in megabytes (1,000,000 bytes), so it includes Python, the package and the linked images. A worker keeps at most 400 programs
with their schedules, 20,000 setups and 8,000 programs seen, and most of that is full after half of the runs. Flat means that memory
grows by less than a tenth from there to the end.
"""

from __future__ import annotations

import gc
import pathlib
import time

from vmrace.fuzz.campaign.messages import RUNS_ENOUGH, RUNS_PER_SHARD, Lesson, ShardTask
from vmrace.fuzz.campaign.shard import run_shard

VARIANT = ("lru_free_2_4", "pre_patch")
RUNS = 1_000_000
SAMPLE_EVERY = 50_000
LIMIT = 150.0
OUT = pathlib.Path(__file__).with_suffix(".md")


def megabytes() -> float:
    """Return the present resident memory of this process in megabytes."""
    line = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def measure(runs: int, seed: int = 1) -> list[tuple[int, float, float]]:
    """Make `runs` runs; return (runs so far, seconds, megabytes) at regular intervals."""
    done, number, due, started = 0, 0, 0, time.monotonic()
    lesson = Lesson()
    out = []
    while done < runs:
        result = run_shard(ShardTask(*VARIANT, seed, number, min(RUNS_PER_SHARD, runs - done), 60.0, enough=RUNS_ENOUGH, lesson=lesson))
        lesson = Lesson(number, None, [result.learnt])
        done, number = done + result.runs, number + 1
        if done >= due or done >= runs:
            out.append((done, time.monotonic() - started, megabytes()))
            due += SAMPLE_EVERY
    return out


def verdict(samples: list[tuple[int, float, float]]) -> tuple[float, float, bool]:
    """Return the peak in megabytes, the growth over the second half of the runs as a ratio, and True if both are within the limits."""
    peak = max(size for _, _, size in samples)
    half = next(size for runs, _, size in samples if runs >= samples[-1][0] / 2)
    growth = samples[-1][2] / half
    return peak, growth, peak < LIMIT and growth < 1.1


def table(samples: list[tuple[int, float, float]]) -> str:
    peak, growth, good = verdict(samples)
    lines = ["<!-- SPDX-License-Identifier: MIT -->", f"# {'/'.join(VARIANT)}: the memory of a worker over {samples[-1][0]:,} runs", "",
             "Written by `python -m tests.quality.memory`.", "", "| runs | seconds | MB |", "|---|---|---|"]
    lines += [f"| {runs:,} | {seconds:.0f} | {size:.1f} |" for runs, seconds, size in samples]
    lines += ["", f"Peak {peak:.1f} MB (limit {LIMIT:.0f}), {growth:.2f} times what it was after half of them (limit 1.10): "
              f"{'within' if good else 'OVER'} the limits.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    gc.collect()
    text = table(measure(RUNS))
    OUT.write_text(text)
    print(text)
