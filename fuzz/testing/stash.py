# SPDX-License-Identifier: MIT
"""The key under which a run of pytest keeps its settings (plan.py), so that the plugin can ask whether there are any without importing
them."""

from __future__ import annotations

from typing import Any

import pytest

PLAN: pytest.StashKey[Any] = pytest.StashKey()
