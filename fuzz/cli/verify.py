# SPDX-License-Identifier: MIT
"""`vmrace verify`: every schedule of a small program."""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from vmrace.fuzz.cli.arguments import (
    Duration,
    Refused,
    entry_named,
    entry_path,
    functions_refused,
    is_entry,
    known_variant,
    only_for,
    variant_named,
    variants_of,
    which_function,
)
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text import times
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count

if TYPE_CHECKING:
    from vmrace.fuzz.verify.subject import Subject


@click.command()
@click.argument("target", required=False)
@click.option("--variant", "only", default=None, help="Only this variant of the entry's family (default: all).")
@click.option("--preemptions", "bound", type=click.IntRange(0, 100), default=None, help="Only what so many preemptions can do.")
@click.option("--seconds", type=Duration(), default="60s", show_default=True, help="That each exploration may take.")
@click.option("--for", "seconds_max", type=Duration(), default=None, help="That all of them together may take.")
@click.option("--runs", type=click.IntRange(1), default=None, help="Runs that each exploration may take.")
@click.option("--arg", "args", multiple=True, help="An argument for a function that makes a program. Repeatable.")
@click.option("--certify", is_flag=True, help="Write a certificate next to the entry, or as MODULE-FUNCTION-ARGS.proof.json.")
@click.option("--check", "certificate", type=click.Path(path_type=pathlib.Path), default=None, help="Do again what a certificate says.")
@click.option("--ops", type=click.IntRange(1, 6), default=None, help="All programs of a VARIANT up to so many operations ...")
@click.option("--cpus", type=click.IntRange(1, 3), default=2, show_default=True, help="... on so many cpus.")
@click.option("--kinds", default=None, help="... of these operations only: reclaim,unpin,exit.")
@click.option("--setup", type=click.IntRange(0, 3), default=0, show_default=True, help="... after setups of up to so many operations.")
@click.option("--operands", default=None, help="... on so many: page=1,file=1,fpage=1,number=1.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Worker processes, of --ops.")
@click.option("--into", type=click.Path(path_type=pathlib.Path), default=None, help="Put the result of --ops into the table of this file.")
@click.option("--state", type=click.Path(path_type=pathlib.Path), default=None, help="Where --ops keeps what is done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def verify(context: click.Context, target: str | None, only: str | None, bound: int | None, seconds: float, seconds_max: float | None,
           runs: int | None, args: tuple[str, ...], certify: bool, certificate: pathlib.Path | None, ops: int | None, cpus: int,
           kinds: str | None, setup: int, operands: str | None, workers: int, into: pathlib.Path | None, state: pathlib.Path | None,
           as_json: bool) -> None:
    """Run every schedule of a small program that differs from the others.

    TARGET is an entry (a file, or a part of its name), a function MODULE:FUNCTION that makes a program, or, with --ops, a variant.
    With --check it is the MODULE:FUNCTION of the certificate, if that is of one: a file alone has no code run.
    Exit codes: 0 proved, or as the entry expects; 1 otherwise; 3 inconclusive, or a worker process was lost.
    """
    deadline = time.monotonic() + (seconds_max or 1e9)
    limits = Limits(bound, seconds, runs or 1 << 60, deadline)
    if certificate is not None or (target is not None and ":" in target):
        apart.begin(seconds + times.GRACE_SECONDS)
    with functions_refused():
        if certificate is not None:
            checks = ("target", "certificate", "seconds", "seconds_max", "runs", "as_json")
            others = tuple(one.name for one in context.command.params if one.name is not None and one.name not in checks)
            only_for(context, "an exploration, and not for --check, which does what the certificate says", others, False)
            if target is not None and ":" not in target:
                raise Refused("TARGET is for an exploration; with --check, only a MODULE:FUNCTION that the certificate names", USAGE)
            sys.exit(_check(certificate, target, limits, as_json))
        if target is None:
            raise Refused("verify what? An entry, MODULE:FUNCTION, or a variant with --ops", USAGE)
        only_for(context, "an entry", ("only",), ops is None and ":" not in target)
        only_for(context, "MODULE:FUNCTION", ("args",), ops is None and ":" in target)
        only_for(context, "one program, and not for --ops", ("certify",), ops is None)
        only_for(context, "--ops", ("cpus", "kinds", "setup", "operands", "workers", "into", "state"), ops is not None)
        if ops is not None:
            from vmrace.fuzz.programs.enumerate import Scope
            from vmrace.fuzz.verify.scope import ScopeOptions, prove
            family, variant = variant_named(target)
            scope = Scope(ops, cpus, setup, _kinds(kinds), _operands(operands), bound)
            options = ScopeOptions(workers, seconds, runs or 1 << 60, seconds_max or 1e9, state, into, as_json)
            sys.exit(prove(family, variant, scope, options, echo, lambda line: echo(line, err=True)))
        subjects = _of_functions(target, args, bound) if ":" in target else _of_entry(target, only, bound)
        sys.exit(_explore(subjects, limits, certify, as_json))


@dataclass
class Limits:
    """What an exploration may take: preemptions, seconds and runs of each, and the time when all must be over."""

    bound: int | None
    seconds: float
    runs: int
    deadline: float

    def left(self) -> float:
        """The seconds that the next exploration may take."""
        return max(0.0, min(self.seconds, round(self.deadline - time.monotonic(), 1)))


