# SPDX-License-Identifier: MIT
"""A family of two variants over the small VM, for the sanitizers that judge a run at rest: invariant, quiet, leak, data, user."""

from __future__ import annotations

from collections.abc import Iterator

from vmrace.harness.link.image import Image
from vmrace.variants.family import Family, Variant


def check(image: Image) -> Iterator[tuple[str, str]]:
    used = sum(page.used for page in image["pages"])
    if image["vm"]._nr_used != used:
        yield "INVARIANT: nr_used differs from the pages in use", f"{image['vm']._nr_used}, not {used}"
    if image["vm"]._dirty:
        yield "INVARIANT: a page is dirty and nobody writes it", ""


def drained(image: Image) -> Iterator[tuple[str, str]]:
    for page in image["pages"]:
        if page.used:
            yield "LEAK: page left over after everything was given up", page.name


def describe(image: Image) -> dict[str, str]:
    return {page.name: str(page._refs) for page in image["pages"]}


SMALL = Family(
    name="small",
    summary="the least VM",
    era="none",
    base=("tests.canaries.kernels.small_vm",),
    variants={variant.name: variant for variant in (
        Variant("broken", (), "nothing is locked", "tests"),
        Variant("repaired", ("tests.canaries.kernels.small_vm_repaired",), "one lock", "tests"),
    )},
    check=check,
    drained=drained,
    describe=describe,
)
