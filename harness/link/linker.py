# SPDX-License-Identifier: MIT
"""Linking: kernel source modules into one image, by symbol name, the last definition wins.

    image = link("variants.lru_free_2_4.types", "variants.lru_free_2_4.pre_patch", "variants.lru_free_2_4.daniel_lru_count")

Each module's source is compiled and run in one fresh namespace, so an unchanged caller reaches the patched callee, as ld
would bind it, and data is private to the image. A package stands for its modules in alphabetical order. Imports from
`variants` are extern declarations and those from `harness.kernel` the toolkit: both are checked and bound by name.
`__FILE__ = "mm/swap.c"` names the kernel file of the functions below it.

A patch that adds fields to a struct says `class page(page):` with these fields. They are put into the definition of that name,
which an earlier module has, before anything is made of it; a struct that they embed and a later module defines goes before it.

Errors: LinkError with the file and line for an undefined reference, an extern nobody defines, or source outside the rules.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.util
import pathlib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.errors import LinkError
from harness.kernel import CORE_TOOLKIT, TOOLKIT
from harness.kernel.list import list_head
from harness.kernel.registry import Core, linking
from harness.link.guards import bind_list_guards
from harness.machine.machine import m
from harness.machine.task import NEVER, Task
from harness.sanitizers import lifetime
from harness.sanitizers.lockdep import Lockdep
from harness.sanitizers.poison import unpoison
from harness.watchers.call_stack import Span, racy_spans

KERNEL_TASKS, KERNEL_CPUS = 16, 8       # how many task_structs an image has, for tasks and for the idle loops
IDENTITY = ("likely", "unlikely", "data_race")      # the linker takes these calls out, and remembers where data_race stood


@dataclass(frozen=True)
class Origin:
    """Where a linked function comes from: our file and line, and the file of the real tree."""

    function: str
    path: str
    line: int
    kernel_file: str


class Image:
    """A linked kernel: its namespace, its state, and where each function is from.

    `save()` gives the present state as one value, `load(value)` brings it back; `boot` is the state after linking.
    """

    def __init__(self, name: str, core: Core, origin: dict[Any, Origin], digest: str, probes: bytearray,
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
        self.cache: dict[str, Any] = {}                 # what a family's checks have looked up
        self.tasks: list[Any] = []
        self.function_of: Callable[[Task], Any] | None = None       # of a program of plain functions: what a task runs
        self.ends: set[Any] = set()                                 # loops that do not wait: a task, what it reads (see schedulers/alone)
        # whether what it is given back can be memory that must not be accessed
        self.frees = core.frees or any(isinstance(made, list_head) and made.freelist and not made.type_stable for made in self.objects)
        self.bind_state()

    def bind_state(self) -> None:
        """Work out how the state of all objects is saved and brought back; the present one is that at boot."""
        self.save, self.load = self._bound(*_state_functions(self.objects, "state_slots"))
        self.save_volatile, self.load_volatile = self._bound(*_state_functions(self.objects, "volatile_slots"))
        self.boot: Any = self.save()
        self.at_rest: Any = self.save_volatile()

    def _bound(self, save: Callable[[], Any], load: Callable[[Any], None]) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        """The same, where some of the objects may be free: what is free is poisoned, and can then be neither saved nor loaded."""
        if not self.frees:
            return save, load
        structs = [made for made in self.objects if hasattr(made, "allocated")]

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

    def defines(self, name: str) -> bool:
        return name in self.namespace


def link(*modules: str, core: str = "fast", probes: bool = False, toolkit: dict[str, Any] | None = None) -> Image:
    """Link kernel source. `core`: how fields are watched (see kernel/registry). `probes`: mark each block that runs."""
    namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": "vmlinux"}
    made_for = Core(core, namespace)
    tools = {**TOOLKIT, **CORE_TOOLKIT[core], **(toolkit or {})}
    namespace.update(tools)
    marks = bytearray()
    namespace["__cov__"] = marks
    unit = _Unit(made_for, tools, probes)
    linking.core = made_for
    boot_task = m.current = Task(-1, "link")            # module bodies run as the boot task: nobody else is there
    boot_task.held = Lockdep().root
    m.stop = NEVER
    try:
        sources = [(path, unit.read(path)) for path in _sources(modules)]
        _extend(sources)
        made_for.frees = any(alias.name == "kfree" for _, tree in sources for node in tree.body if isinstance(node, ast.ImportFrom)
                             for alias in node.names)
        for path, tree in sources:
            unit.load(path, tree)
        unit.check()
        marks.extend(bytes(unit.blocks + 1))        # nothing has run yet but module bodies, which have no blocks
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


def _sources(modules: tuple[str, ...]) -> Iterator[pathlib.Path]:
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise LinkError(f"no kernel source module {name!r}")
        path = pathlib.Path(spec.origin)
        if path.name == "__init__.py":
            yield from sorted(inner for inner in path.parent.glob("*.py") if inner.name != "__init__.py")
        else:
            yield path


def _extend(sources: list[tuple[pathlib.Path, ast.Module]]) -> None:
    """Move the fields of each `class name(name)` into the definition of that name, and what they embed in front of it."""
    order = {id(tree): number for number, (_, tree) in enumerate(sources)}
    classes = [(path, tree, node) for path, tree in sources for node in tree.body if isinstance(node, ast.ClassDef)]
    added = [found for found in classes if [base.id for base in found[2].bases if isinstance(base, ast.Name)] == [found[2].name]]
    defined = {node.name: (tree, node) for path, tree, node in classes if (path, tree, node) not in added}
    for path, tree, node in added:
        there, definition = defined.get(node.name, (tree, node))
        if order[id(there)] >= order[id(tree)]:
            raise LinkError(f"{path}:{node.lineno}: adds to struct {node.name}, which no module before it defines")
        tree.body.remove(node)
        definition.body += [field for field in node.body if not _is_docstring(field)]
        for name in {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} & defined.keys():
            holds, embedded = defined[name]
            if order[id(holds)] > order[id(there)]:
                holds.body.remove(embedded)
                there.body.insert(there.body.index(definition), embedded)
                defined[name] = there, embedded


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Unit:
    """One link in progress."""

    def __init__(self, core: Core, tools: dict[str, Any], probes: bool):
        self.core = core
        self.tools = tools
        self.probes = probes
        self.blocks = 0
        self.places: list[tuple[str, int]] = [("", 0)]
        self.hash = hashlib.blake2b(digest_size=16)
        self.origin: dict[Any, Origin] = {}
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
            elif _is_file_directive(node):
                files.append((node.lineno, node.value.value))  # type: ignore[attr-defined]
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Expr):
                body.append(node)
                if isinstance(node, ast.FunctionDef):
                    self.defined[node.name] = (str(path), node.lineno)
            else:
                raise LinkError(f"{path}:{node.lineno}: {type(node).__name__.lower()} has no place in kernel source")
        self.racy_spans |= racy_spans(tree, str(path))
        tree.body = [_Inline().visit(node) for node in body]
        if self.probes:
            tree.body = [_Probes(self, str(path)).visit(node) for node in tree.body]
        ast.fix_missing_locations(tree)
        code = compile(tree, str(path), "exec")
        exec(code, self.core.namespace)
        for inner, function in functions_of(code):
            file = next((name for line, name in reversed(files) if line < inner.co_firstlineno), path.stem)
            self.origin[inner] = Origin(function, str(path), inner.co_firstlineno, file)

    def _import(self, node: ast.ImportFrom, path: pathlib.Path) -> None:
        root = (node.module or "").partition(".")[0]
        for alias in node.names:
            if alias.asname or alias.name == "*" or root not in ("harness", "variants"):
                raise LinkError(f"{path}:{node.lineno}: kernel source imports names from harness.kernel or variants, plainly")
            if root == "harness" and alias.name not in self.tools:
                raise LinkError(f"{path}:{node.lineno}: harness.kernel has no {alias.name}")
            self.externs.append((alias.name, str(path), node.lineno))

    def check(self) -> None:
        """Every name that a function uses must be defined by now."""
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


class _Inline(ast.NodeTransformer):
    """What the C compiler does with macros: likely(x) is x, BUG_ON(c, line) is `if c: BUG(line)`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in IDENTITY and len(node.args) == 1:
            return node.args[0]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        self.generic_visit(node)
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "BUG_ON":
            condition, line = call.args
            bug = ast.Expr(ast.Call(ast.Name("BUG", ast.Load()), [line], []))
            return ast.copy_location(ast.If(condition, [ast.copy_location(bug, node)], []), node)
        return node


