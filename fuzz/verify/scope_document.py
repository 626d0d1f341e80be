# SPDX-License-Identifier: MIT
"""The tables of small-scope proofs in a document, between two marks: a table a scope and family, a row a variant, a column
a bound on preemptions.

    vmrace verify lru_free_2_4/pre_patch --size 2 --operations reclaim,unpin --into docs/findings/small_scopes.md

Above each table stands the command that runs the scope again. A cell counts the programs of each verdict and names the findings by
letters, which are listed below the table; a finding that variants print by different titles has a line for each, with its variants. A
new result replaces the cell of the same variant, scope and bound.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Scope
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.variants.family import identity

if TYPE_CHECKING:
    from vmrace.fuzz.verify.scope_report import Table

BEGIN, END = "<!-- small scopes -->", "<!-- end of small scopes -->"
BOUND = "--preemptions"
ALL = "every schedule"              # the heading of the column without a bound
_TABLE = re.compile(r"```text\nvmrace verify (\S+)/VARIANT ((?:.|\n)*?)\n```\n\n"           # the command
                    r"(\| variant .*\n)\|[-|]*\n((?:\|.*\n?)*)\n*"                          # its table: head and rows
                    r"((?:- \*\*\w+\*\* .*\n?)*)")                                           # the letters of its titles
_LEGEND = re.compile(r"^- \*\*(\w+)\*\* (.*?)((?: `\w+`)*)$", re.MULTILINE)
_CELL = re.compile(r"([\d,]+) proved(?:, ([\d,]+) BUG \(([\w ]+)\))?(?:, ([\d,]+) open)?")


@dataclass(frozen=True)
class Row:
    """The result of one variant in one scope. `bound`: the preemptions that its schedules may have, None for any number."""

    variant: str
    options: str
    bound: int | None
    proved: int
    bugs: int
    undecided: int
    titles: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        return self.options, self.variant, -1 if self.bound is None else self.bound


def unfit(path: pathlib.Path) -> str:
    """Name the reason that a file has no such table, in one line, or return an empty text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
    _, begin, rest = text.partition(BEGIN)
    return "" if begin and END in rest else f"{path}: has no lines {BEGIN} and {END} for a table"


def options(scope: Scope) -> str:
    """Write the options of `vmrace verify` that repeat a scope, but for its bound."""
    parts = [f"--size {scope.size} --cpus {scope.cpus}"]
    if scope.setup:
        parts.append(f"--setup {scope.setup}")
    if scope.operations:
        parts.append(f"--operations {shlex.quote(','.join(scope.operations))}")
    if scope.operands:
        parts.append(f"--operands {','.join(f'{kind}={number}' for kind, number in sorted(scope.operands.items()))}")
    return " ".join(parts)


def row(table: Table) -> Row:
    """Count a scope's results."""
    counts = table.counts
    decided = counts[Word.PROVED] + counts[Word.BUG]
    assert decided + table.open == len(table.forms), f"{decided} decided and {table.open} undecided of {len(table.forms)} programs"
    return Row(table.name, options(table.scope), table.scope.preemptions, counts[Word.PROVED], counts[Word.BUG], table.open,
               tuple(sorted(table.titles)))


def rows_of(text: str) -> list[Row]:
    """Read the tables of a text back."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    return [one for found in _TABLE.finditer(inside) for one in _rows(*found.groups())]


def _rows(family: str, command: str, head: str, body: str, legend: str) -> Iterator[Row]:
    titles: dict[str, dict[str, str]] = {}          # letter -> {variant: title}; the variant "" is any other
    for letter, title, variants in _LEGEND.findall(legend):
        titles.setdefault(letter, {}).update((variant.strip("`"), title) for variant in variants.split() or [""])
    bounds = [None if name == ALL else int(name.strip("`").removeprefix(BOUND)) for name in _cells(head)[1:]]
    for line in body.splitlines():
        variant, *cells = _cells(line)
        variant = variant.strip("`")
        for bound, cell in zip(bounds, cells, strict=True):
            if found := _CELL.fullmatch(cell):
                proved, bugs, undecided = (int((found[number] or "0").replace(",", "")) for number in (1, 2, 4))
                yield Row(f"{family}/{variant}", re.sub(r" \\\n\s*", " ", command), bound, proved, bugs, undecided,
                          tuple(titles[letter].get(variant) or titles[letter][""] for letter in (found[3] or "").split()))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def written(rows: Iterable[Row]) -> str:
    """Return all tables, with their marks."""
    scopes: dict[tuple[str, str], list[Row]] = {}
    for one in sorted(rows, key=lambda one: one.key):
        scopes.setdefault((one.variant.partition("/")[0], one.options), []).append(one)
    tables = (line for family, command in sorted(scopes) for line in _written(family, command, scopes[family, command]))
    return "\n".join([BEGIN, *tables, "", END])


def _written(family: str, command: str, rows: list[Row]) -> Iterator[str]:
    letters = dict(zip(sorted({identity(one.variant, title) for one in rows for title in one.titles}), _letters()))
    bounds = sorted({one.bound for one in rows}, key=lambda bound: -1 if bound is None else bound)
    cells = {(one.variant, one.bound): _cell(one, letters) for one in rows}
    yield from ["", "```text", *_wrapped(f"vmrace verify {family}/VARIANT {command}"), "```", ""]
    yield f"| variant | {' | '.join(ALL if bound is None else f'`{BOUND} {bound}`' for bound in bounds)} |"
    yield "|---" * (1 + len(bounds)) + "|"
    for variant in sorted({one.variant for one in rows}):
        yield f"| `{variant.partition('/')[2]}` | {' | '.join(cells.get((variant, bound), '') for bound in bounds)} |"
    if letters:
        yield ""
    for finding, letter in letters.items():
        printed: dict[str, set[str]] = {}           # title -> the variants that print it
        for one in rows:
            for title in one.titles:
                if identity(one.variant, title) == finding:
                    printed.setdefault(title, set()).add(one.variant.partition("/")[2])
        for title, variants in sorted(printed.items()):
            yield " ".join([f"- **{letter}** {title}", *(f"`{variant}`" for variant in sorted(variants) if len(printed) > 1)])


def _cell(one: Row, letters: dict[str, str]) -> str:
    parts = [f"{one.proved:,} proved"]
    if one.bugs:
        parts.append(f"{one.bugs:,} BUG ({' '.join(letters[identity(one.variant, title)] for title in one.titles)})")
    if one.undecided:
        parts.append(f"{one.undecided:,} open")
    return ", ".join(parts)


def _letters() -> Iterator[str]:
    """Yield a, b ... z, aa, ab ..."""
    yield from string.ascii_lowercase
    yield from (first + second for first in string.ascii_lowercase for second in string.ascii_lowercase)


def _wrapped(command: str) -> Iterator[str]:
    """Yield the lines of a command, broken between options where it is longer than COLUMNS."""
    line = ""
    for part in re.split(r" (?=--)", command):
        if line and len(line) + len(part) + 3 > COLUMNS:
            yield f"{line} \\"
            line = f"  {part}"
        else:
            line = f"{line} {part}" if line else part
    yield line


def put(path: pathlib.Path, table: Table) -> None:
    """Add or replace the result of this variant and scope. Raises OSError, with the name of the file."""
    with writing.alone(path.parent):        # two proofs may put their rows there at the same time
        text = path.read_text(encoding="utf-8")
        rows = {one.key: one for one in [*rows_of(text), row(table)]}
        before, _, rest = text.partition(BEGIN)
        writing.write(path, before + written(rows.values()) + rest.partition(END)[2])
