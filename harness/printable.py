# SPDX-License-Identifier: MIT
"""Escaped text for the terminal. Titles, names, messages of exceptions and fields of files may contain any character.

A terminal obeys a control character: it may clear the screen, forge a verdict, or reverse the order of letters.
"""

from __future__ import annotations


def printable(text: object) -> str:
    """Escape each character that is not printable, as `repr` does: ESC is `\\x1b`, a newline `\\n`, a change of direction `\\u202e`."""
    said = str(text)
    return said if said.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in said)
