# SPDX-License-Identifier: MIT
"""The functions of a variant's own files that coverage counts, and the lines of each."""

from __future__ import annotations

import ast
import pathlib
import re

from vmrace.harness.link.linker import files_of
from vmrace.variants.family import Family

CHECK = re.compile(r"\s*BUG\(")


def functions_in(path: pathlib.Path) -> dict[str, range]:
    """Map each function of a file to the lines of its body. The last definition of a name counts."""
    tree = ast.parse(path.read_text())
    return {node.name: range(node.body[0].lineno, (node.end_lineno or 0) + 1) for node in tree.body if isinstance(node, ast.FunctionDef)}


def own_functions(family: Family, variant: str) -> dict[pathlib.Path, dict[str, range]]:
    """Map each file of the variant to its functions, except those that a later module defines again."""
    modules = family.variants[variant].modules
    last = {name: path for path in files_of((*family.base, *modules, *family.tail)) for name in functions_in(path)}
    return {path: {name: lines for name, lines in functions_in(path).items() if last[name] == path}
            for path in files_of(modules or family.base)}
