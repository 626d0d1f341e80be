# SPDX-License-Identifier: MIT
"""`vmrace diff`: the programs to compare variants with, and the loop that compares and prints."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.compare.outcomes import Budget, Comparison, Contender, Difference, compare
from vmrace.fuzz.compare.report import Many, as_json, exit_code, one_program, program_text, wrapped
from vmrace.fuzz.compare.witness import Witness, keep, witness
from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.index import handle
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.wording import count
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import Program, ProgramError
from vmrace.variants.spelling import did_you_mean


@dataclass
class Programs:
    """The programs of a comparison, each with its name and its entry's path. `single`: one program, reported in full. `small` describes
    enumerated programs, of which only those with a new difference are reported."""

    items: Iterable[tuple[str, Program, pathlib.Path | None]]
    count: int
    single: bool = False
    small: str = ""

    @classmethod
    def of_entries(cls, entries: list[Entry], single: bool = False) -> Programs:
        """Take the programs of entries."""
        return cls([(handle(entry), entry.program, entry.path) for entry in entries], len(entries), single)

    @classmethod
    def of_operations(cls, operations: tuple[str, ...], size: int, cpus: int, setup: int, operands: dict[str, int]) -> Programs:
        """Enumerate the programs of at most `size` of these operations. Raises ProgramError for an unknown operation, or if there are
        too many programs."""
        from vmrace.fuzz.programs.enumerate import Scope, ScopeError, program_of
        for name in operations:
            if name not in OPERATIONS:
                raise ProgramError("--operations", f"no operation {name!r}{did_you_mean(name, OPERATIONS)}")
        scope = Scope(size, cpus, setup, tuple(name for name in OPERATIONS if name in operations), operands)
        try:
            made = [program for program in map(program_of, scope.programs(scope.operations)) if program.size]
        except ScopeError as error:
            raise ProgramError("--operations", str(error)) from None
        text = f"{count(len(made), 'program')} of up to {size} of {', '.join(scope.operations)} on {count(cpus, 'cpu')}"
        if setup:
            text += f", after up to {setup} of them"
        text += "".join(f"; {kind}={number}" for kind, number in sorted(operands.items())) + "; up to symmetry"
        return cls([(program_text(program), program, None) for program in made], len(made), small=text)


def compare_programs(chosen: list[Contender], programs: Programs, budget: Budget, witnesses: int,
                     directory: pathlib.Path | None, json_wanted: bool, echo: Callable[[str], None]) -> int:
    """Compare and print. Returns the exit code. At most `witnesses` witnesses are looked for in each program, and kept in `directory`."""
    started = time.monotonic()
    told: list[dict[str, Any]] = []
    many = Many([contender.name for contender in chosen], quiet=bool(programs.small))
    if not programs.single and not json_wanted:
        for line in [*([*wrapped(programs.small), ""] if programs.small else []), *many.head()]:
            echo(line)
    for name, program, path in programs.items:
        comparison = compare(name, program, chosen, budget, path)
        fresh = many.fresh(comparison)
        found = _witnesses(comparison, fresh, witnesses, directory)
        omitted = len(fresh) - len(found)
        if json_wanted:
            told.append(as_json(comparison, found))
            continue
        for line in one_program(comparison, found, omitted) if programs.single else many.lines(comparison, found, omitted):
            echo(line)
    code = exit_code(many.comparisons)
    if json_wanted:
        verdicts = [comparison.verdict for comparison in many.comparisons]
        summary = {"programs": len(verdicts), **{word: verdicts.count(word) for word in sorted(set(verdicts))}}
        echo(document("diff", code, programs=told, summary=summary))
    elif not programs.single:
        for line in many.end(time.monotonic() - started):
            echo(line)
    return code


def _witnesses(comparison: Comparison, differences: list[Difference], most: int, directory: pathlib.Path | None) -> list[Witness]:
    """Look for a witness of each of the first `most` differences, findings first."""
    order = sorted(differences, key=lambda one: (not one.thing.titles, not one.sure))
    found = [witness(comparison, difference) for difference in order[:most]]
    if directory is not None:
        for one in found:
            if one.schedule:
                keep(comparison, one, directory)
    return found
