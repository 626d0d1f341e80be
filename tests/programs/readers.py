# SPDX-License-Identifier: MIT
"""readers(n): one writer and n readers of one variable. 2**n inequivalent schedules (Abdulla et al., POPL 2014)."""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel.cell import cell


def make(n=2):
    x = cell("x", value=0)

    def writer():
        x.value = 1

    def reader():
        return x.value

    return Program([writer] + [reader] * n, check=lambda seen: set(seen[1:]) <= {0, 1})
