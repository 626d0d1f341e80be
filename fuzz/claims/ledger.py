# SPDX-License-Identifier: MIT
"""The ledger: the claims of the posts, a verdict on each, and the checks that support the verdict.

corpus/claims.toml has for each claim its author, its date and its statement in our words, the checks, the verdict and the reason. A check
is one of

    { entry = NAME, variant = V, expect = VERDICT }                     judges the entry on V, as replay does (fuzz/corpus/verdict)
    { verify = NAME, variant = V, expect = COUNTS }                     runs every schedule of the entry's program (fuzz/run/exhaustive)
    { program = [TASK, ...], after = [SETUP, ...], variant = F/V, expect = COUNTS }
                                                                        the same for a program of no entry, one task on each cpu
    { cost = OPERATION, of = SITUATION, base = F/V, variant = F/V, lock = LOCK, expect = DIFFERENCE }
                                                                        counts the operation alone, on both (fuzz/measure/cost)
    { chain = N, variant = F/V, expect = CHAIN }                        measures how N faults on one page serialise (fuzz/measure/cost)
    { command = "vmrace ...", expect = "exit N" }                       runs a command that writes no file, for its exit code

A check holds if its result equals the expected one, or begins with it ("proved", "ok": the counts may then change). The checks of a
ledger are repeated by `vmrace claims`; whether a verdict follows from its checks is for the reader to judge.
"""

from __future__ import annotations

import pathlib
import shlex
from typing import Any, TypeVar

import msgspec
from vmrace.fuzz.corpus.entry import LEDGER, EntryError, load
from vmrace.fuzz.corpus.index import NoSuchEntry, named
from vmrace.fuzz.corpus.judge import PROVE_MAX
from vmrace.fuzz.text.reading import parsing, text_of, toml_of
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import Program, ProgramError, TaskProgram, over_limits, parse_ops
from vmrace.variants.spelling import did_you_mean

FORMAT = 1
CHAIN_RUNS = 20         # schedules over which a `chain` check takes the mean
VERDICTS = ("holds", "partly", "refuted", "undecided")
KINDS = ("entry", "verify", "program", "cost", "chain", "command")
USES = {                                            # kind -> what it needs, what it may have
    "entry": (("variant",), ()),
    "verify": (("variant",), ()),
    "program": (("variant",), ("after",)),
    "cost": (("of", "base", "variant"), ("lock",)),
    "chain": (("variant",), ()),
    "command": ((), ()),
}
COMMANDS = ("corpus", "cost", "diff", "replay", "show", "variants", "verify")       # the commands that a ledger may run ...
WRITING = ("accept", "--accept", "--certify", "--into", "--size", "--state")     # ... without these words, which write files
T = TypeVar("T")


class ClaimsError(EntryError):
    """The error of a ledger that cannot be used. Its text is one line that names the file and the place."""


