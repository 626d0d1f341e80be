# SPDX-License-Identifier: MIT
"""`vmrace verify`: every schedule of a small program, its verdict, and a certificate that anybody can check.

A certificate names what was explored (hashes of the program, of the linked image and of vmrace itself), how (bound and
equivalence), and what it came to (classes of runs, blocked runs, a digest of the set of classes, the outcomes). To check it is
to do it again; what is small enough is also enumerated plainly, by code that knows nothing of classes.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import shlex
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fuzz.campaign.report import COLUMNS
from fuzz.corpus import entry as entries
from fuzz.corpus.entry import Entry
from fuzz.corpus.verdict import Verdict, Word, bug
from fuzz.functions import allowed
from fuzz.functions.target import runner_of, split
from fuzz.run.exhaustive import Explorer
from fuzz.text import writing
from fuzz.text.reading import json_of, parsing, text_of
from fuzz.text.wording import count
from fuzz.verify import reasons
from harness import stop
from harness.explore.exploration import EQUIVALENCE, Exploration, Progress
from harness.finding import is_of_one_run
from harness.functions.program import Program
from harness.functions.verify import verify_runner
from harness.sanitizers import table
from harness.schedulers.enumerate import every_schedule
from variants.family import family

CERTIFICATE = 1             # format
BOUND_MAX = 100             # preemptions that a bound may have
MADE_WITH = ("image", "vmrace")     # a certificate outlives a change of these, if what it says still holds
PLAIN_MAX = 20_000          # schedules that plain enumeration may take to confirm a certificate
SECONDS_MAX = 60.0          # that one exploration may take, unless told otherwise


class VerifyError(Exception):
    """One line that says what cannot be verified, and why."""


@dataclass
class Subject:
    """What is verified: a program on a variant, or a program of plain functions. `explore(**limits)` explores it, `plain(bound)`
    enumerates it."""

    name: str
    kind: str
    identity: dict[str, str]
    facts: str
    explore: Callable[..., Exploration]
    plain: Callable[[int | None], set[tuple[str, ...]] | None]
    expect: Verdict | None = None


def of_entry(entry: Entry, variant: str) -> Subject:
    explorer = Explorer(family(entry.family), variant)
    executor = explorer.executor
    image = executor.image(entry.program.cpus)
    program = "\n".join(entries.program_lines(entry.program))
    operations, cpus = entry.program.size, entry.program.cpus
    file = f"{entry.family}/{entry.path.stem}" if entry.path is not None else entry.name

    def plain(bound: int | None) -> set[tuple[str, ...]] | None:
        prepared = executor.prepare(entry.program)
        return _plainly(lambda scheduler: executor.run(prepared, scheduler), bound)

    return Subject(
        name=f"{entry.name} on {entry.family}/{variant}", kind="entry",
        identity={"entry": file, "variant": f"{entry.family}/{variant}", "program": _hash(program), "image": image.digest},
        facts=f"{count(cpus, 'cpu')}, {count(operations, 'operation')}", plain=plain,
        explore=lambda **limits: explorer.explore(entry.program, **limits), expect=entry.expect.get(variant))


def of_functions(target: str, args: tuple[str, ...]) -> Subject:
    """`module:make`, with arguments as Python literals or plain text. TargetError if there is no such thing."""
    runner = runner_of(target, args)
    source = pathlib.Path(sys.modules[split(target)[0]].__file__ or "").read_text()
    return Subject(
        name=target + (f"({', '.join(args)})" if args else ""), kind="functions",
        identity={"functions": target, "args": json.dumps(args), "program": _hash(source), "image": ""},
        facts=f"{count(runner.cpus, 'cpu')}, {count(len(runner.tasks), 'task')}",
        explore=lambda **limits: verify_runner(runner, **limits), plain=lambda bound: _plainly(runner.run, bound))


def _plainly(run: Callable[[Any], Any], bound: int | None) -> set[tuple[str, ...]] | None:
    """The titles of every schedule by plain enumeration, or None if there are too many."""
    seen: set[tuple[str, ...]] = set()
    for number, outcome in enumerate(every_schedule(run, 1 << 30 if bound is None else bound, explores=True), 1):
        seen.add((*outcome.titles[:1],))
        if number > PLAIN_MAX:
            return None
    return seen


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def vmrace_hash() -> str:
    """Of all source that an exploration depends on besides the kernel's own."""
    import harness
    room = pathlib.Path(harness.__file__).parent
    runs = pathlib.Path(__file__).parents[1] / "run"
    paths = [*sorted(room.rglob("*.py")), runs / "executor.py", runs / "exhaustive.py"]
    return _hash("\n".join(path.read_text() for path in paths))


