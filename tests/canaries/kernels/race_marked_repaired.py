# SPDX-License-Identifier: MIT
"""They say so: a load, in whatever function it is, and a store."""

from vmrace.harness.kernel import data_race

__FILE__ = "mm/canary.c"


def guess():
    return data_race(index_of(page)) > 3


def restart():
    data_race(page).index = 0