class Check(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One check, and its expected result. The module describes the fields."""

    expect: str
    entry: str = ""
    verify: str = ""
    program: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    cost: str = ""
    chain: int = 0
    command: str = ""
    of: str = ""
    base: str = ""
    variant: str = ""
    lock: str = ""
    runs: int = PROVE_MAX

    @property
    def kind(self) -> str:
        """The kind of check, one of KINDS."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def description(self) -> str:
        """A command line that repeats the check or, for a program of no entry, a description in words."""
        if self.kind == "entry":
            return f"vmrace show {self.entry} --variant {self.variant}"
        if self.kind == "verify":
            return f"vmrace verify {self.verify} --variant {self.variant} --runs-each {self.runs}"
        if self.kind == "program":
            return f"every schedule of {' beside '.join(self.program)} after {', '.join(self.after) or 'boot'}, on {self.variant}"
        if self.kind == "cost":
            return f"vmrace cost {self.base} {self.variant} --operations {self.cost.split()[0]}"
        if self.kind == "chain":
            return f"vmrace cost {self.variant} --runs-each {CHAIN_RUNS}"
        return self.command

    @property
    def wanted(self) -> str:
        """The expected result, as reports spell it. Ledgers put the word BUG before every title, even one that begins with BUG."""
        return self.expect.replace("BUG BUG ", "BUG ")

    def fits(self, found: str) -> bool:
        """True if a result equals the expected one, or continues it after a space or punctuation mark."""
        return found == self.wanted or (found.startswith(self.wanted) and found[len(self.wanted)] in " ,:;")


class Claim(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A claim of a post, and our verdict on it. `would_decide` names the evidence that an undecided claim lacks."""

    id: str
    who: str
    when: str
    where: str
    says: str
    tests: tuple[Check, ...] = ()
    verdict: str
    why: str
    would_decide: str = ""


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    claim: list[dict[str, Any]]


def read(corpus: pathlib.Path) -> list[Claim]:
    """Read the claims of a corpus, and look up the entries and variants they name. Raises ClaimsError."""
    path = corpus / LEDGER
    text = text_of(path, ClaimsError)
    claims = parse(text, str(path))
    for claim in claims:
        for number, check in enumerate(claim.tests):
            _known(check, corpus, f"{path}: claim {claim.id}: tests[{number}]")
    return claims


def parse(text: str, where: str = LEDGER) -> list[Claim]:
    """Parse the text of a ledger, without looking up entries and variants. Raises ClaimsError. `where` is the file's name."""
    raw = toml_of(text, where, ClaimsError)
    with parsing(where, ClaimsError):
        return _claims(raw, where)


def _claims(raw: dict[str, Any], where: str) -> list[Claim]:
    fields = _convert(raw, _Raw, where)
    if fields.format != FORMAT:
        raise ClaimsError(f"{where}: format: {fields.format}, this vmrace reads {FORMAT}")
    claims: list[Claim] = []
    for number, item in enumerate(fields.claim):
        place = f"{where}: claim {item.get('id') or number}"
        unknown = [key for key in item if key not in Claim.__struct_fields__]
        if unknown:
            raise ClaimsError(f"{place}: unknown field {unknown[0]!r}{did_you_mean(unknown[0], Claim.__struct_fields__)}")
        claim = _convert(item, Claim, place)
        _check_claim(claim, place)
        if claim.id in {one.id for one in claims}:
            raise ClaimsError(f"{place}: two claims have this id")
        claims.append(claim)
    return claims


def _convert(raw: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$.")
        raise ClaimsError(f"{where}: {place.rstrip('`') + ': ' if place else ''}{why}") from None


def _check_claim(claim: Claim, place: str) -> None:
    if claim.id != claim.id.lower() or not all(word.isalnum() for word in claim.id.split("-")):
        raise ClaimsError(f"{place}: id: {claim.id!r} is not of the form lower-case-words")
    for name in ("who", "when", "where", "says", "why"):
        if not getattr(claim, name).strip():
            raise ClaimsError(f"{place}: {name}: empty")
    if claim.verdict not in VERDICTS:
        raise ClaimsError(f"{place}: verdict: {claim.verdict!r} is none of {', '.join(VERDICTS)}{did_you_mean(claim.verdict, VERDICTS)}")
    if claim.verdict == "undecided" and not claim.would_decide:
        raise ClaimsError(f"{place}: undecided, but would_decide is empty")
    if claim.verdict != "undecided" and not claim.tests:
        raise ClaimsError(f"{place}: {claim.verdict}, but no test shows it")
    for number, check in enumerate(claim.tests):
        _check_fields(check, f"{place}: tests[{number}]")


def _check_fields(check: Check, place: str) -> None:
    kinds = [kind for kind in KINDS if getattr(check, kind)]
    if len(kinds) != 1:
        raise ClaimsError(f"{place}: {'one of' if not kinds else 'only one of'} {', '.join(kinds or KINDS)}")
    needs, may = USES[kinds[0]]
    for name in ("after", "of", "base", "variant", "lock"):
        if name in needs and not getattr(check, name):
            raise ClaimsError(f"{place}: {kinds[0]} needs {name}")
        if name not in needs + may and getattr(check, name):
            raise ClaimsError(f"{place}: {kinds[0]} has no {name}")
    if not str(getattr(check, kinds[0])).strip():
        raise ClaimsError(f"{place}: {kinds[0]}: empty")
    if not check.expect:
        raise ClaimsError(f"{place}: expect: empty")


def _known(check: Check, corpus: pathlib.Path, place: str) -> None:
    """Look up the entry and the variants that a check names. Raises ClaimsError if one is missing."""
    name = check.entry or check.verify
    if name:
        try:
            entry = load(named(name, corpus))
        except NoSuchEntry as error:
            raise ClaimsError(f"{place}: {error}") from None
        known = family(entry.family).variants
        if check.variant not in known:
            raise ClaimsError(f"{place}: no variant {check.variant!r} in {entry.family}{did_you_mean(check.variant, known)}")
    elif check.kind == "command":
        if wrong := _wrong_command(check.command):
            raise ClaimsError(f"{place}: command: {wrong}")
    else:
        full = [f"{one}/{variant}" for one in FAMILIES for variant in family(one).variants]
        for variant in filter(None, (check.base, check.variant)):
            if variant not in full:
                raise ClaimsError(f"{place}: no variant {variant!r}{did_you_mean(variant, full)}")
        if check.program:
            try:
                program = program_of(check)
            except ProgramError as error:
                raise ClaimsError(f"{place}: {error}") from None
            if wrong := over_limits(program.cpus, range(program.cpus)):
                raise ClaimsError(f"{place}: program: {wrong}")


def _wrong_command(text: str) -> str:
    """Name the reason that a ledger may not run a command, or return an empty text. A ledger is data: its commands may neither write
    files nor name code to run."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return str(error)
    if words[:1] != ["vmrace"]:
        return "not a vmrace command"
    if not set(words[1:2]) & set(COMMANDS):
        return f"not one of {', '.join(COMMANDS)}, which write no files"
    for word in words[2:]:
        if word.partition("=")[0] in WRITING:
            return f"{word} writes files"
        if ":" in word or word.endswith(".run"):
            return f"{word!r} may name code to be run"
    return ""


def program_of(check: Check) -> Program:
    """Make the program of a check, one task on each cpu. Raises ProgramError."""
    tasks = tuple(TaskProgram(cpu, parse_ops(text.split("; "), "program")) for cpu, text in enumerate(check.program))
    return Program(parse_ops(list(check.after), "after"), tasks, len(tasks))


def emit(claims: list[Claim], comment: str = "") -> str:
    """Write the canonical text of a ledger, after a `comment`."""
    out = [f"format = {FORMAT}"]
    for claim in claims:
        out += ["", "[[claim]]"]
        for name in Claim.__struct_fields__:
            value = getattr(claim, name)
            if name != "tests":
                out += [f"{name} = {_quoted(value)}"] if value or name != "would_decide" else []
            elif value:
                out += ["tests = [", *(f"  {_inline(check)}," for check in value), "]"]
    return comment + "\n".join(out) + "\n"


def _inline(check: Check) -> str:
    names = [*KINDS[:3], "after", *KINDS[3:], "of", "base", "variant", "lock", "expect"]
    pairs = [(name, getattr(check, name)) for name in names if getattr(check, name)]
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in pairs) + " }"


def _value(value: str | int | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    return str(value) if isinstance(value, int) else _quoted(value)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()           # TOML's basic strings have the escapes of JSON
