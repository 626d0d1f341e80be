# SPDX-License-Identifier: MIT
"""The subject of a proof: an entry's program on a variant, or a program of plain functions."""

from __future__ import annotations

import hashlib
import json
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.corpus.entry import Entry, program_lines
from vmrace.fuzz.corpus.verdict import Verdict
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import Explorer
from vmrace.fuzz.run.plain import TooMany, at_most
from vmrace.fuzz.run.target import runner_of, split
from vmrace.fuzz.text.wording import count
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.functions.verify import verify_runner
from vmrace.variants.family import family

PLAIN_MAX = 20_000          # limit of schedules for plain enumeration


class VerifyError(Exception):
    """The error of a subject or certificate that cannot be verified. Its text is one line."""


@dataclass
class Subject:
    """A program to verify, on a variant or of plain functions.

    `kind` is "entry" or "functions". `identity` has the fields by which a certificate names it, `facts` its size in words.
    `explore(**limits)` explores it. `plain(bound)` returns the titles by plain enumeration, None if there are too many schedules.
    """

    name: str
    kind: str
    identity: dict[str, str]
    facts: str
    explore: Callable[..., Exploration]
    plain: Callable[[int | None], set[tuple[str, ...]] | None]
    expect: Verdict | None = None


def of_entry(entry: Entry, variant: str) -> Subject:
    """Make the subject of an entry's program on a variant of its family."""
    explorer = Explorer(family(entry.family), variant)
    executor = explorer.executor
    operations, cpus = entry.program.size, entry.program.cpus

    def plain(bound: int | None) -> set[tuple[str, ...]] | None:
        prepared = executor.prepare(entry.program)
        return _plainly(lambda scheduler: executor.run(prepared, scheduler), bound)

    return Subject(
        name=f"{entry.name} on {entry.family}/{variant}", kind="entry",
        identity=identity_of(entry, executor),
        facts=f"{count(cpus, 'cpu')}, {count(operations, 'operation')}", plain=plain,
        explore=lambda **limits: explorer.explore(entry.program, **limits), expect=entry.expect.get(variant))


def identity_of(entry: Entry, executor: Executor) -> dict[str, str]:
    """Name an entry and a variant, and hash the program and the linked image: the fields of a certificate that say what it is of."""
    assert executor.family.name == entry.family, (executor.family.name, entry.family)
    file = f"{entry.family}/{entry.path.stem}" if entry.path is not None else entry.name
    program = "\n".join(program_lines(entry.program))
    return {"entry": file, "variant": f"{entry.family}/{executor.variant}", "program": _hash(program),
            "image": executor.image(entry.program.cpus).digest}


def of_functions(target: str, args: tuple[str, ...]) -> Subject:
    """Make the subject of `MODULE:FUNCTION`, with arguments as Python literals or plain text. Raises TargetError if it does not exist."""
    runner = runner_of(target, args)
    source = pathlib.Path(sys.modules[split(target)[0]].__file__ or "").read_text()
    return Subject(
        name=target + (f"({', '.join(args)})" if args else ""), kind="functions",
        identity={"functions": target, "args": json.dumps(args), "program": _hash(source), "image": ""},
        facts=f"{count(runner.cpus, 'cpu')}, {count(len(runner.tasks), 'task')}",
        explore=lambda **limits: verify_runner(runner, **limits), plain=lambda bound: _plainly(runner.run, bound))


def _plainly(run: Callable[[Any], Any], bound: int | None) -> set[tuple[str, ...]] | None:
    """Run every schedule with at most `bound` preemptions. Returns the first title of each, or None if there are more than PLAIN_MAX."""
    try:
        return {(*outcome.titles[:1],) for outcome in at_most(PLAIN_MAX, run, 1 << 30 if bound is None else bound)}
    except TooMany:
        return None


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
