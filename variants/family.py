# SPDX-License-Identifier: GPL-2.0-only
"""Families and variants of kernel code, and the VM interface that they share.

The families share one language of operations. A family has an operation if its kernel source defines `op_NAME`; a variant may lack
some of these. An operation whose operand is gone (exited, unmapped, never pinned) does nothing by rule, so every program is legal.
Operands are symbolic:

    m0 .. m3      address spaces: m0 is alive at boot, fork makes the others
    m0.2          a page of an address space
    f0, f1        files     f0.1  a page of a file
    k0 .. k3      pins: references to pages, kept for a while, as by get_user_pages
    3             a small number
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vmrace.harness.finding import Failure
from vmrace.harness.link.image import Image
from vmrace.harness.link.linker import files_of, link
from vmrace.variants.operations import OPERATIONS

_CHECK = re.compile(r"(?P<before>(?:BUG|WARN) at (?P<file>\S+):)(?P<line>\d+)(?P<after> in \w+)")       # the title of a check


@dataclass(frozen=True)
class Variant:
    """A patch of a family's base: the modules to link over the base, none for the base itself, and the public source.

    `lines`: kernel file -> {line of a check in the patched file: its line in the base}, for each check that the patch moves. The title
    of a BUG has the line of the kernel that prints it, so one check has two titles. `identity` tells that they are one.
    """

    name: str
    modules: tuple[str, ...]
    summary: str
    source: str
    lines: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def identity(self, title: str) -> str:
        """Return the title that the base gives this finding. Titles of two variants are compared by their identities."""
        found = _CHECK.fullmatch(title)
        if found is None:
            return title
        line = int(found["line"])
        return f"{found['before']}{self.lines.get(found['file'], {}).get(line, line)}{found['after']}"


@dataclass
class Family:
    """A set of variants of one base.

    `check` judges an image at rest, when all tasks have ended: a title, a detail and, if there is one, the object that fails, for each
    invariant that does. `drained` judges an image after `drain()`. `describe` maps each page to a few words on its state. `base`, the
    variant's modules and `tail` (the operations) are linked in this order. `era` names the kernel versions, `seeds` the posts.

    An operation returns what the system call behind it returned to its user: an error code, a count, the signal of a fault, or 0. It
    returns None if it did nothing, or if no user waits for it (reclaim, an interrupt).

    Besides each `op_NAME`, the linked operations define four functions. `boot(threads)` makes the first process; `threads[mm]` is the
    number of tasks in each address space to come. `start()` ends the setup. `leave(task, mms)` ends a task, which names the address
    spaces `mms`. `drain()` frees everything and reclaims.
    """

    name: str
    summary: str
    era: str
    base: tuple[str, ...]
    variants: dict[str, Variant]
    check: Callable[[Image], Iterable[Failure]]
    drained: Callable[[Image], Iterable[Failure]]
    describe: Callable[[Image], dict[str, str]]
    tail: tuple[str, ...] = ()
    seeds: str = ""
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)       # variant -> operations of the family that it lacks

    def link(self, variant: str, core: str = "fast", probes: bool = False, toolkit: dict[str, Any] | None = None) -> Image:
        """Link the image of a variant: the base, its patches, then the operations.

        `core` names the implementation of the toolkit ("fast", "checked" or "up"), `toolkit` replaces parts of it. `probes` counts
        the blocks of source that run.
        """
        chosen = self.variants[variant]
        image = link(*self.base, *chosen.modules, *self.tail, core=core, probes=probes, toolkit=toolkit)
        image.name = f"{self.name}/{variant}"
        image.moved = {file: {base: line for line, base in lines.items()} for file, lines in chosen.lines.items()}
        image.patches = frozenset(map(str, files_of(chosen.modules)))
        return image

    def operations(self, image: Image, variant: str) -> tuple[str, ...]:
        """List the operations of a variant, in the order of the shared interface."""
        lacks = self.without.get(variant, ())
        return tuple(name for name in OPERATIONS if name not in lacks and image.defines(f"op_{name}"))


# name -> the module that defines FAMILY; one line for each family
FAMILIES: dict[str, str] = {
    "lru_free_2_4": "vmrace.variants.lru_free_2_4.family",
    "invalidate_2_6": "vmrace.variants.invalidate_2_6.family",
    "cow_swap_2_6": "vmrace.variants.cow_swap_2_6.family",
}


def family(name: str) -> Family:
    """Return the family of that name. Raises KeyError if there is none."""
    made = importlib.import_module(FAMILIES[name]).FAMILY
    assert isinstance(made, Family) and made.name == name, f"{FAMILIES[name]} does not define the family {name}"
    return made


def identity(name: str, title: str) -> str:
    """Return the identity of a finding of FAMILY/VARIANT: see Variant.identity. Without such a variant it is the title."""
    family_name, _, variant = name.partition("/")
    found = family(family_name).variants.get(variant) if family_name in FAMILIES else None
    return found.identity(title) if found is not None else title
