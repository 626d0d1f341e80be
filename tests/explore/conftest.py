# SPDX-License-Identifier: MIT
"""Has explorers run the loops of small random programs until they give up, as the searches do that they are compared with."""

from __future__ import annotations

import pytest
from vmrace.harness.explore import spinning


@pytest.fixture(autouse=True)
def loops_are_run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(request.module, "small"):
        monkeypatch.setattr(spinning, "_loop_around", lambda frame, origin: None)
