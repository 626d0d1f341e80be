# SPDX-License-Identifier: MIT
"""A family whose programs are explored in some hundredths of a second: a slot that is taken, and the answers to a second taker."""

from __future__ import annotations

from vmrace.variants.family import Family, Variant

PATCHES = {"base": (), "copy": (), "patch": ("tests.fuzz.kernels.returning_patch",), "check": ("tests.fuzz.kernels.returning_bug",)}

FAMILY = Family(
    name="returning", summary="a slot", era="none", base=("tests.fuzz.kernels.returning",), tail=("tests.fuzz.kernels.returning_ops",),
    variants={name: Variant(name, modules, "", "tests") for name, modules in PATCHES.items()},
    check=lambda image: (), drained=lambda image: (), describe=lambda image: {},
)
