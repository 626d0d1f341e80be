# SPDX-License-Identifier: MIT
"""Two workers make at least 1.7 times the runs of one. Not part of the test line, as it needs a machine with two idle cores.

    python -m tests.quality.two_workers            writes tests/quality/two_workers.md

Campaigns of one and of two workers take turns, so that other load of the machine affects both; each pair gives a ratio. Shrinking is
off, as it takes a worker's time. On a busy machine the ratio says nothing, as two workers get only the idle part of the cores. The last
column still holds there: the runs of two workers for each second of processor time, against those of one. Twice that is the ratio to
expect with two idle cores, and it includes the cost of the driver and of passing results.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

VARIANT = "lru_free_2_4/pre_patch"
SECONDS = 12
PAIRS = 5
RATIO = 1.7
OUT = pathlib.Path(__file__).with_suffix(".md")


def rates(workers: int, seed: int) -> tuple[float, float]:
    """Run one campaign; return its runs for each second, and for each second of processor time."""
    before = processor()
    with tempfile.TemporaryDirectory() as corpus:
        command = [sys.executable, "-m", "vmrace", "fuzz", VARIANT, "--for", f"{SECONDS}s", "--keep-going", "--no-shrink", "--json",
                   "--seed", str(seed), "--workers", str(workers), "--corpus", corpus]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS * 10)
    summary = json.loads(done.stdout)["summary"]
    return summary["runs"] / summary["seconds"], summary["runs"] / (processor() - before)


def processor() -> float:
    """Return the seconds of processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    lines = ["<!-- SPDX-License-Identifier: MIT -->", f"# {VARIANT}: runs a second of two workers against one", "",
             f"Written by `python -m tests.quality.two_workers`: campaigns of {SECONDS} s in turn, on {os.cpu_count()} cores; the load",
             "is the machine's one-minute load average before the pair.", "",
             "| seed | load | 1 worker | 2 workers | ratio | for the processor time |", "|---|---|---|---|---|---|"]
    ratios, efficiencies = [], []
    for seed in range(1, PAIRS + 1):
        load = os.getloadavg()[0]
        (one, one_used), (two, two_used) = rates(1, seed), rates(2, seed)
        ratios.append(two / one)
        efficiencies.append(two_used / one_used)
        lines.append(f"| {seed} | {load:.1f} | {one:,.0f} | {two:,.0f} | {two / one:.2f} | {two_used / one_used:.2f} |")
        print(lines[-1], flush=True)
    middle = statistics.median(ratios)
    lines += ["", f"Median ratio {middle:.2f} (asked: {RATIO}); for the processor time {statistics.median(efficiencies):.2f}.", ""]
    OUT.write_text("\n".join(lines))
    print(lines[-2])


if __name__ == "__main__":
    main()
