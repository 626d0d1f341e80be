# SPDX-License-Identifier: MIT
"""bug: a BUG check behind a race: both cpus see the slot empty."""

from vmrace.harness.kernel import BUG_ON, plain, racy, struct

__FILE__ = "mm/canary.c"


class slot_t(struct):
    used = racy(0)
    times = plain(0)


slot = slot_t("slot")


def claim():
    if not slot.used:
        slot.used = 1
        slot.times += 1
        BUG_ON(slot.times > 1, 42)
