# SPDX-License-Identifier: MIT
"""Campaigns of families: no table yet."""

from __future__ import annotations

from collections.abc import Callable


def measure(names: set[str] | None, seeds: int, tell: Callable[[str], None]) -> str:
    """Return the table of campaigns as text for the documentation; "" if there is none. `names`: only these programs."""
    return ""
