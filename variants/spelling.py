# SPDX-License-Identifier: GPL-2.0-only
"""A name that was perhaps meant."""

from __future__ import annotations


def did_you_mean(name: str, names: object) -> str:
    """`. Did you mean X?` if something is near."""
    import difflib
    near = difflib.get_close_matches(name, list(names), 1)  # type: ignore[call-overload]
    return f". Did you mean {near[0]}?" if near else ""
