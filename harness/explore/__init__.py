# SPDX-License-Identifier: MIT
"""Running every schedule of a small program that differs from the others, and knowing when all have been run."""

import importlib.machinery
import importlib.util


def is_compiled() -> bool:
    """Is the explorer of this installation compiled (setup.py)?"""
    found = importlib.util.find_spec("vmrace.harness.explore.optimal")
    return found is not None and str(found.origin).endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
