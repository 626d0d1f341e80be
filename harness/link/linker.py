# SPDX-License-Identifier: MIT
"""The linker: it links modules of kernel source into one image by the names of symbols. The last definition of a name wins.

    image = link("vmrace.variants.lru_free_2_4.types", "vmrace.variants.lru_free_2_4.pre_patch",
                 "vmrace.variants.lru_free_2_4.daniel_lru_count")

The source of every module is compiled and run in one fresh namespace. An unchanged caller thus reaches the patched callee, as with ld,
and data is private to the image. A package stands for its modules in alphabetical order. An import from `variants` is an extern
declaration, one from `vmrace.harness.kernel` names the toolkit; both are checked, and bound by name. `__FILE__ = "mm/swap.c"` names the
kernel file of the functions below it.

A patch adds fields to a struct by `class page(page):` with these fields. The linker moves them into the definition of that name in an
earlier module, before any object is made. If they embed a struct that a later module defines, that definition is moved in front of it.

Raises LinkError, with the file and the line, for an undefined reference, an extern without a definition, or source outside the rules.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import marshal
import pathlib
import types
from collections.abc import Iterator
from typing import Any

from vmrace.harness.call_stack import Span
from vmrace.harness.errors import LinkError
from vmrace.harness.kernel import CORE_TOOLKIT, TOOLKIT
from vmrace.harness.kernel.registry import Core, linking
from vmrace.harness.link.guards import bind_list_guards
from vmrace.harness.link.image import KERNEL_CPUS, KERNEL_TASKS, Image, Origin
from vmrace.harness.link.source import ObjectFile, Source, code_objects, compile_files
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import NEVER, TASKS_MAX, Task
from vmrace.harness.sanitizers.lockdep import Lockdep


def link(*modules: str, core: str = "fast", probes: bool = False, toolkit: dict[str, Any] | None = None) -> Image:
    """Link modules of kernel source into an image.

    `core`: the way in which fields are watched (see kernel/registry.py). `probes`: mark each block that runs, in `Image.probes`.
    `toolkit`: names that replace those of the toolkit. Raises LinkError.
    """
    assert linking.core is None, linking.core               # else the objects of both would go to one image
    namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": "vmlinux"}
    made_for = Core(core, namespace)
    tools = {**TOOLKIT, **CORE_TOOLKIT[core], **(toolkit or {})}
    namespace.update(tools)
    marks = bytearray()
    namespace["__cov__"] = marks
    unit = _Unit(made_for, tools)
    linking.core = made_for
    boot_task = m.current = Task(-1, "link")            # module bodies run as the boot task, alone
    boot_task.held = Lockdep().root
    m.stop = NEVER
    try:
        sources = [Source(str(path), path.read_text()) for path in files_of(modules)]
        objects = list(compile_files(sources, probes))
        for source, made in zip(sources, objects, strict=True):
            unit.declare(source, made)
        made_for.frees = any(name == "kfree" for name, _, _ in unit.externs)
        for source, made in zip(sources, objects, strict=True):
            unit.load(source.path, made)
        unit.check()
        marks.extend(bytes(len(unit.places)))        # only module bodies have run, and these have no blocks
        image_tasks = _task_structs(namespace)
    finally:
        linking.core = None
    bind_list_guards(made_for, namespace)
    image = Image(modules[-1].rpartition(".")[2], made_for, unit.origin, unit.hash.hexdigest(), marks, frozenset(unit.racy_spans))
    image.places, image.tasks = unit.places, image_tasks
    return image


def _task_structs(namespace: dict[str, Any]) -> list[Any]:
    """Make the task_structs of an image, those of idle loops last and backwards: loop N has the index -1 - N."""
    if "task_struct" not in namespace:
        return [None] * TASKS_MAX
    return [namespace["task_struct"](name) for name in (*(f"task{number}" for number in range(KERNEL_TASKS)),
                                                        *(f"swapper{number}" for number in reversed(range(KERNEL_CPUS))))]


def files_of(modules: tuple[str, ...]) -> Iterator[pathlib.Path]:
    """Yield the files of modules of kernel source. Raises LinkError if there is no such module."""
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise LinkError(f"no kernel source module {name!r}")
        path = pathlib.Path(spec.origin)
        if path.name == "__init__.py":
            yield from sorted(inner for inner in path.parent.glob("*.py") if inner.name != "__init__.py")
        else:
            yield path


class _Unit:
    """One link in progress: the blocks, the externs and the functions of the files so far."""

    def __init__(self, core: Core, tools: dict[str, Any]):
        self.core = core
        self.tools = tools
        self.places: list[tuple[str, int]] = [("", 0)]
        self.hash = hashlib.blake2b(digest_size=16)
        self.origin: dict[types.CodeType, Origin] = {}
        self.globals: dict[types.CodeType, tuple[tuple[str, int], ...]] = {}
        self.externs: list[tuple[str, str, int]] = []
        self.racy_spans: set[Span] = set()

    def declare(self, source: Source, made: ObjectFile) -> None:
        """Note the blocks of a compiled file, and the names that it declares extern. Raises LinkError."""
        self.hash.update(source.text.encode())
        self.places += [(source.path, line) for line in made.blocks]
        for name, room, line in made.externs:
            if room == "vmrace.harness" and name not in self.tools:
                raise LinkError(f"{source.path}:{line}: vmrace.harness.kernel has no {name}")
            self.externs.append((name, source.path, line))

    def load(self, path: str, made: ObjectFile) -> None:
        """Run a compiled file in the namespace of the image."""
        self.racy_spans.update(made.racy_spans)
        code = marshal.loads(made.code)     # code objects of this image only: the interpreter specializes them for one namespace
        exec(code, self.core.namespace)
        for (inner, name), function in zip(code_objects(code), made.functions, strict=True):
            self.origin[inner] = Origin(name, path, inner.co_firstlineno, function.kernel_file)
            self.globals[inner] = function.globals

    def check(self) -> None:
        """Raise LinkError if a function of the image, or an extern declaration, uses a name that is not defined."""
        namespace = self.core.namespace
        for name, path, line in self.externs:
            if name not in namespace:
                raise LinkError(f"{path}:{line}: undefined reference to {name} (declared extern, defined nowhere)")
        functions = [value.__code__ for value in namespace.values() if isinstance(value, types.FunctionType)]
        current = {id(code) for outer in functions for code in (outer, *(inner for inner, _ in code_objects(outer)))}
        for code, origin in self.origin.items():
            if id(code) not in current:
                continue
            for name, line in self.globals[code]:
                if name not in namespace and not hasattr(builtins, name):
                    raise LinkError(f"{origin.path}:{line}: undefined reference to {name} in {origin.function}")
