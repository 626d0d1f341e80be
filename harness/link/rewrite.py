# SPDX-License-Identifier: MIT
"""The changes that the linker makes to kernel source before it is compiled."""

from __future__ import annotations

import ast
import pathlib

from vmrace.harness.errors import LinkError

IDENTITY = ("likely", "unlikely", "data_race")      # the linker removes these calls, and records the places of data_race


def extend(sources: list[tuple[pathlib.Path, ast.Module]]) -> None:
    """Move the fields of each `class name(name)` into the definition of that name, and the structs that they embed in front of it.

    Raises LinkError if no earlier module defines that name.
    """
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


class Inline(ast.NodeTransformer):
    """The expansion of macros, as by the C preprocessor: likely(x) becomes x, BUG_ON(c, line) becomes `if c: BUG(line)`."""

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


class Probes(ast.NodeTransformer):
    """Probes for coverage: it puts `__cov__[k] = 1` at the start of block k. The first block has the number `first`.

    It appends the line of each block to `lines`.
    """

    def __init__(self, first: int, lines: list[int]):
        self.first = first
        self.lines = lines

    def _mark(self, block: list[ast.stmt]) -> list[ast.stmt]:
        self.lines.append(block[0].lineno)
        number = self.first + len(self.lines) - 1
        target = ast.Subscript(ast.Name("__cov__", ast.Load()), ast.Constant(number), ast.Store())
        mark = ast.copy_location(ast.Assign([target], ast.Constant(1)), block[0])
        return [mark, *block]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.If | ast.While | ast.For):
            node.body = self._mark(node.body)
            if getattr(node, "orelse", None):
                node.orelse = self._mark(node.orelse)  # type: ignore[union-attr]
        return node


def is_file_directive(node: ast.stmt) -> bool:
    return (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__FILE__"
            and isinstance(node.value, ast.Constant))
