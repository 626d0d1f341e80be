# SPDX-License-Identifier: MIT
"""Numbers with their nouns, in the singular or the plural, for every report."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 run`, `2,000 runs`, `2 classes of schedules`. Words after the first `of` stay as they are."""
    head, of, rest = noun.partition(" of ")
    return f"{number:,} {head if number == 1 else plural(head)}{of}{rest}"


def plural(noun: str) -> str:
    """Form the plural of a noun by the rules for -s, -es and -ies."""
    if noun.endswith(("s", "sh", "ch", "x")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def are(number: int) -> str:
    """Return `is` for 1, else `are`."""
    return "is" if number == 1 else "are"
