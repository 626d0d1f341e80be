# SPDX-License-Identifier: GPL-2.0-only
"""The family's table: its base, its variants, its invariants. types.py lists the parts of the kernel that the model leaves out."""

from vmrace.variants.cow_swap_2_6.invariants import check, describe, drained
from vmrace.variants.family import Family, Variant

FAMILY = Family(
    name="cow_swap_2_6",
    summary="the reuse of a swap page: a copy too few, or one too many",
    era="Linux 2.6.26 .. 5.9",
    seeds="seed 001",
    base=("vmrace.variants.cow_swap_2_6.types", "vmrace.variants.invalidate_2_6.pre_2_6_15.wait",
          "vmrace.variants.mmu", "vmrace.variants.spinlock_h", "vmrace.variants.cow_swap_2_6.pre_2_6_26"),
    tail=("vmrace.variants.user_space", "vmrace.variants.cow_swap_2_6.ops"),
    variants={variant.name: variant for variant in (
        Variant("pre_2_6_26", (), "2.6.26 as it was", "Linux 2.6.26, 13 Jul 2008"),
    )},
    check=check,
    drained=drained,
    describe=describe,
)
