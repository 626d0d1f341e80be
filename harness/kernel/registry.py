# SPDX-License-Identifier: MIT
"""What is being linked: the core its objects are made for, and all objects made, so that an image can reset them.

A class of kernel objects says which of its slots are `state_slots` (reset before each run) and which `volatile_slots`: back at
their first value whenever a run came to rest, so reset only after one that did not. A name that ends in `[:]` is a list.
"""

from __future__ import annotations

from typing import Any, NoReturn

from vmrace.harness.errors import ProgramError

CORES = ("fast", "checked", "functions", "up", "floor")


class Core:
    """How watched fields and lists are kept.

    "fast" and "checked" are for machines with several cpus and have the same points; "checked" tests every guard. "functions" is
    for programs of plain functions: it tests every guard, and an access that no guard covers is a point. "up" is for one cpu,
    "floor" for none.

    `namespace` is that of the image being linked; `created` collects its objects; `frees` says that its source calls kfree().
    """

    def __init__(self, name: str, namespace: dict[str, Any] | None = None):
        assert name in CORES, name
        self.name = name
        self.namespace: dict[str, Any] = {} if namespace is None else namespace
        self.created: list[Any] = []
        self.classes: dict[str, type] = {}
        self.frees = False


class _Linking:
    """`running`: the program whose tasks run, where these may not make objects. `refusal`: why it is not to be run any more."""

    core: Core | None = None
    running: str = ""
    refusal: ProgramError | None = None

    def refuse(self, why: str) -> NoReturn:
        """What a task does cannot be run. ProgramError, also where the task catches it."""
        self.refusal = self.refusal or ProgramError(f"{self.running}: {why}")
        raise self.refusal


linking = _Linking()


def register(made: Any) -> None:
    """Called by every kernel object's constructor. ProgramError if a task that runs makes one: it is another one in each run, so
    nobody who compares runs could tell who else touches it."""
    if linking.core is not None:
        linking.core.created.append(made)
    elif linking.running:
        linking.refuse(f"{type(made).__name__} {made.name} is made by a task: kernel objects must be made by the function that makes the "
                       "program; where tasks need new ones, make a pool of them there")


def is_kernel_object(value: object) -> bool:
    """True of whatever registers, or would have if a program had made it."""
    return hasattr(type(value), "state_slots") or hasattr(type(value), "volatile_slots")


def core_now() -> Core:
    """The core being linked. A class that a module of plain functions defines is for these."""
    return linking.core or Core("functions")
