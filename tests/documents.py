# SPDX-License-Identifier: MIT
"""Readers of the documents that `--json` prints, as any program would read them."""

from __future__ import annotations

import json
from typing import Any

from vmrace.fuzz.text.document import SCHEMA


def document(text: str, command: str) -> dict[str, Any]:
    """Return the one document on stdout, which is that of `command`. Raises AssertionError if there is anything else."""
    told = json.loads(text)
    assert isinstance(told, dict), told
    assert (told["schema"], told["command"]) == (SCHEMA, command)
    assert isinstance(told["exit"], int)
    return told


def campaign(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the events and the summary of `vmrace fuzz --json`."""
    told = document(text, "fuzz")
    return told["events"], told["summary"]
