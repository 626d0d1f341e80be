# SPDX-License-Identifier: MIT
"""Certificates of explorations, which any installation of vmrace can check.

A certificate names its subject (hashes of the program, of the linked image and of vmrace), the method (bound and equivalence), and the
result (classes of schedules, blocked runs, a digest of the set of classes, the titles). Checking it repeats the exploration. If the
program has at most PLAIN_MAX schedules, they are also enumerated one by one, by code that does not know classes.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.corpus.entry import Entry, EntryError, load
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.functions import allowed
from vmrace.fuzz.run.code_hash import vmrace_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import json_of, parsing, text_of
from vmrace.fuzz.verify.report import _worst, verdict
from vmrace.fuzz.verify.subject import Subject, VerifyError, identity_of, of_entry, of_functions
from vmrace.harness import stop
from vmrace.harness.explore.exploration import EQUIVALENCE, Exploration
from vmrace.variants.family import family

CERTIFICATE = 1             # format
PROOF = ".proof.json"       # the end of a certificate's file name
BOUND_MAX = 100             # the largest bound of preemptions
MOVE_AWAY = "move it away, and --certify makes a new one"
MADE_WITH = ("image", "vmrace")     # these may differ from now: the certificate is valid while its results are the same


def certificate(subject: Subject, found: Exploration) -> dict[str, Any]:
    """Make a certificate, as a JSON object."""
    return certified(subject.identity, found)


def certified(identity: dict[str, str], found: Exploration) -> dict[str, Any]:
    """Make the certificate of a subject with that identity."""
    worst = _worst(found)       # format 1 puts BUG before every title
    return {"certificate": CERTIFICATE, **identity, "vmrace": _made_by(identity), "bound": found.bound,
            "equivalence": EQUIVALENCE, "verdict": f"BUG {worst}" if worst else str(verdict(found)), "complete": found.complete,
            "executions": found.classes, "blocked": found.blocked, "digest": found.digest,
            "titles": {title: found.classes_with(title) for title in found.titles}}


def _made_by(identity: dict[str, str]) -> str:
    return vmrace_hash(identity.get("variant", "").partition("/")[0])


def write_certificate(path: pathlib.Path, subject: Subject, found: Exploration) -> None:
    """Write a certificate. Raises VerifyError if the exploration is not complete, the file cannot be written, or as `before` does."""
    if not found.complete:
        raise VerifyError(f"{path}: no certificate: {found.why}")
    stop.look()
    before(path)
    _write(path, certificate(subject, found))


def before(path: pathlib.Path) -> dict[str, Any] | None:
    """Read the certificate that a new one replaces, None if there is none. Raises VerifyError if it cannot be read: it then stays, because
    another vmrace may have made it."""
    if not os.path.lexists(path):
        return None
    try:
        return _read_certificate(path)
    except VerifyError as error:
        raise VerifyError(f"{error}; {MOVE_AWAY}") from None


def _write(path: pathlib.Path, claimed: dict[str, Any]) -> None:
    try:
        writing.write(path, json.dumps(claimed, indent=2) + "\n")
    except OSError as error:
        raise VerifyError(f"{path}: cannot be written: {writing.why(error)}") from None


@dataclass
class Checked:
    """The result of checking a certificate.

    `found` is the repeated exploration. `wrong` lists its differences to the certificate; if it is not complete, only titles that the
    certificate lacks. `other` names the parts of MADE_WITH that have changed. `plain` is True if plain enumeration agrees, and None if
    there are too many schedules for it.
    """

    subject: Subject
    found: Exploration
    wrong: list[str]
    other: list[str]
    plain: bool | None


def check(path: pathlib.Path, functions: str | None = None, **limits: Any) -> Checked:
    """Repeat the exploration of a certificate, within `limits`, and compare the results.

    A certificate of plain functions is checked only if `functions` names the same MODULE:FUNCTION, or the project allows it (see
    fuzz/functions/allowed.py): NotAllowed is raised otherwise. Raises VerifyError if the certificate cannot be used.
    """
    claimed = _read_certificate(path)
    subject = _subject_of(path, claimed, functions)
    found = subject.explore(bound=claimed["bound"], **limits)
    now = json.loads(json.dumps(certificate(subject, found)))
    known = now if found.complete else {"certificate": CERTIFICATE, **subject.identity}
    wrong = _wrong(claimed, known)
    if not found.complete:
        wrong += [f"titles: {title} is found, and is not in the certificate" for title in found.titles if title not in claimed["titles"]]
    other = [key for key in MADE_WITH if claimed[key] != now[key]]
    plain = None
    if found.complete:
        titles = subject.plain(found.bound)
        plain = None if titles is None else {title for outcome in titles for title in outcome} <= set(found.titles) and (
            bool(found.titles) == any(titles))
    return Checked(subject, found, wrong, other, plain)


@dataclass(frozen=True)
class KeptProof:
    """A certificate beside an entry that says `proved` of this very program, image and vmrace, without a bound."""

    path: pathlib.Path
    claimed: dict[str, Any]
    identity: dict[str, str]

    @property
    def verdict(self) -> Verdict:
        """The verdict that it stands for."""
        return Verdict(Word.PROVED, number=int(self.claimed["executions"]))

    def wrong(self, made: object) -> list[str]:
        """List what a repeated exploration contradicts, a line each. Nothing if `made` is none, or is not complete and has no finding."""
        if not isinstance(made, Exploration) or (not made.complete and not made.titles):
            return []
        return _wrong(self.claimed, json.loads(json.dumps(certified(self.identity, made))))


def kept_proof(entry: Entry, executor: Executor) -> KeptProof | None:
    """Read the certificate of an entry on the executor's variant. None if there is none, if its verdict is another than proved, or if its
    hashes are not those of now. Raises VerifyError if it cannot be used."""
    path = certificate_path(entry, executor.variant)
    if not os.path.lexists(path):
        return None
    claimed, identity = _read_certificate(path), identity_of(entry, executor)
    proof: dict[str, Any] = {**identity, "vmrace": _made_by(identity), "bound": None, "equivalence": EQUIVALENCE,
                             "verdict": str(Verdict(Word.PROVED)), "complete": True, "titles": {}}
    differs = any(_differ(claimed.get(key), value) for key, value in proof.items())
    return None if differs else KeptProof(path, claimed, identity)


@dataclass(frozen=True)
class ProofRecord:
    """The certificate of a proof that was made, to be written beside its entry."""

    path: pathlib.Path
    made: dict[str, Any]

    def write(self) -> list[str]:
        """Write it. Returns a line for each result that is another than before. Raises VerifyError if the file cannot be written, and as
        `before` does."""
        old = before(self.path) or self.made
        _write(self.path, self.made)
        return _wrong(old, {key: self.made[key] for key in _RESULTS}, "before")


def proof_record(entry: Entry, executor: Executor, found: Exploration) -> ProofRecord:
    """Make the certificate of a proof of an entry on the executor's variant."""
    assert found.proved, found.why
    made = json.loads(json.dumps(certified(identity_of(entry, executor), found)))
    return ProofRecord(certificate_path(entry, executor.variant), made)


