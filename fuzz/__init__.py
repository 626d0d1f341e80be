# SPDX-License-Identifier: MIT
"""Campaigns, shrinking, the corpus and the command line: the only room that imports hypothesis, click, rich and their like.

The room can be called, too: `from vmrace import fuzz; fuzz(make, runs=1000)` is `vmrace.fuzz.functions.sample.fuzz`.
"""

import sys
import types
from typing import Any


class _Room(types.ModuleType):
    """A module that samples schedules when it is called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from vmrace.fuzz.functions.sample import fuzz
        return fuzz(*args, **options)


sys.modules[__name__].__class__ = _Room
