# SPDX-License-Identifier: MIT
"""lost_update(n): n tasks each add one to a plain variable. The README shows it."""

from vmrace import Program, cell


def make(n=2):
    x = cell("x", value=0)

    def add():
        x.value += 1

    return Program([add] * n, check=lambda: x.value == n)
