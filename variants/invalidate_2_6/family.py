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
    )},
    check=check,
    drained=drained,
    describe=describe,
)
