# SPDX-License-Identifier: GPL-2.0-only
"""The family's table: its base, its variants, its invariants. types.py lists the parts of the kernel that the model leaves out."""

from vmrace.variants.family import Family, Variant
from vmrace.variants.lru_free_2_4.invariants import check, describe, drained

DANIEL_LINES = {                # kernel file -> {line of a check in the patched file: its line in 2.4.20}
    "mm/page_alloc.c": {
        91: 100, 93: 102, 95: 104, 97: 106, 99: 108,                                                # __free_pages_ok
        222: 231, 224: 233,                                                                         # rmqueue
        252: 261, 280: 289, 282: 291, 284: 293, 286: 295, 288: 297, 290: 299, 292: 301, 306: 315,   # balance_classzone
    },
    "mm/swapfile.c": {299: 294},                                                                    # remove_exclusive_swap_page
    "mm/vmscan.c": {550: 552, 551: 553},                                                            # refill_inactive
}

FAMILY = Family(
    name="lru_free_2_4",
    summary="a page freed while it is still on the LRU",
    era="Linux 2.4.17 .. 2.4.20",
    seeds="seeds 000, 003",
    base=("vmrace.variants.lru_free_2_4.types", "vmrace.variants.lru_free_2_4.pre_patch"),
    tail=("vmrace.variants.user_space", "vmrace.variants.user_files", "vmrace.variants.lru_free_2_4.ops"),
    variants={variant.name: variant for variant in (
        Variant("pre_patch", (), "2.4.20, without the patch", "Linux 2.4.20, 2002"),
        Variant("daniel_lru_count", ("vmrace.variants.lru_free_2_4.daniel_lru_count",),
                "Daniel Phillips, 17 Sep 2002: the LRU holds a count", "seed 000, Daniel Phillips, 17 Sep 2002", DANIEL_LINES),
    )},
    check=check,
    drained=drained,
    describe=describe,
)
