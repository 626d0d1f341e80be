# SPDX-License-Identifier: MIT
"""bug: a pointer is checked, then followed; another cpu clears it in between."""

from vmrace.harness.kernel import plain, racy, struct

__FILE__ = "mm/canary.c"


class mapping_t(struct):
    nrpages = plain(1)


class page_t(struct):
    mapping = racy(None)


mapping = mapping_t("mapping")
page = page_t("page", mapping=mapping)


def count_pages():
    if page.mapping:
        return page.mapping.nrpages
    return 0


def truncate():
    page.mapping = None
