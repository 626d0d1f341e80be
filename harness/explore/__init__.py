# SPDX-License-Identifier: MIT
"""Runs every class of schedules of a small program, and reports when all have been run."""

import importlib.machinery
import importlib.util


def is_compiled() -> bool:
    """True if the explorer of this installation is compiled (see setup.py)."""
    found = importlib.util.find_spec("vmrace.harness.explore.optimal")
    return found is not None and str(found.origin).endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
