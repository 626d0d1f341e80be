# SPDX-License-Identifier: MIT
"""Files of kernel source, and the object files that the linker makes of them: parsed, rewritten, compiled, and not yet run.

An object file is kept beside Python's own compiled files. It is used again while all it is made of is the same: the text, the
interpreter, the linker's rewriting and, for a file with a struct, every other file with one, since a patch may add fields to it.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import hashlib
import importlib.util
import marshal
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import NamedTuple

from vmrace.harness.call_stack import Span, racy_spans
from vmrace.harness.errors import LinkError
from vmrace.harness.link.rewrite import Inline, Probes, extend, is_file_directive


class Function(NamedTuple):
    """A function of an object file: its name, its kernel file, and the global names that it uses, each with a line."""

    name: str
    kernel_file: str
    globals: tuple[tuple[str, int], ...]


class ObjectFile(NamedTuple):
    """A compiled file. `externs`: name, room and line of each import; `blocks`: the line of each probed block; `functions`: one for each
    code object of `code`, in the order of `code_objects`."""

    externs: tuple[tuple[str, str, int], ...]
    racy_spans: tuple[Span, ...]
    blocks: tuple[int, ...]
    functions: tuple[Function, ...]
    code: bytes


class Source(NamedTuple):
    """A file of kernel source."""

    path: str
    text: str

    @property
    def has_struct(self) -> bool:
        return "\nclass " in f"\n{self.text}"


def compile_files(sources: list[Source], probes: bool) -> Iterator[ObjectFile]:
    """Yield the object file of each source, in their order. `probes`: mark each block that runs; block 1 is the first.

    Raises LinkError if a source is outside the rules, SyntaxError if it is no Python.
    """
    structs = [source for source in sources if source.has_struct]
    trees: dict[str, ast.Module] = {}
    block = 1
    for source in sources:
        first = block if probes else None
        digest = _digest(source, first, structs if source.has_struct else [])
        made = _kept(source.path, digest, first)
        if made is None:
            if source.has_struct and not trees:
                trees.update((other.path, ast.parse(other.text, other.path)) for other in structs)
                extend([(pathlib.Path(path), tree) for path, tree in trees.items()])
            made = _compile(trees.get(source.path) or ast.parse(source.text, source.path), pathlib.Path(source.path), first)
            _keep(source.path, digest, first, made)
        block += len(made.blocks)
        yield made


def code_objects(code: CodeType, within: str = "") -> Iterator[tuple[CodeType, str]]:
    """Yield every code object inside `code`, with the name of its function. A comprehension belongs to the function around it."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            function = within if constant.co_name.startswith("<") and within else constant.co_name
            yield constant, function
            yield from code_objects(constant, function)


def _compile(tree: ast.Module, path: pathlib.Path, first_block: int | None) -> ObjectFile:
    files: list[tuple[int, str]] = []
    body: list[ast.stmt] = []
    externs: list[tuple[str, str, int]] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            externs += _imported(node, path)
        elif is_file_directive(node):
            files.append((node.lineno, node.value.value))  # type: ignore[attr-defined]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Expr):
            body.append(node)
        else:
            raise LinkError(f"{path}:{node.lineno}: {type(node).__name__.lower()} has no place in kernel source")
    spans = racy_spans(tree, str(path))
    tree.body = [Inline().visit(node) for node in body]
    blocks: list[int] = []
    if first_block is not None:
        tree.body = [Probes(first_block, blocks).visit(node) for node in tree.body]
    ast.fix_missing_locations(tree)
    code = compile(tree, str(path), "exec")
    functions = tuple(
        Function(name, next((file for line, file in reversed(files) if line < inner.co_firstlineno), path.stem), tuple(_globals_of(inner)))
        for inner, name in code_objects(code))
    return ObjectFile(tuple(externs), tuple(sorted(spans)), tuple(blocks), functions, marshal.dumps(code))


def _imported(node: ast.ImportFrom, path: pathlib.Path) -> Iterator[tuple[str, str, int]]:
    root = ".".join((node.module or "").split(".")[:2])
    for alias in node.names:
        if alias.asname or alias.name == "*" or root not in ("vmrace.harness", "vmrace.variants"):
            raise LinkError(f"{path}:{node.lineno}: kernel source imports names from vmrace.harness.kernel or vmrace.variants, plainly")
        yield alias.name, root, node.lineno


def _globals_of(code: CodeType) -> Iterable[tuple[str, int]]:
    """Return the global names that a code object uses, each with the first line that does."""
    line = code.co_firstlineno
    used: dict[str, int] = {}
    for instruction in dis.get_instructions(code):
        if instruction.starts_line:
            line = instruction.starts_line if not isinstance(instruction.starts_line, bool) else line
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            used.setdefault(instruction.argval, line)
    return used.items()


_made: dict[bytes, ObjectFile] = {}         # digest -> the object file, of this process


def _digest(source: Source, first_block: int | None, structs: list[Source]) -> bytes:
    """Return the identity of an object file: all that it is made of."""
    parts = (_rewriting(), source, first_block, structs)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


@functools.cache
def _rewriting() -> str:
    """Return the identity of this interpreter and of the code that rewrites kernel source."""
    here = pathlib.Path(__file__)
    rules = b"".join(file.read_bytes() for file in (here, here.with_name("rewrite.py"), here.parents[1] / "call_stack.py"))
    return f"{sys.version} {importlib.util.MAGIC_NUMBER.hex()} {hashlib.blake2b(rules).hexdigest()}"


def _place(path: str, first_block: int | None) -> pathlib.Path:
    """Return the place of an object file on the disk: beside Python's own compiled files, wherever those are."""
    probed = "" if first_block is None else f"probed{first_block}"
    return pathlib.Path(importlib.util.cache_from_source(path, optimization=probed)).with_suffix(".vmlinux")


def _kept(path: str, digest: bytes, first_block: int | None) -> ObjectFile | None:
    """Return the object file with this digest: of this process, or kept on the disk by another one. None if there is none."""
    if digest not in _made:
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            there, externs, spans, blocks, functions, code = marshal.loads(_place(path, first_block).read_bytes())
            if there == digest:
                _made[digest] = ObjectFile(externs, spans, blocks, tuple(Function(*function) for function in functions), code)
    return _made.get(digest)


def _keep(path: str, digest: bytes, first_block: int | None, made: ObjectFile) -> None:
    """Keep an object file for this process, and on the disk where Python may write: beside its place, then renamed.

    In a folder that cannot be written nothing is kept: the next process compiles again.
    """
    _made[digest] = made
    if sys.dont_write_bytecode:
        return
    place = _place(path, first_block)
    data = marshal.dumps((digest, *made[:-2], tuple(tuple(function) for function in made.functions), made.code))
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=place.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(beside, place)
        except BaseException:       # a signal, too, leaves nothing behind
            os.unlink(beside)
            raise
