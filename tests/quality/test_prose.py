# SPDX-License-Identifier: MIT
"""Docstrings say who does what: few of their sentences open with a clause such as "What is lost ..." or "Nobody ...".

A reader cannot tell the actor of such a sentence before its end. Hypothesis has about 1.2 % of them and trio 0.8 %; each room here may
have 2 %. A sentence ends at a full stop, colon, semicolon, question or exclamation mark, or at an empty line; shorter ones than three
words do not count. Kernel source keeps the comments of its history, and is not measured.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).parents[2]
OPENERS = frozenset(["What", "Who", "Whom", "Whoever", "Whatever", "Of", "As", "Where", "That", "All", "Nobody", "Somebody", "So"])
WORDS_MIN = 3

OUR_VARIANT_FILES = frozenset(["__init__.py", "family.py", "types.py", "ops.py", "invariants.py"])      # the others are kernel source


def is_measured(path: pathlib.Path) -> bool:
    room, *folders = path.relative_to(ROOT).parts[:-1]
    if room == "variants":
        return len(folders) <= 1 and (not folders or path.name in OUR_VARIANT_FILES)
    return "kernels" not in folders


def room_of(path: pathlib.Path) -> str:
    """The folder two levels deep that holds a file, such as `fuzz/verify`; `fuzz` for a file of `fuzz` itself."""
    return "/".join(path.relative_to(ROOT).parts[:-1][:2])


FILES = [path for top in ("vmrace", "harness", "fuzz", "variants", "tests") for path in sorted((ROOT / top).rglob("*.py"))
         if is_measured(path)]
ROOMS = sorted({room_of(path) for path in FILES})


@dataclass(frozen=True)
class Sentence:
    """A sentence of a docstring, and its place."""

    path: pathlib.Path
    line: int
    words: tuple[str, ...]

    @property
    def opens_with_a_clause(self) -> bool:
        return self.words[0].strip("\"'`(*,") in OPENERS

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.words[:12])} ..."


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the node and all statements inside it, but no expressions, which are most of a tree and have no docstring."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr | ast.expr_context):
            yield from statements(child)


def sentences(path: pathlib.Path) -> Iterator[Sentence]:
    """Yield the sentences of all docstrings in a file."""
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or ast.get_docstring(node) is None:
            continue
        statement = node.body[0]
        assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
        text, at = statement.value.value, 0
        for end in [*re.finditer(r"[.:;?!](?=\s)|\n\s*\n", text), None]:
            stop = end.end() if end is not None else len(text)
            words = tuple(text[at:stop].split())
            if len(words) >= WORDS_MIN:
                begin = len(text[:stop]) - len(text[at:stop].lstrip())
                yield Sentence(path, statement.lineno + text.count("\n", 0, begin), words)
            at = stop


def measure(paths: list[pathlib.Path]) -> tuple[list[Sentence], int]:
    """Return the sentences that open with a clause, and the number of all sentences."""
    found = [sentence for path in paths for sentence in sentences(path)]
    return [sentence for sentence in found if sentence.opens_with_a_clause], len(found)


@functools.cache
def measured(room: str) -> tuple[list[Sentence], int]:
    """Measure a room. A test asks for it, and not the collection, which each worker of each tier makes."""
    return measure([path for path in FILES if room_of(path) == room])


def allowed(total: int) -> int:
    """Return the number of such sentences that a room of `total` sentences may have: less than 2 % of them."""
    return max(0, -(-total * 2 // 100) - 1)


@pytest.mark.parametrize("room", ROOMS)
def test_few_sentences_of_a_room_open_with_a_clause(room: str) -> None:
    clauses, total = measured(room)
    listed = "\n".join(map(str, clauses))
    assert len(clauses) <= allowed(total), f"{len(clauses)} of {total} sentences open with a clause:\n{listed}"


def test_a_planted_clause_is_found_with_its_file_and_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text('"""Keep a run."""\n\n\n'
                    'def keep():\n    """Keep it.\n\n    Return the run. What is lost\n    is never success.\n    """\n')
    clauses, total = measure([path])
    assert [(one.path, one.line) for one in clauses] == [(path, 7)]
    assert total == 3 and str(clauses[0]).startswith(f"{path}:7: What is lost is never")
    assert len(clauses) > allowed(total)


@pytest.mark.parametrize(("text", "clauses"), [
    ("So it is kept.", 1), ("It is kept: nobody sees it.", 0), ("Keep it; Nobody else does.", 1), ("Of two.", 0),
    ("Offer the best one.", 0),
    ("Keep it!\n\n    All of it is kept", 1), ("`What` is a word here.", 1), ("Return 1.5 of it, as of old.", 0)])
def test_a_sentence_is_judged_by_its_first_word(text: str, clauses: int, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "one.py"
    path.write_text(f'"""{text}"""\n')
    assert len(measure([path])[0]) == clauses
