# SPDX-License-Identifier: MIT
"""One atomic operation claims the slot."""

from vmrace.harness.kernel import BUG_ON, atomic_t, cmpxchg, plain, struct

__FILE__ = "mm/canary.c"


class slot_t(struct):
    times = plain(0)


slot = slot_t("slot")
used = atomic_t("used")


def claim():
    if not cmpxchg(used, 0, 1):
        slot.times += 1
        BUG_ON(slot.times > 1, 42)