# ---- verdicts ----------------------------------------------------------------------------------------------------------

EXPECTED, CHANGED, UNDECIDED = "as expected", "changed", "undecided"


def verdict(found: Exploration) -> Verdict:
    """BUG with the title that takes the fewest preemptions, proved, or inconclusive."""
    worst = _worst(found)
    return bug(worst) if worst else Verdict(Word.PROVED) if found.complete else Verdict(Word.INCONCLUSIVE, why=found.why)


def _worst(found: Exploration) -> str:
    """The title that takes the fewest preemptions, if there is one."""
    return min(found.titles, key=lambda title: (found.fewest(title).preemptions, title), default="")


def judge(found: Exploration, expect: Verdict | None) -> tuple[str, str]:
    """What was found against the verdict that an entry expects (where it has none, nothing may be found), and a line where that
    needs one. What is expected may take more preemptions than were allowed."""
    if expect is None or expect.word is not Word.BUG:
        state = CHANGED if found.titles else EXPECTED if found.complete else UNDECIDED
    elif expect.title in found.titles:
        state = EXPECTED
    elif not found.complete:
        return UNDECIDED, f"Not seen so far, and expected: {expect}"
    elif found.bound is not None:
        state = EXPECTED
    elif is_of_one_run(expect.title):
        return UNDECIDED, f"Not looked for by verify (vmrace replay does), and expected: {expect}"
    else:
        state = CHANGED
    if state is CHANGED and expect is not None:
        return state, f"The entry expects something else: {expect}"
    if state is EXPECTED and reasons.broke(found.why):      # what was lost may have held anything
        return UNDECIDED, "As expected so far; but that something was lost is no success."
    return state, ""


def told(subject: Subject, found: Exploration) -> list[str]:
    bound = "no preemption bound" if found.bound is None else f"at most {count(found.bound, 'preemption')}"
    lines = []
    runs = f"{count(found.classes, 'inequivalent schedule')} run ({found.way}), {found.blocked:,} blocked, {found.seconds:.2f} s"
    if found.proved:
        lines.append(f"proved: {runs}" if found.bound is not None else f"proved: {found.classes:,} of {runs}")
    elif not found.titles:
        lines += [f"inconclusive: {found.why}", *([f"  {runs}"] if found.classes else [])]
    for title in sorted(found.titles, key=lambda title: (found.fewest(title).preemptions, title)):
        share = f"{found.classes_with(title):,} of {count(found.classes, 'class of schedules')}"
        lines.append(str(bug(title)))
        fewest = found.fewest(title)
        lines.append(f"  in {share}; least preemptions: {fewest.preemptions}{'' if fewest.least else ' or fewer'}")
    if found.titles:
        lines.append(f"  {runs}" + ("" if found.complete else f"; not all: {found.why}"))
    lines += textwrap.wrap(reasons.hint(found.why), COLUMNS, initial_indent="  ", subsequent_indent="  ")
    lines.append(f"  {subject.facts}, {bound}; {table.told(subject.kind)}")
    if found.titles and subject.kind == "functions":
        args = "".join(f" --arg {shlex.quote(arg)}" for arg in json.loads(subject.identity["args"]))
        lines.append(f"next: vmrace fuzz {subject.identity['functions']}{args}")
    lines.append("This says nothing about other programs, weaker memory orderings or more cpus.")
    return lines


