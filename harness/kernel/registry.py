# SPDX-License-Identifier: MIT
"""The image that is being linked: the core that its objects are made for, and every object made, so that a run can reset them.

A class of kernel objects names its `state_slots` and its `volatile_slots`. State slots are reset before each run. Volatile slots have
their first value again whenever a run comes to rest, so they are reset only after a run that did not. A slot whose name ends in `[:]`
holds a list.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from vmrace.harness.errors import ProgramError

CORES = ("fast", "checked", "functions", "up", "floor")


class KernelObject(Protocol):
    """An object of the toolkit: it has a name, and registers when it is made."""

    name: str


class Core:
    """The way in which the fields and lists of one image are watched.

    fast        for several cpus.
    checked     for several cpus, with the same points as "fast"; tests every guard.
    functions   for programs of plain functions: tests every guard, and has a point at each access that no guard covers.
    up          for one cpu.
    floor       for no cpu: nothing is watched. Only benchmarks use it.

    `namespace` has the globals of the image, `created` its kernel objects. `frees` is true if its source calls kfree().
    """

    def __init__(self, name: str, namespace: dict[str, Any] | None = None):
        assert name in CORES, name
        self.name = name
        self.namespace: dict[str, Any] = {} if namespace is None else namespace
        self.created: list[KernelObject] = []
        self.classes: dict[str, type] = {}
        self.frees = False


class _Linking:
    """The state of this process between and during runs.

    `core`: the core of the image that is being linked, or None. `running`: the name of the program whose tasks run now, in which
    making a kernel object is an error; "" outside of a run. `refusal`: the first such error, which the task may have caught.
    """

    core: Core | None = None
    running: str = ""
    refusal: ProgramError | None = None

    def refuse(self, why: str) -> NoReturn:
        """Raise ProgramError: `running` does something that no run may do. The runner raises it again if the task catches it."""
        self.refusal = self.refusal or ProgramError(f"{self.running}: {why}")
        raise self.refusal


linking = _Linking()


def register(made: Any) -> None:
    """Register a kernel object; its constructor calls this.

    Raises ProgramError if its name is no text, or if a running task makes the object. It would be another object in each run, so an
    explorer, which compares runs by the objects that they touch, could not tell which tasks share it.
    """
    if not isinstance(made.name, str):
        raise ProgramError(f"{type(made).__name__}({made.name!r}): the first argument of a kernel object is its name, a text")
    if linking.core is not None:
        linking.core.created.append(made)
    elif linking.running:
        linking.refuse(f"{type(made).__name__} {made.name} is made by a task: kernel objects must be made by the function that makes the "
                       "program; if tasks need new ones, make a pool of them there")


def is_kernel_object(value: object) -> bool:
    """True if objects of this type register when they are made."""
    return hasattr(type(value), "state_slots") or hasattr(type(value), "volatile_slots")


def core_now() -> Core:
    """Return the core that is being linked; outside of a link "functions", as for a struct that a module of plain functions declares."""
    return linking.core or Core("functions")
