# SPDX-License-Identifier: MIT
"""lastzero(n): n tasks each set an element to one more than the element before it; another task searches for the last zero.

Abdulla et al., POPL 2014: 64, 320, 3328 inequivalent schedules for n = 5, 7, 10.
"""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel.cell import cell


def make(n=5):
    array = [cell(f"array[{i}]", value=0) for i in range(n + 1)]

    def find():
        i = n
        while array[i].value != 0:
            i -= 1
        return i

    def add(i):
        def task():
            array[i].value = array[i - 1].value + 1
        return task

    return Program([find, *(add(i) for i in range(1, n + 1))], cpus=n + 1)