def _of_functions(target: str, args: tuple[str, ...], bound: int | None) -> list[tuple[Subject, pathlib.Path]]:
    from vmrace.fuzz.verify.certificate import functions_certificate_path
    from vmrace.fuzz.verify.subject import of_functions
    return [(of_functions(target, args), functions_certificate_path(target, args, bound))]


def _of_entry(target: str, only: str | None, bound: int | None) -> list[tuple[Subject, pathlib.Path]]:
    """What is verified of an entry, each with the place of its certificate."""
    from vmrace.fuzz.verify.certificate import certificate_path
    from vmrace.fuzz.verify.subject import of_entry
    from vmrace.variants.family import FAMILIES, family
    if target in {f"{made}/{name}" for made in FAMILIES for name in family(made).variants}:
        raise Refused(f"all programs of a variant: up to which size? --ops 2, or vmrace verify ENTRY --variant "
                      f"{target.partition('/')[2]}", USAGE)
    if target.endswith(".py") or not is_entry(target):
        which_function(target)
    entry = entry_named(entry_path(target))
    if only is not None:
        known_variant(entry, only)
    names = [only] if only is not None else [name for name in variants_of(entry) if not entry.is_absent(name)]
    return [(of_entry(entry, name), certificate_path(entry, name, bound)) for name in names]


def _explore(subjects: list[tuple[Subject, pathlib.Path]], limits: Limits, certify: bool, as_json: bool) -> int:
    """Explore them, one after the other. The exit code."""
    from vmrace.fuzz.verify import report
    from vmrace.fuzz.verify.certificate import write_certificate
    codes = []
    for subject, place in subjects:
        with working() as say:
            say(f"  {subject.name}")
            found = subject.explore(bound=limits.bound, progress=_meter(say), seconds_max=limits.left(), runs_max=limits.runs)
        judged, line = report.judge(found, subject.expect)
        codes.append({report.EXPECTED: 0, report.CHANGED: CHANGED, report.UNDECIDED: COULD_NOT}[judged])
        if as_json:
            echo(json.dumps(report.as_json(subject, found)))
        else:
            if len(subjects) > 1:
                echo(subject.name)
            for text in [*report.told(subject, found), *filter(None, [line])]:
                echo(text)
        if certify:
            write_certificate(place, subject, found)
            echo(f"wrote {place}", err=as_json)
    return CHANGED if CHANGED in codes else COULD_NOT if COULD_NOT in codes else 0


def _kinds(text: str | None) -> tuple[str, ...]:
    """`reclaim,exit` as names."""
    names = tuple(kind.strip() for kind in (text or "").split(",") if kind.strip())
    if text is not None and not names:
        raise Refused("--kinds: names no operation", USAGE)
    return names


def _operands(text: str | None) -> dict[str, int]:
    """`page=1,file=2` as numbers by kind. Refused if it is not like that."""
    from vmrace.fuzz.programs.enumerate import OPERAND_KINDS
    from vmrace.variants.spelling import did_you_mean
    out = {}
    for part in text.split(",") if text else ():
        kind, _, number = part.strip().partition("=")
        if kind not in OPERAND_KINDS:
            hint = did_you_mean(kind, OPERAND_KINDS) or f"; there are {', '.join(OPERAND_KINDS)}"
            raise Refused(f"--operands: no kind {kind!r}{hint}", USAGE)
        if not number.isdecimal() or not int(number):
            raise Refused(f"--operands: {part!r} is not like {kind}=1", USAGE)
        if int(number) > OPERAND_KINDS[kind]:
            raise Refused(f"--operands: {part.strip()}: the most is {kind}={OPERAND_KINDS[kind]}", USAGE)
        out[kind] = int(number)
    return out


def _check(path: pathlib.Path, functions: str | None, limits: Limits, as_json: bool) -> int:
    """Do again what a certificate says. The exit code."""
    from vmrace.fuzz.verify import reasons
    from vmrace.fuzz.verify.certificate import check
    from vmrace.fuzz.verify.report import verdict
    checked = check(path, functions, seconds_max=limits.left(), runs_max=limits.runs)
    complete = checked.found.complete
    if as_json:
        holds = complete and not checked.wrong and checked.plain is not False
        echo(json.dumps({"certificate": str(path), "holds": holds, "wrong": checked.wrong, "why": str(checked.found.why or ""),
                         "reason": reasons.reason_of(checked.found.why),
                         "made_with_other": checked.other, "plain": checked.plain}))
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
    return CHANGED if checked.wrong or checked.plain is False else 0 if complete else COULD_NOT


def _meter(say: Callable[[str], None]) -> Any:
    """Tells, now and then, how far an exploration is."""
    last = time.monotonic()

    def progress(now: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= 2:
            last = time.monotonic()
            low, high = max(now.low, now.classes), max(now.high, now.classes)
            range_ = f"{low:,.0f} .. {high:,.0f}" if high < 1e12 else "not yet known"
            say(f"  {count(now.classes, 'schedule')}; in all perhaps {range_}")
    return progress
