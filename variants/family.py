# SPDX-License-Identifier: GPL-2.0-only
"""The shared VM interface: the operations a user of the VM has, and what a family and a variant are.

One operation language for all families. A family has an operation if its kernel source defines `op_NAME`; a variant may
lack more. An operation whose operand is gone (exited, unmapped, never pinned) is a no-op by rule, so every program is
legal. Operands are symbolic:

    m0 .. m3      address spaces: m0 is alive at boot, fork makes the others
    m0.2          a page of one
    f0, f1        files     f0.1  a page of one
    k0 .. k3      pins (a get_user_pages reference, or another that is kept for a while)
    3             a small number
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vmrace.harness.link.image import Image
from vmrace.harness.link.linker import link
from vmrace.variants.operations import OPERATIONS


@dataclass(frozen=True)
class Variant:
    """A patch, or none: the modules linked over the family's base, and where it comes from."""

    name: str
    modules: tuple[str, ...]
    summary: str
    source: str


@dataclass
class Family:
    """A set of variants over one base. `check` judges an image at rest: (title, detail) for each invariant that fails.

    `drained` does so after everything was given up and reclaimed; `describe` tells each page in a few words.

    The linked operations define, besides each `op_NAME`: `boot(threads)`, which makes the first process, with `threads[mm]`
    tasks in each address space to come; `start()`, the end of the setup; `leave(task, mms)`, a task's last act, with the
    address spaces it names; `drain()`, which gives everything up.
    """

    name: str
    summary: str
    era: str
    base: tuple[str, ...]
    variants: dict[str, Variant]
    check: Callable[[Image], Iterable[tuple[str, str]]]
    drained: Callable[[Image], Iterable[tuple[str, str]]]
    describe: Callable[[Image], dict[str, str]]
    tail: tuple[str, ...] = ()
    seeds: str = ""
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)       # variant -> operations it lacks

    def link(self, variant: str, core: str = "fast", probes: bool = False, toolkit: dict[str, Any] | None = None) -> Image:
        """The image of one variant: base, its patches, then the operations."""
        modules = (*self.base, *self.variants[variant].modules, *self.tail)
        image = link(*modules, core=core, probes=probes, toolkit=toolkit)
        image.name = f"{self.name}/{variant}"
        return image

    def operations(self, image: Image, variant: str) -> tuple[str, ...]:
        """The operations this variant has, in the order of the shared interface."""
        lacks = self.without.get(variant, ())
        return tuple(name for name in OPERATIONS if name not in lacks and image.defines(f"op_{name}"))


# name -> module with FAMILY; one line per family
FAMILIES: dict[str, str] = {
    "lru_free_2_4": "vmrace.variants.lru_free_2_4.family",
    "invalidate_2_6": "vmrace.variants.invalidate_2_6.family",
}


def family(name: str) -> Family:
    """The family of that name. KeyError if there is none."""
    return importlib.import_module(FAMILIES[name]).FAMILY
