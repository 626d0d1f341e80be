# SPDX-License-Identifier: MIT
"""Campaigns, shrinking, the corpus and the command line. No other room imports hypothesis, click, rich, msgspec or coverage.

The room is also a function: `from vmrace import fuzz; fuzz(make, runs=1000)` calls `vmrace.fuzz.functions.sample.fuzz`.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmrace.fuzz.functions.result import Sampled
    from vmrace.harness.functions.program import Program


class _Room(types.ModuleType):
    """A module that samples schedules when it is called."""

    def __call__(self, make: "Callable[..., Program]", *args: Any, **options: Any) -> "Sampled":
        """Sample schedules of the program that `make(*args)` returns; see vmrace.fuzz.functions.sample.fuzz."""
        from vmrace.fuzz.functions.sample import fuzz
        return fuzz(make, *args, **options)


sys.modules[__name__].__class__ = _Room
