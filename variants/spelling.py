# SPDX-License-Identifier: GPL-2.0-only
"""Suggestions for names that were spelled wrong."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `. Did you mean X?` with the most similar of `names`, or an empty text if none is similar."""
    import difflib
    near = difflib.get_close_matches(name, list(names), 1)
    return f". Did you mean {near[0]}?" if near else ""
