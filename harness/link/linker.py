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

import ast
import builtins
import hashlib
import importlib.util
import pathlib
import types
from collections.abc import Iterator
from typing import Any

from vmrace.harness.call_stack import Span, racy_spans
from vmrace.harness.errors import LinkError
from vmrace.harness.kernel import CORE_TOOLKIT, TOOLKIT
from vmrace.harness.kernel.registry import Core, linking
from vmrace.harness.link.guards import bind_list_guards
from vmrace.harness.link.image import KERNEL_CPUS, KERNEL_TASKS, Image, Origin
from vmrace.harness.link.rewrite import Inline, Probes, extend, is_file_directive
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import NEVER, Task
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
    unit = _Unit(made_for, tools, probes)
    linking.core = made_for
    boot_task = m.current = Task(-1, "link")            # module bodies run as the boot task, alone
    boot_task.held = Lockdep().root
    m.stop = NEVER
    try:
        sources = [(path, unit.read(path)) for path in files_of(modules)]
        extend(sources)
        made_for.frees = any(alias.name == "kfree" for _, tree in sources for node in tree.body if isinstance(node, ast.ImportFrom)
                             for alias in node.names)
        for path, tree in sources:
            unit.load(path, tree)
        unit.check()
        marks.extend(bytes(unit.blocks + 1))        # only module bodies have run, and these have no blocks
        image = Image(modules[-1].rpartition(".")[2], made_for, unit.origin, unit.hash.hexdigest(), marks,
                      frozenset(unit.racy_spans))
        image.places = unit.places
        if "task_struct" in namespace:
            image.tasks = [namespace["task_struct"](f"task{n}") for n in range(KERNEL_TASKS)]
            image.tasks += [namespace["task_struct"](f"swapper{n}") for n in reversed(range(KERNEL_CPUS))]
        else:
            image.tasks = [None] * (KERNEL_TASKS + KERNEL_CPUS)
    finally:
        linking.core = None
    bind_list_guards(made_for, namespace)
    image.bind_state()
    return image


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
    """One link in progress: the sources read so far, their externs, and the functions they define."""

    def __init__(self, core: Core, tools: dict[str, Any], probes: bool):
        self.core = core
        self.tools = tools
        self.probes = probes
        self.blocks = 0
        self.places: list[tuple[str, int]] = [("", 0)]
        self.hash = hashlib.blake2b(digest_size=16)
        self.origin: dict[types.CodeType, Origin] = {}
        self.externs: list[tuple[str, str, int]] = []
        self.racy_spans: set[Span] = set()
        self.defined: dict[str, tuple[str, int]] = {}

    def read(self, path: pathlib.Path) -> ast.Module:
        text = path.read_text()
        self.hash.update(text.encode())
        return ast.parse(text, str(path))

    def load(self, path: pathlib.Path, tree: ast.Module) -> None:
        files: list[tuple[int, str]] = []
        body: list[ast.stmt] = []
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                self._import(node, path)
            elif is_file_directive(node):
                files.append((node.lineno, node.value.value))  # type: ignore[attr-defined]
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Expr):
                body.append(node)
                if isinstance(node, ast.FunctionDef):
                    self.defined[node.name] = (str(path), node.lineno)
            else:
                raise LinkError(f"{path}:{node.lineno}: {type(node).__name__.lower()} has no place in kernel source")
        self.racy_spans |= racy_spans(tree, str(path))
        tree.body = [Inline().visit(node) for node in body]
        if self.probes:
            tree.body = [Probes(self, str(path)).visit(node) for node in tree.body]
        ast.fix_missing_locations(tree)
        code = compile(tree, str(path), "exec")
        exec(code, self.core.namespace)
        for inner, function in functions_of(code):
            file = next((name for line, name in reversed(files) if line < inner.co_firstlineno), path.stem)
            self.origin[inner] = Origin(function, str(path), inner.co_firstlineno, file)

    def _import(self, node: ast.ImportFrom, path: pathlib.Path) -> None:
        root = ".".join((node.module or "").split(".")[:2])
        for alias in node.names:
            if alias.asname or alias.name == "*" or root not in ("vmrace.harness", "vmrace.variants"):
                raise LinkError(f"{path}:{node.lineno}: kernel source imports names from vmrace.harness.kernel or vmrace.variants, plainly")
            if root == "vmrace.harness" and alias.name not in self.tools:
                raise LinkError(f"{path}:{node.lineno}: vmrace.harness.kernel has no {alias.name}")
            self.externs.append((alias.name, str(path), node.lineno))

    def check(self) -> None:
        """Raise LinkError if a function of the image, or an extern declaration, uses a name that is not defined."""
        namespace = self.core.namespace
        for name, path, line in self.externs:
            if name not in namespace:
                raise LinkError(f"{path}:{line}: undefined reference to {name} (declared extern, defined nowhere)")
        functions = [value.__code__ for value in namespace.values() if isinstance(value, types.FunctionType)]
        current = {id(code) for outer in functions for code in (outer, *(inner for inner, _ in functions_of(outer)))}
        for code, origin in self.origin.items():
            if id(code) not in current:
                continue
            for name, line in _globals_of(code):
                if name not in namespace and not hasattr(builtins, name):
                    raise LinkError(f"{origin.path}:{line}: undefined reference to {name} in {origin.function}")


def functions_of(code: types.CodeType, within: str = "") -> Iterator[tuple[types.CodeType, str]]:
    """Yield every code object inside `code`, with the name of its function. A comprehension belongs to the function around it."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            function = within if constant.co_name.startswith("<") and within else constant.co_name
            yield constant, function
            yield from functions_of(constant, function)


def _globals_of(code: types.CodeType) -> Iterator[tuple[str, int]]:
    import dis
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if instruction.starts_line:
            line = instruction.starts_line if not isinstance(instruction.starts_line, bool) else line
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            yield instruction.argval, line


