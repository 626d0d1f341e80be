# SPDX-License-Identifier: MIT
"""Count the runs until each known race of 2.4.20 is found, in ten campaigns of a minute each. Not part of the test line.

    python -m tests.quality.ten_seeds            writes tests/quality/ten_seeds.md

The races: the final put in interrupt context (R4 of the family's history) and the double free of R1 or R2's shape. No program is
given; the corpus directory is empty at the start of each campaign.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

RACES = ("BUG at mm/page_alloc.c:95 in __free_pages_ok", "double free in __free_pages_ok")
VARIANT = "lru_free_2_4/pre_patch"
SECONDS = 60
OUT = pathlib.Path(__file__).with_suffix(".md")


def campaign(seed: int) -> dict:
    """Run one campaign and return its summary."""
    with tempfile.TemporaryDirectory() as corpus:
        command = [sys.executable, "-m", "vmrace", "fuzz", VARIANT, "--for", f"{SECONDS}s", "--keep-going", "--seed", str(seed),
                   "--corpus", corpus, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS * 10)
    return json.loads(done.stdout)["summary"]


def table(summaries: list[dict]) -> str:
    """Return the text of ten_seeds.md for these summaries."""
    lines = [
        "<!-- SPDX-License-Identifier: MIT -->",
        f"# {VARIANT}, {SECONDS} s, 2 workers, seeds 1 to {len(summaries)}",
        "",
        "Written by `python -m tests.quality.ten_seeds`. The run at which each race was first seen; `-`: not in this campaign.",
        "",
        "| seed | runs in all | " + " | ".join(RACES) + " |",
        "|---|---|" + "---|" * len(RACES),
    ]
    for summary in summaries:
        first = [f"{summary['first_run'][race]:,}" if race in summary["first_run"] else "-" for race in RACES]
        lines.append(f"| {summary['seed']} | {summary['runs']:,} | " + " | ".join(first) + " |")
    both = sum(all(race in summary["first_run"] for race in RACES) for summary in summaries)
    lines += ["", f"Both races in {both} of {len(summaries)} campaigns.", ""]
    return "\n".join(lines)


def main() -> None:
    summaries = []
    for seed in range(1, 11):
        summaries.append(campaign(seed))
        OUT.write_text(table(summaries))
        print(table(summaries[-1:]).splitlines()[7])


if __name__ == "__main__":
    main()
