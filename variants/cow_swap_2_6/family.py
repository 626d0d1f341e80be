# SPDX-License-Identifier: GPL-2.0-only
"""The family's table: its base, its variants, its invariants. types.py lists the parts of the kernel that the model leaves out."""

from vmrace.variants.cow_swap_2_6.invariants import check, describe, drained
from vmrace.variants.family import Family, Variant

_IN = "vmrace.variants.cow_swap_2_6."

# Where each patch moves the checks of the base: see Variant.lines.
_GUP = {"mm/memory.c": {1790: 1784}}
_SEED = {"mm/memory.c": {1789: 1784}, "mm/migrate.c": {436: 435, 591: 590},
         "mm/swap_state.c": {104: 102, 105: 103, 106: 104, 107: 105, 129: 128, 130: 129}}
_MERGED = {"mm/memory.c": {1801: 1784}}
_COUNT = {"mm/memory.c": {1797: 1784}}
_RC7 = {file: lines for file, lines in _SEED.items() if file != "mm/memory.c"}      # the end of do_wp_page() has its lines of 2.6.26

FAMILY = Family(
    name="cow_swap_2_6",
    summary="the reuse of a swap page: a copy too few, or one too many",
    era="Linux 2.6.26 .. 5.9",
    seeds="seed 001",
    base=("vmrace.variants.cow_swap_2_6.types", "vmrace.variants.mmu", "vmrace.variants.list_h", "vmrace.variants.pagevec_h",
          "vmrace.variants.spinlock_h", "vmrace.variants.wait", "vmrace.variants.cow_swap_2_6.pre_2_6_26"),
    tail=("vmrace.variants.user_space", "vmrace.variants.cow_swap_2_6.ops"),
    variants={variant.name: variant for variant in (
        Variant("pre_2_6_26", (), "2.6.26 as it was", "Linux 2.6.26, 13 Jul 2008"),
        Variant("pre_2_6_26_rc7_tail", (_IN + "cow_tail_2_6_26_rc7",),
                "2.6.26 with the end of do_wp_page of 2.6.26-rc7; a positive control",
                "Nick Piggin, 22 Jun 2008, \"mm: fix race in COW logic\", taken back from 2.6.26"),
        Variant("gup_persist", (_IN + "gup_persist",),
                "Hugh Dickins, 18 Jun 2008: get_user_pages goes on asking for a writable pte",
                "Hugh Dickins, 18 Jun 2008, against 2.6.26-rc6, as posted", lines=_GUP),
        Variant("hugh_interim_jun19", (_IN + "hugh_interim_jun19",),
                "Hugh Dickins, 19 Jun 2008: a locked page is judged by two separate looks; a positive control",
                "Hugh Dickins, 19 Jun 2008, one hunk as posted; page_is_shared() reconstructed", lines={"mm/memory.c": {1790: 1784}}),
        Variant("nick_lock_page", (_IN + "nick_lock_page",),
                "Nick Piggin, 20 Jun 2008: do_wp_page waits for the page's lock",
                "Nick Piggin, 20 Jun 2008, against git of that day, as posted", lines={"mm/memory.c": {1789: 1784}}),
        Variant("hugh_can_reuse", (_IN + "hugh_can_reuse",),
                "Hugh Dickins, 23 Jun 2008 (seed 001): decide COW without the page's lock, and free the swap",
                "Hugh Dickins, 23 Jun 2008, against 2.6.26-rc7, as posted, over 2.6.26; seed 001", lines=_SEED),
        Variant("hugh_can_reuse_rc7", (_IN + "hugh_can_reuse", _IN + "cow_tail_2_6_26_rc7"),
                "the same on the end of do_wp_page that it was posted against",
                "Hugh Dickins, 23 Jun 2008, as posted; the end of do_wp_page() as in 2.6.26-rc7", lines=_RC7),
        Variant("hugh_can_reuse_gup", (_IN + "hugh_can_reuse", _IN + "gup_persist"),
                "the same with get_user_pages of 18 Jun",
                "Hugh Dickins, 18 and 23 Jun 2008, as posted; put together by us", lines=_SEED | {"mm/memory.c": {1795: 1784}}),
        Variant("hugh_can_reuse_claims", (_IN + "hugh_can_reuse", _IN + "hugh_can_reuse_claims"),
                "the same with the claims of its comments as checks",
                "Hugh Dickins, 23 Jun 2008, as posted; the checks are ours", lines=_SEED),
        Variant("merged_2_6_29", (_IN + "gup_persist", _IN + "merged_2_6_29"),
                "Hugh Dickins, 23 Nov 2008, in 2.6.29: wait for the page's lock, free the swap; over 2.6.26",
                "Hugh Dickins, 23 Nov 2008, patches 1 to 5 of 8, against 2.6.28-rc; transplanted over 2.6.26", lines=_MERGED),
        Variant("swapin_recheck_half", (_IN + "gup_persist", _IN + "merged_2_6_29", _IN + "swapin_recheck_half"),
                "Andrea Arcangeli, 3 Sep 2010: a swap-in looks whether its page is still swap cache",
                "Andrea Arcangeli, 3 Sep 2010, 4969c1192d15; one statement, transplanted over merged_2_6_29", lines=_MERGED),
        Variant("swapin_recheck", (_IN + "gup_persist", _IN + "merged_2_6_29", _IN + "swapin_recheck"),
                "Hugh Dickins, 19 Sep 2010: it also looks whether the entry is still the same",
                "Hugh Dickins, 19 Sep 2010, against 2.6.36-rc4; one statement, transplanted over merged_2_6_29", lines=_MERGED),
        Variant("page_count_5_9", (_IN + "gup_persist", _IN + "merged_2_6_29", _IN + "swapin_recheck", _IN + "page_count_5_9"),
                "Linus Torvalds, Sep 2020, in 5.9: reuse a page only if it has one reference; over 2.6.26",
                "Linus Torvalds, 2 and 24 Sep 2020, 09854ba94c6a and be068f29034f; transplanted over swapin_recheck", lines=_COUNT),
        Variant("page_count_5_9_rc4",
                (_IN + "gup_persist", _IN + "merged_2_6_29", _IN + "swapin_recheck", _IN + "page_count_5_9", _IN + "page_count_5_9_rc4"),
                "the same with the slip of its first version: the page is unlocked too late; a positive control",
                "Linus Torvalds, 2 Sep 2020, 09854ba94c6a; transplanted over swapin_recheck", lines={"mm/memory.c": {1798: 1784}}),
    )},
    check=check,
    drained=drained,
    describe=describe,
)
