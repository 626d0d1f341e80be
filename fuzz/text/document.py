# SPDX-License-Identifier: MIT
"""The JSON document of a command: one object on stdout, and nothing else there. docs/reference/json.md has the keys of each command."""

from __future__ import annotations

import json
from typing import Any

from vmrace.harness.incomplete import Incomplete

SCHEMA = 1              # of all documents: greater if a key goes or means something else; a new key leaves it as it is


def document(command: str, code: int, **fields: Any) -> str:
    """The text of a document. `command`: its words; `code`: its exit code."""
    assert not {"schema", "command", "exit"} & fields.keys(), fields.keys()
    return json.dumps({"schema": SCHEMA, "command": command, "exit": code, **fields})


def reason_of(why: Incomplete | None) -> str | None:
    """Return the reason why an exploration is not complete, as a document spells it, or None."""
    return why.reason.value if why is not None else None
