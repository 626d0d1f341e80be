# SPDX-License-Identifier: MIT
"""`vmrace verify`: run every schedule of a small program."""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from vmrace.fuzz.cli.arguments import (
    CPUS,
    JSON,
    OPERANDS_HELP,
    OPERATIONS,
    PLACE,
    SETUP,
    SIZE,
    Duration,
    Refused,
    check_writable,
    entry_named,
    entry_path,
    functions_refused,
    is_entry,
    known_variant,
    only_for,
    only_of_runs,
    operand_numbers,
    operation_names,
    variant_named,
    variants_of,
    which_function,
)
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text import times
from vmrace.fuzz.text.document import document, reason_of
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count

if TYPE_CHECKING:
    from vmrace.fuzz.verify.subject import Subject


@click.command()
@click.argument("target", required=False)
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "only", default=None, help="Only this variant of the entry's family (default: all).")
@click.option("--preemptions", type=click.IntRange(0, 100), default=None, help="Explore only schedules with at most N preemptions.")
@click.option("--for", "seconds", type=Duration(), default=None, help="Time limit for the whole command.  [default: none]")
@click.option("--for-each", "seconds_each", type=Duration(), default="60s", show_default=True, help="Time limit for each exploration.")
@click.option("--runs-each", type=click.IntRange(1), default=None, help="Limit of runs for each exploration.  [default: none]")
@click.option("--arg", "args", multiple=True, help="An argument for a function that makes a program. Repeatable.")
@click.option("--certify", is_flag=True, help="Write a certificate next to the entry, or as MODULE-FUNCTION-ARGS.proof.json.")
@click.option("--check", "certificate", type=PLACE, default=None,
              help="Explore again what a certificate is of.")
@SIZE
@CPUS
@SETUP
@OPERATIONS
@click.option("--operands", default=None, help=OPERANDS_HELP)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes, with --size.")
@click.option("--into", type=PLACE, default=None,
              help="With --size: put the result into the table of this file.")
@click.option("--state", type=PLACE, default=None, help="With --size: keep the results so far in this file.")
@JSON
@click.pass_context
def verify(context: click.Context, target: str | None, functions: str | None, only: str | None, preemptions: int | None,
           seconds: float | None, seconds_each: float, runs_each: int | None, args: tuple[str, ...], certify: bool,
           certificate: pathlib.Path | None, size: int | None, cpus: int, setup: int, operations: str | None, operands: str | None,
           workers: int, into: pathlib.Path | None, state: pathlib.Path | None, as_json: bool) -> None:
    """Run every schedule of a small program that differs from the others.

    TARGET is an entry (a file, or a part of its name), a function MODULE:FUNCTION that makes a program, or a .run file that vmrace fuzz
    MODULE:FUNCTION has kept; such a file needs its MODULE:FUNCTION named again, unless the pyproject.toml of its project allows it. With
    --size TARGET is a variant, and all programs of at most that size are verified. With --check it is the MODULE:FUNCTION that the
    certificate names, if it names one: a file alone runs no code. Exit codes: 0 proved, or as the file expects; 1 otherwise; 3
    inconclusive, or a worker process was lost.
    """
    deadline = time.monotonic() + (seconds or 1e9)
    limits = Limits(preemptions, seconds_each, runs_each or 1 << 60, deadline)
    record = target is not None and certificate is None and size is None and is_record(target)
    if certificate is not None or record or (target is not None and ":" in target):
        apart.begin(seconds_each + times.GRACE_SECONDS)
    with functions_refused():
        if certificate is not None:
            checks = ("target", "functions", "certificate", "seconds", "seconds_each", "runs_each", "as_json")
            others = tuple(one.name for one in context.command.params if one.name is not None and one.name not in checks)
            only_for(context, "an exploration, and not for --check, which does what the certificate says", others, False)
            only_of_runs(functions)
            if target is not None and ":" not in target:
                raise Refused("TARGET is for an exploration; with --check, only a MODULE:FUNCTION that the certificate names", USAGE)
            sys.exit(_check(certificate, target, limits, as_json))
        if target is None:
            raise Refused("verify needs a TARGET: an entry, MODULE:FUNCTION, a .run file, or a variant with --size", USAGE)
        if not record:
            only_of_runs(functions)
        only_for(context, "an entry", ("only",), size is None and not record and ":" not in target)
        only_for(context, "MODULE:FUNCTION", ("args",), size is None and not record and ":" in target)
        only_for(context, "one program, and not for --size", ("certify",), size is None)
        only_for(context, "--size", ("cpus", "setup", "operations", "operands", "workers", "into", "state"), size is not None)
        if size is not None:
            from vmrace.fuzz.programs.enumerate import Scope
            from vmrace.fuzz.verify.scope import prove
            from vmrace.fuzz.verify.scope_proof import ScopeOptions
            family, variant = variant_named(target)
            scope = Scope(size, cpus, setup, operation_names(operations), operand_numbers(operands), preemptions)
            options = ScopeOptions(workers, seconds_each, runs_each or 1 << 60, seconds or 1e9, state, into, as_json)
            sys.exit(prove(family, variant, scope, options, echo, lambda line: echo(line, err=True)))
        if record:
            subjects = _of_record(pathlib.Path(target), functions, preemptions)
        else:
            subjects = _of_functions(target, args, preemptions) if ":" in target else _of_entry(target, only, preemptions)
        sys.exit(_explore(subjects, limits, certify, as_json))


def is_record(target: str) -> bool:
    """True if the target is a file of a kept failure of plain functions."""
    from vmrace.fuzz.functions.run_file import SUFFIX
    return target.endswith(SUFFIX) and pathlib.Path(target).is_file()


