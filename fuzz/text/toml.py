# SPDX-License-Identifier: MIT
"""Spelling of file names and TOML strings."""

from __future__ import annotations


def slug(title: str) -> str:
    """Spell a finding's title as part of a file name: at most 60 lower-case letters, digits, underscores and dashes."""
    words = "".join(c if c.isalnum() or c in "_" else " " for c in title.lower()).split()
    return "-".join(words)[:60]


def _quote(text: str) -> str:
    """Spell a TOML basic string, with control characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04X}" if c < " " or c == "\x7f" else c for c in escaped) + '"'
