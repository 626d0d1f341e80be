# SPDX-License-Identifier: MIT
"""The load, in each function that makes it, and the store are marked with data_race()."""

from vmrace.harness.kernel import data_race

__FILE__ = "mm/canary.c"


def guess():
    return data_race(index_of(page)) > 3


def restart():
    data_race(page).index = 0
