# SPDX-License-Identifier: MIT
"""The table of small-scope proofs in a document, between two marks. A proof puts a row for its variant and scope there.

    vmrace verify lru_free_2_4/pre_patch --size 2 --operations reclaim,unpin --into README.md

A row has the options that repeat the proof, and the number of programs with each verdict. It replaces the row of the same variant and
options. Its last column counts the undecided programs.
"""

from __future__ import annotations

import pathlib
import shlex
from typing import TYPE_CHECKING

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Scope
from vmrace.fuzz.text import writing

if TYPE_CHECKING:
    from vmrace.fuzz.verify.scope_report import Table

BEGIN, END = "<!-- small scopes -->", "<!-- end of small scopes -->"
HEAD = ["| variant | `vmrace verify VARIANT` with | programs | proved | BUG | titles | undecided |", "|---|---|---:|---:|---:|---|---:|"]


def unfit(path: pathlib.Path) -> str:
    """Name the reason that a file has no such table, in one line, or return an empty text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
    _, begin, rest = text.partition(BEGIN)
    return "" if begin and END in rest else f"{path}: has no lines {BEGIN} and {END} for a table"


def options(scope: Scope) -> str:
    """Write the options of `vmrace verify` that repeat a scope."""
    parts = [f"--size {scope.size} --cpus {scope.cpus}"]
    if scope.setup:
        parts.append(f"--setup {scope.setup}")
    if scope.operations:
        parts.append(f"--operations {shlex.quote(','.join(scope.operations))}")
    if scope.operands:
        parts.append(f"--operands {','.join(f'{kind}={number}' for kind, number in sorted(scope.operands.items()))}")
    if scope.preemptions is not None:
        parts.append(f"--preemptions {scope.preemptions}")
    return " ".join(parts)


def row(table: Table) -> str:
    """Write the row of a scope's results."""
    decided = table.counts[Word.PROVED] + table.counts[Word.BUG]
    assert decided + table.open == len(table.forms), f"{decided} decided and {table.open} undecided of {len(table.forms)} programs"
    counts = table.counts
    cells = [f"`{table.name}`", f"`{options(table.scope)}`", f"{len(table.forms):,}", f"{counts[Word.PROVED]:,}", f"{counts[Word.BUG]:,}",
             "<br>".join(title.replace("|", "\\|") for title in sorted(table.titles)), f"{table.open:,}"]
    return f"| {' | '.join(cells)} |"


def rows_of(text: str) -> list[str]:
    """List the rows of the table in a text."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    return [line for line in inside.splitlines() if line.startswith("| `")]


def put(path: pathlib.Path, table: Table) -> None:
    """Add or replace the row of this variant and scope. Raises OSError, with the name of the file."""
    with writing.alone(path.parent):        # two proofs may put their rows there at the same time
        text = path.read_text(encoding="utf-8")
        fresh = row(table)
        rows = {" | ".join(line.split(" | ")[:2]): line for line in [*rows_of(text), fresh]}
        before, _, rest = text.partition(BEGIN)
        lines = [BEGIN, *HEAD, *(rows[key] for key in sorted(rows)), END]
        writing.write(path, before + "\n".join(lines) + rest.partition(END)[2])
