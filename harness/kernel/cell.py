# SPDX-License-Identifier: MIT
"""A shared variable for programs that are no kernel: each load and each store of `.value` is a point."""

from vmrace.harness.kernel.struct import racy, struct


class cell(struct):
    """`x = cell("x", value=0)`, then `x.value` and `x.value = 1`."""

    value = racy(None)