def is_of_functions(path: pathlib.Path) -> bool:
    """True if a certificate is of plain functions, False if it is of an entry. Raises VerifyError if it cannot be read."""
    return "functions" in _read_certificate(path)


def is_proof_by(path: pathlib.Path, vmrace: str) -> bool:
    """True if a file is a certificate with that hash of vmrace."""
    try:
        return path.is_file() and _read_certificate(path)["vmrace"] == vmrace
    except VerifyError:
        return False


def _wrong(claimed: dict[str, Any], known: dict[str, Any], when: str = "in the certificate") -> list[str]:
    """List the fields that are not as claimed, a line each. The number of blocked runs may differ: another explorer may change it."""
    return [f"{key}: {json.dumps(claimed[key])} {when}, {json.dumps(known[key])} now"
            for key in known if _differ(claimed[key], known[key]) and key not in (*MADE_WITH, "blocked")]


def _differ(one: object, other: object) -> bool:
    """True if two values differ as JSON, where 1 is not `true`."""
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def _read_certificate(path: pathlib.Path) -> dict[str, Any]:
    """Read a certificate. Raises VerifyError unless every field is present and has the right type."""
    claimed = json_of(text_of(path, VerifyError), path, VerifyError)
    with parsing(path, VerifyError):
        return _checked_fields(path, claimed)


