# SPDX-License-Identifier: MIT
"""reorder(n): n tasks store to a and then to b, and one reads both. No store is out of order, but the reads may come in between.

SCTBench's reorder_3 (Thomson, Donaldson, Betts, "Concurrency Testing Using Controlled Schedulers", TOPC 2016): one preemption.
"""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel.cell import cell


def make(n_setters=3):
    a, b = cell("a", value=0), cell("b", value=0)

    def setter():
        a.value = 1
        b.value = -1

    def checker():
        return a.value, b.value

    def check(results):
        assert results[-1] in ((0, 0), (1, -1)), f"a, b are {results[-1]}"

    return Program([*[setter] * n_setters, checker], check=check)
