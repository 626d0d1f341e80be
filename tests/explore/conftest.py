# SPDX-License-Identifier: MIT
"""Small random programs have loops that yield. What they are compared with runs these until it gives up, and so do explorers here."""

from __future__ import annotations

import pytest
from vmrace.harness.explore import spinning


@pytest.fixture(autouse=True)
def loops_are_run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(request.module, "small"):
        monkeypatch.setattr(spinning, "_loop_around", lambda frame, origin: None)
