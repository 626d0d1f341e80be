# SPDX-License-Identifier: GPL-2.0-only
"""The family's table: its base, its variants, its oracles. What the model leaves out is told in types.py."""

from variants.interface import Family, Variant
from variants.invalidate_2_6.invariants import check, describe, drained

FAMILY = Family(
    name="invalidate_2_6",
    summary="a page that stays mapped after it has left the page cache",
    era="Linux 2.6.12 .. 2.6.15",
    seeds="seed 002",
    base=("variants.invalidate_2_6.types", "variants.invalidate_2_6.pre_2_6_15"),
    tail=("variants.invalidate_2_6.ops",),
    variants={variant.name: variant for variant in (
        Variant("pre_2_6_15", (), "2.6.15 as it was", "Linux 2.6.12 to 2.6.15, 2005"),
        Variant("andrea_seqschedlock", ("variants.invalidate_2_6.andrea_seqschedlock",),
                "Andrea Arcangeli, 13 Dec 2005: a fault asks a new lock if it raced",
                "Andrea Arcangeli, 13 Dec 2005, as posted; seed 002"),
        Variant("andrea_seqschedlock_2", ("variants.invalidate_2_6.andrea_seqschedlock", "variants.invalidate_2_6.andrea_seqschedlock_2"),
                "the same without its slips: our reconstruction of 16 Dec 2005",
                "reconstructed: of seqschedlock-2, Andrea Arcangeli, 16 Dec 2005, only the announcement is public; seed 002"),
        Variant("andrea_find_lock_page", ("variants.invalidate_2_6.andrea_find_lock_page",),
                "Andrea Arcangeli, 10 Jan 2006: a fault locks the page and looks at its mapping",
                "Andrea Arcangeli, seed 002 and the sketch of 11 Jan 2006"),
        Variant("andrea_page_count", ("variants.invalidate_2_6.andrea_page_count",),
                "Andrea Arcangeli, 10 Jan 2006: an invalidate leaves a page in use alone",
                "Andrea Arcangeli, seed 002; Andrew Morton, 8 Sep 2006, 016eb4a0ed06"),
        Variant("page_count_clear_uptodate",
                ("variants.invalidate_2_6.andrea_page_count", "variants.invalidate_2_6.page_count_clear_uptodate"),
                "seed 002: it clears PG_uptodate of a page in use, as in 2.4",
                "Andrea Arcangeli, seed 002, words only"),
        Variant("andrea_pg_truncate", ("variants.invalidate_2_6.andrea_pg_truncate",),
                "Andrea Arcangeli, 31 Mar 2006: it marks the page, a fault locks it and looks",
                "Andrea Arcangeli, 31 Mar 2006, as posted"),
    )},
    check=check,
    drained=drained,
    describe=describe,
)