def _checked_fields(path: pathlib.Path, claimed: object) -> dict[str, Any]:
    if not isinstance(claimed, dict) or _differ(claimed.get("certificate"), CERTIFICATE):
        raise VerifyError(f"{path}: certificate: not a certificate of format {CERTIFICATE}, the one that this vmrace reads")
    fields = _FIELDS | ({"functions": str, "args": str} if "functions" in claimed else {"entry": str, "variant": str})
    for key in [*fields, *claimed]:
        if key not in fields or key not in claimed:
            raise VerifyError(f"{path}: {key}: {'unknown field' if key in claimed else 'is missing'}")
        if type(claimed[key]) is not fields[key] and not (key == "bound" and claimed[key] is None):
            raise VerifyError(f"{path}: {key}: {json.dumps(claimed[key])} is not {_KINDS[fields[key]]}")
    for key in ("bound", "executions", "blocked"):
        if (claimed[key] or 0) < 0:
            raise VerifyError(f"{path}: {key}: {claimed[key]}, less than 0")
    if (claimed["bound"] or 0) > BOUND_MAX:
        raise VerifyError(f"{path}: bound: {claimed['bound']}, more than {BOUND_MAX}")
    if not all(type(number) is int for number in claimed["titles"].values()):
        raise VerifyError(f"{path}: titles: a title without its number of classes")
    check_digest(f"{path}: digest", claimed["digest"])
    return claimed


def check_digest(where: str, text: str) -> None:
    """Raise VerifyError unless a text has the form of a digest of classes or of a sample."""
    if not re.fullmatch("[0-9a-f]{24}", text):
        raise VerifyError(f"{where}: {json.dumps(text)} is not 24 hexadecimal digits")


_KINDS: dict[type, str] = {int: "a whole number", str: "a text", bool: "true or false", dict: "an object"}


_RESULTS = ("verdict", "executions", "digest")
_FIELDS: dict[str, type] = {
    "certificate": int, "program": str, "image": str, "vmrace": str, "bound": int, "equivalence": str, "verdict": str,
    "complete": bool, "executions": int, "blocked": int, "digest": str, "titles": dict}


def _subject_of(path: pathlib.Path, claimed: dict[str, Any], functions: str | None) -> Subject:
    if "functions" in claimed:
        target, args = claimed["functions"], _args(path, claimed["args"])
        allowed.require(path, target, functions, shlex.join(["vmrace", "verify", target, "--check", str(path)]))
        return of_functions(target, args)
    if functions is not None:
        raise VerifyError(f"{path}: is of an entry, not of {functions}")
    name = claimed["entry"]
    file = path.parent / f"{name.rpartition('/')[2]}.toml"
    try:
        entry = load(file)
    except EntryError as error:
        raise VerifyError(f"{path}: entry: {error}") from None
    family_name, _, variant = claimed["variant"].partition("/")
    if family_name != entry.family or variant not in family(entry.family).variants:
        raise VerifyError(f"{path}: variant: no variant {claimed['variant']!r} of {entry.family}")
    return of_entry(entry, variant)


def _args(path: pathlib.Path, text: str) -> tuple[str, ...]:
    try:
        args = json.loads(text)
    except (ValueError, RecursionError, MemoryError):
        args = None
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise VerifyError(f"{path}: args: {json.dumps(text)} is not a list of texts in JSON")
    return tuple(args)


def certificate_path(entry: Entry, variant: str, bound: int | None = None) -> pathlib.Path:
    """Name the certificate of an entry on a variant: a file beside the entry."""
    place = entry.path or pathlib.Path(f"{entry.name}.toml")
    return place.with_name(f"{place.stem}.{variant}{_bounded(bound)}{PROOF}")


def functions_certificate_path(target: str, args: tuple[str, ...], bound: int | None = None) -> pathlib.Path:
    """Name the certificate of a program of plain functions: a file in the current folder, one for each list of arguments."""
    stem = re.sub(r"[^\w.-]+", "_", "-".join((target.replace(":", "-"), *args)))
    return pathlib.Path(f"{stem}{_bounded(bound)}{PROOF}")


def _bounded(bound: int | None) -> str:
    """Spell the bound as part of the file name, so that a bounded proof does not replace one of all schedules."""
    return "" if bound is None else f".preemptions-{bound}"