def as_json(subject: Subject, found: Exploration) -> dict[str, Any]:
    return {"subject": subject.name, "verdict": str(verdict(found)), "classes": found.classes, "executions": found.classes,
            "blocked": found.blocked, "complete": found.complete, "why": str(found.why or ""),
            "reason": reasons.reason_of(found.why), "hint": reasons.hint(found.why),
            "bound": found.bound, "way": found.way, "digest": found.digest, "seconds": round(found.seconds, 3),
            "sanitizers": table.on(subject.kind),
            "titles": {title: {"classes": found.classes_with(title), "preemptions": found.fewest(title).preemptions,
                               "least": found.fewest(title).least}
                       for title in found.titles}}


# ---- certificates ------------------------------------------------------------------------------------------------------

def certificate(subject: Subject, found: Exploration) -> dict[str, Any]:
    worst = _worst(found)       # format 1 puts BUG before every title
    return {"certificate": CERTIFICATE, **subject.identity, "vmrace": vmrace_hash(), "bound": found.bound,
            "equivalence": EQUIVALENCE, "verdict": f"BUG {worst}" if worst else str(verdict(found)), "complete": found.complete,
            "executions": found.classes, "blocked": found.blocked, "digest": found.digest,
            "titles": {title: found.classes_with(title) for title in found.titles}}


def write_certificate(path: pathlib.Path, subject: Subject, found: Exploration) -> None:
    """VerifyError if nothing was proved either way, or it cannot be written."""
    if not found.complete:
        raise VerifyError(f"{path}: no certificate: {found.why}")
    stop.look()
    try:
        writing.write(path, json.dumps(certificate(subject, found), indent=2) + "\n")
    except OSError as error:
        raise VerifyError(f"{path}: cannot be written: {writing.why(error)}") from None


@dataclass
class Checked:
    """What checking a certificate came to. `wrong`: what is not as it says. `other`: what it was made with, where that has changed
    since. `plain`: whether plain enumeration agrees; None if that takes too many schedules. Where `found` is not complete, only what
    was found though it says that this cannot be is wrong."""

    subject: Subject
    found: Exploration
    wrong: list[str]
    other: list[str]
    plain: bool | None


def check(path: pathlib.Path, functions: str | None = None, **limits: Any) -> Checked:
    """Do again what a certificate says was done. A certificate of plain functions is checked if `functions` names the same
    MODULE:FUNCTION, or its project allows it (see fuzz/functions/allowed). NotAllowed otherwise; VerifyError if it cannot be used."""
    said = _read_certificate(path)
    subject = _subject_of(path, said, functions)
    found = subject.explore(bound=said["bound"], **limits)
    now = json.loads(json.dumps(certificate(subject, found)))
    known = now if found.complete else {"certificate": CERTIFICATE, **subject.identity}
    wrong = [f"{key}: {json.dumps(said[key])} in the certificate, {json.dumps(known[key])} now"
             for key in known if _differ(said[key], known[key]) and key not in (*MADE_WITH, "blocked")]     # depends on who explores
    if not found.complete:
        wrong += [f"titles: {title} is found, and is not in the certificate" for title in found.titles if title not in said["titles"]]
    other = [key for key in MADE_WITH if said[key] != now[key]]
    plain = None
    if found.complete:
        titles = subject.plain(found.bound)
        plain = None if titles is None else {title for outcome in titles for title in outcome} <= set(found.titles) and (
            bool(found.titles) == any(titles))
    return Checked(subject, found, wrong, other, plain)


