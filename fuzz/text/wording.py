# SPDX-License-Identifier: MIT
"""Words that are the same wherever people read them: a number with its noun."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """`1 run`, `2,000 runs`, `2 classes of schedules`: what follows the first `of` stays as it is."""
    head, of, rest = noun.partition(" of ")
    return f"{number:,} {head if number == 1 else plural(head)}{of}{rest}"


def plural(noun: str) -> str:
    if noun.endswith(("s", "sh", "ch", "x")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def are(number: int) -> str:
    return "is" if number == 1 else "are"
