# SPDX-License-Identifier: MIT
"""`python -m tests.oracle --programs N --seed S [--profile P]`: compare N generated programs. The exit code is 1 if one differs."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.oracle.compare import Comparison, compare, shrunk
from tests.oracle.generate import PROFILES, generate
from tests.oracle.language import source


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description="Compare the machine with the oracle.")
    parser.add_argument("--programs", type=int, default=1_000, metavar="N", help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the number of the first (default: 0)")
    parser.add_argument("--profile", choices=[*PROFILES], action="append", help="what they are made of (default: all in turn)")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="how many different ones to shrink and to print (default: 5)")
    parser.add_argument("--source", action="store_true", help="print each program")
    arguments = parser.parse_args()
    profiles = arguments.profile or [*PROFILES]
    total: Counter[str] = Counter()
    start = time.monotonic()
    for number in range(arguments.programs):
        profile, seed = profiles[number % len(profiles)], arguments.seed + number // len(profiles)
        program = generate(profile, seed)
        if arguments.source:
            print(f"# {profile} {seed}\n{source(program)}\n")
        found = compare(program)
        total += counted(found)
        if found.differs:
            total[f"different: {profile}"] += 1
            if total["different"] <= arguments.show:
                print(f"# {profile} {seed}, shrunk from {sum(1 for _ in program.statements)} statements\n{shrunk(found)}\n", flush=True)
    print(summary(total), f"{time.monotonic() - start:.0f} s")
    return 1 if total["different"] else 0


def counted(found: Comparison) -> Counter[str]:
    """Return the counts that a comparison adds to the summary."""
    program = found.program
    return Counter(name for name, there in {
        "programs": True,
        "with interrupts": bool(program.handlers),
        "with shared cpus or preemption": program.shares_cpus,
        "with preemption": program.preempt,
        "stuck": any(outcome.stuck for outcome in found.outcomes),
        "with more than one outcome": len(found.outcomes) > 1,
        "different": found.differs,
        "undecided": bool(found.undecided),
        f"undecided: {found.undecided}": bool(found.undecided),
    }.items() if there)


def summary(total: Counter[str]) -> str:
    """Return one line of the main counts, and the reasons after it."""
    main_counts = ("programs", "with interrupts", "with shared cpus or preemption", "stuck", "with more than one outcome", "different",
                   "undecided")
    more = [f"\n  {name}: {count}" for name, count in sorted(total.items()) if ": " in name]
    return ", ".join(f"{total[name]} {name}" for name in main_counts) + "".join(more) + "\n"


if __name__ == "__main__":
    sys.exit(main())