class _Probes(ast.NodeTransformer):
    """`__cov__[k] = 1` at the start of every block."""

    def __init__(self, unit: _Unit, path: str):
        self.unit = unit
        self.path = path

    def _mark(self, block: list[ast.stmt]) -> list[ast.stmt]:
        self.unit.blocks += 1
        self.unit.places.append((self.path, block[0].lineno))
        target = ast.Subscript(ast.Name("__cov__", ast.Load()), ast.Constant(self.unit.blocks), ast.Store())
        mark = ast.copy_location(ast.Assign([target], ast.Constant(1)), block[0])
        return [mark, *block]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.If | ast.While | ast.For):
            node.body = self._mark(node.body)
            if getattr(node, "orelse", None):
                node.orelse = self._mark(node.orelse)  # type: ignore[union-attr]
        return node


def _is_file_directive(node: ast.stmt) -> bool:
    return (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__FILE__"
            and isinstance(node.value, ast.Constant))


def functions_of(code: types.CodeType, within: str = "") -> Iterator[tuple[types.CodeType, str]]:
    """Every code object inside, with the function it is part of: a comprehension is no function of its own."""
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


def _state_functions(objects: list[Any], which: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """`save` and `load` for all slots that the objects' classes name in `which`, as straight-line code."""
    scope: dict[str, Any] = {}
    places = []
    for number, made in enumerate(objects):
        for slot in getattr(type(made), which, ()):
            scope[f"o{number}"] = made
            places.append(f"o{number}.{slot}")
    mine = "".join(f", {name}={name}" for name in scope)        # as parameters: local variables are faster than global ones
    values = ", ".join(f"tuple({place})" if place.endswith("[:]") else place for place in places)
    targets = ", ".join(places)
    source = f"def save():\n    return ({values},)\n" if places else "def save():\n    return ()\n"
    source += f"def load(state{mine}):\n    ({targets},) = state\n" if places else "def load(state):\n    pass\n"
    exec(compile(source, "<state>", "exec"), scope)
    return scope["save"], scope["load"]
