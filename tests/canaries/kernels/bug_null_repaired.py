# SPDX-License-Identifier: MIT
"""The pointer is read once."""


__FILE__ = "mm/canary.c"


def count_pages():
    where = page.mapping
    if where:
        return where.nrpages
    return 0
