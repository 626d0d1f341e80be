# SPDX-License-Identifier: MIT
"""`python -m tests.quality.search`: measure, print, and write the tables of the documentation if all programs were measured."""

from __future__ import annotations

import argparse
import pathlib
import sys

from tests.quality.search import families, plain

OUT = pathlib.Path(__file__).parents[3] / "docs" / "explanation" / "search_results.md"
HEAD = """# Search results

Written by `python -m tests.quality.search`.

## Programs of plain functions

The number of runs up to the first that fails, on programs of SCTBench (`tests/programs/sctbench.py`). `RFF` is the mean number of
schedules that its paper gives (Wolff et al., ASPLOS 2024). Every run of the program up to the first failing one counts, also one in
twenty that is made again; confirming the failure does not.

"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.quality.search", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="searches of each program (default: 10)")
    parser.add_argument("--programs", help="names with commas between them; the documentation is not written then")
    options = parser.parse_args(argv)
    names = set(options.programs.split(",")) if options.programs else None
    known = {subject.name for subject in plain.SUBJECTS}
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: at least 1")
    subjects = [subject for subject in plain.SUBJECTS if names is None or subject.name in names]
    rows = plain.measure(subjects, options.seeds, lambda row: print(row, flush=True))
    text = families.measure(names and names - known, options.seeds, lambda row: print(row, flush=True))
    print()
    print(plain.table(rows))
    if names is None:
        parts = [HEAD.rstrip(), plain.table(rows), plain.safestack(), *([text] if text else [])]
        OUT.write_text("\n\n".join(parts) + "\n")
        print(f"wrote {OUT}")
    return 0 if all(len(one.found) == len(one.runs) and one.ratio <= plain.LIMIT for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
