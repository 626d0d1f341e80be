# SPDX-License-Identifier: MIT
"""Names and strings as TOML files have them."""

from __future__ import annotations


def slug(title: str) -> str:
    """A title as part of a file name."""
    words = "".join(c if c.isalnum() or c in "_" else " " for c in title.lower()).split()
    return "-".join(words)[:60]


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04X}" if c < " " or c == "\x7f" else c for c in escaped) + '"'
