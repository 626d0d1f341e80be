# SPDX-License-Identifier: MIT
"""An image: linked kernel source with its state, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any

from vmrace.harness.call_stack import Span
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.registry import Core, KernelObject
from vmrace.harness.kernel.struct import struct
from vmrace.harness.machine.task import Task
from vmrace.harness.sanitizers import lifetime
from vmrace.harness.sanitizers.lockdep import Lockdep
from vmrace.harness.sanitizers.poison import unpoison

# The task_structs of an image, for tasks and for idle loops. Tasks use them from the front, idle loops from the back, so a program may also
# have fewer tasks on more cpus. Each run resets them all.
KERNEL_TASKS, KERNEL_CPUS = 12, 4


@dataclass(frozen=True)
class Origin:
    """The source of a linked function: our file and line, and the file of the historical tree."""

    function: str
    path: str
    line: int
    kernel_file: str


class Image:
    """A linked kernel: its namespace, its state, and the source of each function.

    `save()` returns the present state as one value, `load(value)` restores it; `boot` is the state after the link. `save_volatile`,
    `load_volatile` and `at_rest` are the same for volatile slots (see kernel/registry.py).
    """

    def __init__(self, name: str, core: Core, origin: dict[CodeType, Origin], digest: str, probes: bytearray,
                 racy_spans: frozenset[Span]):
        self.name = name
        self.core = core.name
        self.namespace = core.namespace
        self.objects = core.created
        self.origin = origin
        self.digest = digest
        self.probes = probes
        self.places: list[tuple[str, int]] = []     # of each probe: our file and line
        self.racy_spans = racy_spans
        self.lockdep = Lockdep()
        self.cache: dict[str, Any] = {}                 # values that checks have worked out once for this image
        self.tasks: list[Any] = []
        self.function_of: Callable[[Task], Any] | None = None       # of plain functions: the function of a task
        # kernel file -> {the line of a check in the source: its line in this image, whose patches have moved it}; no check of `patches`
        self.moved: Mapping[str, Mapping[int, int]] = {}
        self.patches: frozenset[str] = frozenset()                  # our files
        self.ends: set[Any] = set()                                 # loops that do not wait (functions/verify.py): (task, object, part)
        # True if a run can free memory that no task may access then
        self.frees = core.frees or any(isinstance(made, list_head) and made.freelist and not made.type_stable for made in self.objects)
        self.bind_state()

    def bind_state(self) -> None:
        """Build the functions that save and restore the state of all objects. The present state becomes the one at boot."""
        self.save, self.load = self._bound(*_state_functions(self.objects, "state_slots"))
        self.save_volatile, self.load_volatile = self._bound(*_state_functions(self.objects, "volatile_slots"))
        self.boot: Any = self.save()
        self.at_rest: Any = self.save_volatile()

    def _bound(self, save: Callable[[], Any], load: Callable[[Any], None]) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        """Return `save` and `load`, or, if memory is freed, wrappers that lift the poison meanwhile: it allows no access to free memory."""
        if not self.frees:
            return save, load
        structs = [made for made in self.objects if isinstance(made, struct)]

        def healthy(act: Callable[..., Any], *state: Any) -> Any:
            for made in structs:
                unpoison(made)
            out = act(*state)
            for made in structs:
                if lifetime.is_gone(made):
                    lifetime.poison_again(made)
            return out
        return partial(healthy, save), partial(healthy, load)

    def __getitem__(self, name: str) -> Any:
        return self.namespace[name]

    def line_of(self, origin: Origin, line: int) -> int:
        """Return the line in the kernel file of this image of a check that the source of a function gives a line."""
        return line if origin.path in self.patches else self.moved.get(origin.kernel_file, {}).get(line, line)

    def defines(self, name: str) -> bool:
        return name in self.namespace


# The number of objects whose state one function restores. CPython keeps frames in chunks of 16 KB. A frame with all slots of a family is
# about as large: each call of a function with it may map a new chunk, and unmap it, which takes longer than the function itself.
OBJECTS_TOGETHER = 64


def _state_functions(objects: list[KernelObject], which: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Return `save` and `load` for all slots that the objects' classes name in `which`, compiled to straight-line code."""
    kept = [made for made in objects if getattr(type(made), which, ())]
    parts = [_part(kept[at:at + OBJECTS_TOGETHER], which) for at in range(0, len(kept), OBJECTS_TOGETHER)]

    def save() -> tuple[Any, ...]:
        return tuple([save_part() for save_part, _ in parts])

    def load(state: tuple[Any, ...]) -> None:
        for (_, load_part), part in zip(parts, state, strict=True):
            load_part(part)
    return save, load


def _part(objects: list[KernelObject], which: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Return `save` and `load` for some objects, each of which has slots."""
    scope: dict[str, Any] = {f"o{number}": made for number, made in enumerate(objects)}
    places = [f"o{number}.{slot}" for number, made in enumerate(objects) for slot in getattr(type(made), which)]
    mine = "".join(f", {name}={name}" for name in scope)        # as parameters: local variables are faster than global ones
    values = ", ".join(f"tuple({place})" if place.endswith("[:]") else place for place in places)
    source = f"def save():\n    return ({values},)\ndef load(state{mine}):\n    ({', '.join(places)},) = state\n"
    exec(compile(source, "<state>", "exec"), scope)
    return scope["save"], scope["load"]