@dataclass
class Limits:
    """The limits of an exploration: preemptions, seconds and runs of each, and the time (of time.monotonic) when all must be over."""

    preemptions: int | None
    seconds_each: float
    runs_each: int
    deadline: float

    def left(self) -> float:
        """Return the time limit for the next exploration, in seconds."""
        return max(0.0, min(self.seconds_each, round(self.deadline - time.monotonic(), 1)))


def _of_functions(target: str, args: tuple[str, ...], bound: int | None) -> list[tuple[Subject, pathlib.Path]]:
    from vmrace.fuzz.verify.certificate import functions_certificate_path
    from vmrace.fuzz.verify.subject import of_functions
    return [(of_functions(target, args), functions_certificate_path(target, args, bound))]


def _of_record(path: pathlib.Path, functions: str | None, bound: int | None) -> list[tuple[Subject, pathlib.Path]]:
    """Return the program of a record, which is judged by the verdict that the record expects."""
    from vmrace.fuzz.cli.run_commands import allowed_record
    kept = allowed_record("verify", path, functions)
    (subject, place), = _of_functions(kept.functions, kept.args, bound)
    subject.expect = kept.expected
    return [(subject, place)]


def _of_entry(target: str, only: str | None, bound: int | None) -> list[tuple[Subject, pathlib.Path]]:
    """Return the subjects that an entry has, one a variant, each with the place of its certificate."""
    from vmrace.fuzz.verify.certificate import certificate_path
    from vmrace.fuzz.verify.subject import of_entry
    from vmrace.variants.family import FAMILIES, family
    if target in {f"{made}/{name}" for made in FAMILIES for name in family(made).variants}:
        raise Refused(f"all programs of a variant: up to which size? --size 2, or vmrace verify ENTRY --variant "
                      f"{target.partition('/')[2]}", USAGE)
    if target.endswith(".py") or not is_entry(target):
        which_function(target)
    entry = entry_named(entry_path(target))
    if only is not None:
        known_variant(entry, only)
    names = [only] if only is not None else [name for name in variants_of(entry) if not entry.is_absent(name)]
    return [(of_entry(entry, name), certificate_path(entry, name, bound)) for name in names]


def _explore(subjects: list[tuple[Subject, pathlib.Path]], limits: Limits, certify: bool, as_json: bool) -> int:
    """Explore the subjects, one after the other. Returns the exit code."""
    from vmrace.fuzz.verify import report
    from vmrace.fuzz.verify.certificate import before, write_certificate
    for _, place in subjects if certify else ():
        check_writable(place.parent)
        before(place)
    codes: list[int] = []
    explorations = []
    for subject, place in subjects:
        with working() as say:
            say(f"  {subject.name}")
            found = subject.explore(bound=limits.preemptions, progress=_meter(say), seconds_max=limits.left(), runs_max=limits.runs_each)
        judged, line = report.judge(found, subject.expect)
        codes.append({report.EXPECTED: 0, report.CHANGED: CHANGED, report.UNDECIDED: COULD_NOT}[judged])
        explorations.append({**report.as_json(subject, found), "judged": judged})
        if not as_json:
            if len(subjects) > 1:
                echo(subject.name)
            for text in [*report.told(subject, found), *filter(None, [line])]:
                echo(text)
        if certify:
            write_certificate(place, subject, found)
            explorations[-1]["certificate"] = str(place)
            if not as_json:
                echo(f"wrote {place}")
    code = CHANGED if CHANGED in codes else COULD_NOT if COULD_NOT in codes else 0
    if as_json:
        echo(document("verify", code, explorations=explorations))
    return code


def _check(path: pathlib.Path, functions: str | None, limits: Limits, as_json: bool) -> int:
    """Explore again what a certificate is of, and compare. Returns the exit code."""
    from vmrace.fuzz.verify.certificate import check
    from vmrace.fuzz.verify.report import verdict
    checked = check(path, functions, seconds_max=limits.left(), runs_max=limits.runs_each)
    complete = checked.found.complete
    code = CHANGED if checked.wrong or checked.plain is False else 0 if complete else COULD_NOT
    if as_json:
        holds = complete and not checked.wrong and checked.plain is not False
        echo(document("verify", code, certificate=str(path), holds=holds, wrong=checked.wrong, why=str(checked.found.why or ""),
                      reason=reason_of(checked.found.why), made_with_other=checked.other, plain=checked.plain))
    elif not complete and not checked.wrong:
        echo(f"{path}: inconclusive: {checked.found.why}")
    else:
        for line in checked.wrong:
            echo(f"{path}: {line}")
        if not checked.wrong:
            echo(f"{path}: holds: {verdict(checked.found)}, "
                 f"{count(checked.found.classes, 'inequivalent schedule')}")
            if checked.other:
                echo(f"  made with another {' and another '.join(checked.other)}; what it says still holds")
        word = {None: "too many schedules to enumerate plainly", True: "plain enumeration agrees", False: "plain enumeration DISAGREES"}
        echo(f"  {word[checked.plain]}")
    return code


def _meter(say: Callable[[str], None]) -> Any:
    """Make a callback that reports, every two seconds, how far an exploration is."""
    last = time.monotonic()

    def progress(now: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= 2:
            last = time.monotonic()
            low, high = max(now.low, now.classes), max(now.high, now.classes)
            range_ = f"{low:,.0f} .. {high:,.0f}" if high < 1e12 else "not yet known"
            say(f"  {count(now.classes, 'schedule')}; in all perhaps {range_}")
    return progress
