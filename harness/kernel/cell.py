# SPDX-License-Identifier: MIT
"""A shared variable, for programs that are not kernel source: each load and each store of `.value` is a point."""

from __future__ import annotations

from vmrace.harness.kernel.struct import racy, struct


class cell(struct):
    """A variable that tasks share: make it by `x = cell("x", value=0)`; use it as `x.value`."""

    value = racy(None)