def _differ(one: Any, other: Any) -> bool:
    """As JSON: 1 is not true."""
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def _read_certificate(path: pathlib.Path) -> dict[str, Any]:
    """What a file says, if that is a certificate: each field there, and of its kind. VerifyError otherwise."""
    said = json_of(text_of(path, VerifyError), path, VerifyError)
    with parsing(path, VerifyError):
        return _checked_fields(path, said)


def _checked_fields(path: pathlib.Path, said: Any) -> dict[str, Any]:
    if not isinstance(said, dict) or said.get("certificate") != CERTIFICATE:
        raise VerifyError(f"{path}: certificate: not a certificate of format {CERTIFICATE}")
    fields = _FIELDS | ({"functions": str, "args": str} if "functions" in said else {"entry": str, "variant": str})
    for key in [*fields, *said]:
        if key not in fields or key not in said:
            raise VerifyError(f"{path}: {key}: {'unknown field' if key in said else 'is missing'}")
        if type(said[key]) is not fields[key] and not (key == "bound" and said[key] is None):
            raise VerifyError(f"{path}: {key}: {json.dumps(said[key])} cannot be")
    if min(said["bound"] or 0, said["executions"], said["blocked"]) < 0:
        raise VerifyError(f"{path}: a number is less than 0")
    if (said["bound"] or 0) > BOUND_MAX:
        raise VerifyError(f"{path}: bound: {said['bound']}, more than {BOUND_MAX}")
    if not all(type(number) is int for number in said["titles"].values()):
        raise VerifyError(f"{path}: titles: a title without its number of classes")
    return said


_FIELDS: dict[str, type] = {
    "certificate": int, "program": str, "image": str, "vmrace": str, "bound": int, "equivalence": str, "verdict": str,
    "complete": bool, "executions": int, "blocked": int, "digest": str, "titles": dict}


def _subject_of(path: pathlib.Path, said: dict[str, Any], functions: str | None) -> Subject:
    if "functions" in said:
        target, args = said["functions"], _args(path, said["args"])
        allowed.require(path, target, functions, shlex.join(["vmrace", "verify", target, "--check", str(path)]))
        return of_functions(target, args)
    if functions is not None:
        raise VerifyError(f"{path}: is of an entry, not of {functions}")
    name = said["entry"]
    file = path.parent / f"{name.rpartition('/')[2]}.toml"
    try:
        entry = entries.load(file)
    except entries.EntryError as error:
        raise VerifyError(f"{path}: entry: {error}") from None
    family_name, _, variant = said["variant"].partition("/")
    if family_name != entry.family or variant not in family(entry.family).variants:
        raise VerifyError(f"{path}: variant: no variant {said['variant']!r} of {entry.family}")
    return of_entry(entry, variant)


def _args(path: pathlib.Path, text: str) -> tuple[str, ...]:
    try:
        args = json.loads(text)
    except (ValueError, RecursionError, MemoryError):
        args = None
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise VerifyError(f"{path}: args: {json.dumps(text)} cannot be")
    return tuple(args)


def certificate_path(entry: Entry, variant: str, bound: int | None = None) -> pathlib.Path:
    """Next to the entry."""
    place = entry.path or pathlib.Path(f"{entry.name}.toml")
    return place.with_name(f"{place.stem}.{variant}{_bounded(bound)}.proof.json")


def functions_certificate_path(target: str, args: tuple[str, ...], bound: int | None = None) -> pathlib.Path:
    """Here; another one for other arguments."""
    told = re.sub(r"[^\w.-]+", "_", "-".join((target.replace(":", "-"), *args)))
    return pathlib.Path(f"{told}{_bounded(bound)}.proof.json")


def _bounded(bound: int | None) -> str:
    """A certificate of less must not take the place of one of all."""
    return "" if bound is None else f".preemptions-{bound}"


__all__ = ["Checked", "Program", "Progress", "Subject", "VerifyError", "as_json", "certificate_path", "check", "functions_certificate_path",
           "of_entry", "of_functions", "told", "verdict", "write_certificate"]
