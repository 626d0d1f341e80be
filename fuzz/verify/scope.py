# SPDX-License-Identifier: MIT
"""`vmrace verify VARIANT --size 3 --cpus 2`: explore every program of a small scope, and print a table of verdicts.

A scope is proved if every program of it is proved. A program is inconclusive if its worker died, its time ran out, or vmrace had an
error; the scope then is inconclusive, too. A state file has the results so far (scope_state.py), so that a killed proof can continue.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, Scope, ScopeError, text_of
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import Explorer
from vmrace.fuzz.run.state_file import StateError, Unwritable, default_state
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import COULD_NOT, INTERRUPTED, USAGE
from vmrace.fuzz.text.terminal import working
from vmrace.fuzz.text.wording import are, count
from vmrace.fuzz.verify import scope_document
from vmrace.fuzz.verify.scope_proof import Proof, ScopeOptions
from vmrace.fuzz.verify.scope_report import Meter, Said, Table, stated
from vmrace.fuzz.verify.scope_state import State, header
from vmrace.fuzz.verify.scope_worker import Make
from vmrace.harness import stop
from vmrace.variants.family import Family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.spelling import did_you_mean


class _Refused(Exception):
    """The error of a proof that cannot begin, with the exit code."""

    def __init__(self, why: str, code: int = USAGE):
        super().__init__(why)
        self.code = code


def prove(family: Family, variant: str, asked: Scope, options: ScopeOptions, echo: Said, complain: Said | None = None,
          make: Make = Explorer) -> int:
    """Explore every program of a scope and print the report. Returns the exit code: 0 proved, 1 BUG, 2 usage, 3 inconclusive, 130
    interrupted.

    `make(family, variant)` makes the explorer. `echo` prints a line of the report, `complain` a line of error.
    """
    complain = complain or echo
    try:
        operations = Executor(family, variant).operations()
        scope = _scope_of(asked, operations, options)
        head = header(family, variant, scope)
        forms, kept = _begin(scope, operations, head, options)
    except _Refused as error:
        complain(f"vmrace: {error}")
        return error.code
    with contextlib.closing(kept):
        proof = Proof(family, variant, forms, kept, options, Meter(echo, len(forms), options.as_json).tell, make, scope.preemptions)
        all_count = scope.all_count(operations)
        for line in kept.damaged:
            complain(f"vmrace: {line}")
        if not options.as_json:
            for line in _told_before(f"{family.name}/{variant}", scope, proof, all_count, operations):
                echo(line)
        broken = proof.verify_all()
        interrupted = stop.asked()
        table = Table(f"{family.name}/{variant}", scope, forms, all_count, kept.results)
        if options.into is not None and not broken:
            broken = _put(options.into, table, interrupted, complain)
        if broken:
            complain(f"vmrace: {broken}")
        code = INTERRUPTED if interrupted else COULD_NOT if broken and not table.code else table.code
        if options.as_json:
            damaged = [{"kind": "damaged", "why": line} for line in kept.damaged]
            echo(document("verify", code, events=damaged + table.events(), scope=table.as_json(head, interrupted)))
        else:
            for line in _told_after(table, proof, interrupted):
                echo(line)
    return code


def _scope_of(asked: Scope, operations: Sequence[str], options: ScopeOptions) -> Scope:
    """Return the scope with its operations in the order of the interface. Raises _Refused for an unknown operation, or if the document
    has no table."""
    if options.into is not None and (wrong := scope_document.unfit(options.into)):
        raise _Refused(wrong)
    for kind in asked.operations:
        if kind not in OPERATIONS:
            raise _Refused(f"no operation {kind!r}{did_you_mean(kind, OPERATIONS)}")
        if kind not in operations:
            raise _Refused(f"this variant has no operation {kind!r}")
    return replace(asked, operations=tuple(kind for kind in operations if kind in asked.operations))


def _begin(scope: Scope, operations: Sequence[str], head: dict[str, Any], options: ScopeOptions) -> tuple[list[Form], State]:
    """List the programs, and open the state file. Raises _Refused."""
    try:
        with working() as say:
            say("  listing the programs")
            forms = scope.programs(operations)
            stop.look()
        kept = State(options.state if options.state is not None else default_state(head["variant"].replace("/", "-"), head["key"]), head)
    except Unwritable as error:
        raise _Refused(str(error), COULD_NOT) from None
    except OSError as error:
        raise _Refused(f"{error.filename}: cannot be written: {writing.why(error)}", COULD_NOT) from None
    except (ScopeError, StateError) as error:
        raise _Refused(str(error)) from None
    for number, result in kept.results.items():
        here = text_of(forms[number]) if number < len(forms) else "none"
        if here != result.program:
            kept.close()
            raise _Refused(f"{kept.path}: program {number} is {result.program!r} in this file, and {here!r} in this scope; remove the "
                           "file, or name another")
    return forms, kept


def _told_before(name: str, scope: Scope, proof: Proof, all_count: int, operations: Sequence[str]) -> Iterator[str]:
    yield f"{name}: {stated(scope)}"
    yield (f"  {count(len(proof.forms), 'program')} up to symmetry, of {all_count:,}"
           + (f"; {proof.before:,} done before" if proof.before else "") + f"; state in {proof.state.path}")
    used = {name for setup, cpus in proof.forms for line in (setup, *(line for tasks in cpus for line in tasks)) for name, _ in line}
    idle = [kind for kind in scope.operations or operations if kind not in used]
    if idle:
        yield f"  operations that would do nothing in every program: {', '.join(idle)}"


def _told_after(table: Table, proof: Proof, interrupted: bool) -> Iterator[str]:
    yield from table.lines()
    if proof.lost:
        yield f"  {count(proof.lost, 'worker process')} died"
    if interrupted:
        yield f"vmrace: interrupted; the same command continues from {proof.state.path}   (exit {INTERRUPTED})"
    else:
        yield table.last_line()


def _put(into: pathlib.Path, table: Table, interrupted: bool, complain: Said) -> str:
    """Put the row of a finished proof into a document; one of an unfinished proof changes nothing. Returns the error, or an empty text."""
    not_run = table.counts[Word.NOT_RUN]
    if interrupted or not_run:
        complain(f"vmrace: {into}: not changed: {count(not_run, 'program')} {are(not_run)} still to be run")
        return ""
    try:
        scope_document.put(into, table)
    except OSError as error:
        return f"{into}: cannot be written: {writing.why(error)}"
    return ""
