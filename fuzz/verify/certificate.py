# SPDX-License-Identifier: MIT
"""Certificates of explorations, which anybody can check.

A certificate names what was explored (hashes of the program, of the linked image and of vmrace itself), how (bound and
equivalence), and what it came to (classes of runs, blocked runs, a digest of the set of classes, the outcomes). To check it is
to do it again; what is small enough is also enumerated plainly, by code that knows nothing of classes.
"""

from __future__ import annotations

import json
import pathlib
import re
import shlex
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.corpus import entry as entries
from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.functions import allowed
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import json_of, parsing, text_of
from vmrace.fuzz.verify.report import _worst, verdict
from vmrace.fuzz.verify.subject import Subject, VerifyError, of_entry, of_functions, vmrace_hash
from vmrace.harness import stop
from vmrace.harness.explore.exploration import EQUIVALENCE, Exploration
from vmrace.variants.family import family

CERTIFICATE = 1             # format
BOUND_MAX = 100             # preemptions that a bound may have
MADE_WITH = ("image", "vmrace")     # a certificate outlives a change of these, if what it says still holds


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
