# SPDX-License-Identifier: MIT
"""The ledger: what the posts claim, what this project can say of it, and the checks that say it again.

corpus/claims.toml is data: who claimed what and when, in our words; the checks; the verdict and why. A check is one of

    { entry = NAME, variant = V, expect = VERDICT }                     the entry judged on V, as replay does (fuzz/corpus/verdict)
    { verify = NAME, variant = V, expect = COUNTS }                     every schedule of the entry's program on V (fuzz/run/exhaustive)
    { program = [TASK, ...], after = [SETUP, ...], variant = F/V, expect = COUNTS }
                                                                        the same of a program that no entry has, a task a cpu
    { cost = OPERATION, of = SITUATION, base = F/V, variant = F/V, lock = LOCK, expect = DIFFERENCE }
                                                                        what the operation counts alone, against base (fuzz/measure/cost)
    { chain = N, variant = F/V, expect = CHAIN }                        how N faults on one page serialise (fuzz/measure/cost)
    { command = "vmrace ...", expect = "exit N" }                       a command line that only looks, by its exit code

It holds if what is found is what is expected, or begins with it ("proved", "ok": the counts are then free to change). A ledger
none of whose checks has changed is as it says; whether a verdict follows from its checks is for its reader to judge.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fuzz.corpus.entry import LEDGER, EntryError, load
from fuzz.corpus.index import NoSuchEntry, named
from fuzz.corpus.judge import PROVE_MAX, REPLAYS, judge_entry
from fuzz.corpus.verdict import bug, parse_verdict
from fuzz.run.executor import Executor
from fuzz.run.exhaustive import explore_on
from fuzz.text.reading import parsing, text_of, toml_of
from fuzz.text.wording import count
from harness.incomplete import of_error
from variants.family import FAMILIES, family
from variants.program import Program, ProgramError, TaskProgram, did_you_mean, over_limits, parse_ops

FORMAT = 1
UNDONE = ("inconclusive", "exit 3", "exit 130")     # how what is found begins where a check came to nothing
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
COMMANDS = ("corpus", "cost", "diff", "replay", "show", "variants", "verify")      # that a ledger may have run ...
WRITING = ("accept", "--accept", "--certify", "--into", "--keep", "--ops", "--state")     # ... without these words
CHAIN_RUNS = 20
COLUMNS = 100


class ClaimsError(EntryError):
    """A ledger that cannot be used: one line that names the file and the place."""


class Check(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One thing to do again, and what it came to."""

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
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def told(self) -> str:
        """The command line for a reader who wants to see for himself."""
        if self.kind == "entry":
            return f"vmrace show {self.entry} --variant {self.variant}"
        if self.kind == "verify":
            return f"vmrace verify {self.verify} --variant {self.variant} --runs {self.runs}"
        if self.kind == "program":
            return f"every schedule of {' beside '.join(self.program)} after {', '.join(self.after) or 'boot'}, on {self.variant}"
        if self.kind == "cost":
            return f"vmrace cost {self.base} {self.variant} --ops {self.cost.split()[0]}"
        if self.kind == "chain":
            return f"vmrace cost {self.variant} --runs {CHAIN_RUNS}"
        return self.command

    @property
    def wanted(self) -> str:
        """What is expected, as it is told. In ledgers the word BUG stands before every title, also before one that begins with it."""
        return self.expect.replace("BUG BUG ", "BUG ")

    def fits(self, found: str) -> bool:
        return found == self.wanted or (found.startswith(self.wanted) and found[len(self.wanted)] in " ,:;")


class Claim(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What somebody claimed, and what we can say of it."""

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


# ---- reading and writing ---------------------------------------------------------------------------------------------------

def read(corpus: pathlib.Path) -> list[Claim]:
    """The claims of a corpus. ClaimsError, naming the file and the place, if its ledger cannot be used."""
    path = corpus / LEDGER
    text = text_of(path, ClaimsError)
    claims = parse(text, str(path))
    for claim in claims:
        for number, check in enumerate(claim.tests):
            _known(check, corpus, f"{path}: claim {claim.id}: tests[{number}]")
    return claims


def parse(text: str, where: str = LEDGER) -> list[Claim]:
    """Claims from text; which entries there are is not looked at. ClaimsError, naming the place, if it is no ledger."""
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
            raise ClaimsError(f"{place}: there are two of that id")
        claims.append(claim)
    return claims


def _convert(raw: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$.")
        raise ClaimsError(f"{where}: {place.rstrip('`') + ': ' if place else ''}{why}") from None


def _check_claim(claim: Claim, place: str) -> None:
    if claim.id != claim.id.lower() or not all(word.isalnum() for word in claim.id.split("-")):
        raise ClaimsError(f"{place}: id: {claim.id!r} is not small-words-like-this")
    for name in ("who", "when", "where", "says", "why"):
        if not getattr(claim, name).strip():
            raise ClaimsError(f"{place}: {name}: empty")
    if claim.verdict not in VERDICTS:
        raise ClaimsError(f"{place}: verdict: {claim.verdict!r} is none of {', '.join(VERDICTS)}{did_you_mean(claim.verdict, VERDICTS)}")
    if claim.verdict == "undecided" and not claim.would_decide:
        raise ClaimsError(f"{place}: undecided, and would_decide does not say what would decide it")
    if claim.verdict != "undecided" and not claim.tests:
        raise ClaimsError(f"{place}: {claim.verdict}, and no test says so")
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
    """The entry and the variants that a check names must be there."""
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
                program = _program(check)
            except ProgramError as error:
                raise ClaimsError(f"{place}: {error}") from None
            if wrong := over_limits(program.cpus, range(program.cpus)):
                raise ClaimsError(f"{place}: program: {wrong}")


def _wrong_command(text: str) -> str:
    """Why a ledger, which is data, may not have that command run; or nothing. It may neither write nor name code."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return str(error)
    if words[:1] != ["vmrace"]:
        return "not a vmrace command"
    if not set(words[1:2]) & set(COMMANDS):
        return f"not one of {', '.join(COMMANDS)}, which only look"
    for word in words[2:]:
        if word.partition("=")[0] in WRITING:
            return f"{word} writes files"
        if ":" in word or word.endswith(".run"):
            return f"{word!r} may name code to be run"
    return ""


def _program(check: Check) -> Program:
    tasks = tuple(TaskProgram(cpu, parse_ops(text.split("; "), "program")) for cpu, text in enumerate(check.program))
    return Program(parse_ops(list(check.after), "after"), tasks, len(tasks))


def emit(claims: list[Claim], comment: str = "") -> str:
    """The canonical text of a ledger."""
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
    return msgspec.json.encode(text).decode()           # basic strings of TOML escape as JSON does


# ---- running -----------------------------------------------------------------------------------------------------------------

@dataclass
class Result:
    """One check, done again."""

    check: Check
    found: str
    detail: str = ""

    @property
    def holds(self) -> bool:
        return self.check.fits(self.found)

    @property
    def changed(self) -> bool:
        """True if something else was found; not if the check could not be done."""
        return not self.holds and not self.found.startswith(UNDONE)


@dataclass
class Judged:
    """A claim with its checks done again."""

    claim: Claim
    results: list[Result] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return all(result.holds for result in self.results)


class Runner:
    """Does checks; images are linked once, and what several claims rest on is done once."""

    def __init__(self, corpus: pathlib.Path, command: Callable[[list[str]], object], replays: int = REPLAYS):
        """`command` runs what stands behind `vmrace` on a command line, and exits."""
        self.corpus = corpus
        self.command = command
        self.replays = replays
        self.done: dict[Check, Result] = {}
        self._executors: dict[tuple[str, str], Executor] = {}
        self._costs: dict[tuple[str, int], Any] = {}

    def judge(self, claim: Claim) -> Judged:
        return Judged(claim, [self.run(check) for check in claim.tests])

    def run(self, check: Check) -> Result:
        if check not in self.done:
            try:
                self.done[check] = getattr(self, f"_{check.kind}")(check)
            except EntryError:
                raise
            except Exception as error:              # ours: it says nothing of the claim
                self._executors.clear()
                self._costs.clear()
                self.done[check] = Result(check, f"inconclusive: {of_error(error)}")
        return self.done[check]

    def _executor(self, family_name: str, variant: str) -> Executor:
        key = (family_name, variant)
        if key not in self._executors:
            self._executors[key] = Executor(family(family_name), variant, checked=True)
        return self._executors[key]

    def _entry(self, check: Check) -> Result:
        entry = load(named(check.entry, self.corpus))
        expected = parse_verdict(check.wanted)
        asked = msgspec.structs.replace(entry, expect={check.variant: expected} if expected is not None else {})
        judged = judge_entry(asked, self._executor(entry.family, check.variant), replays=self.replays)
        return Result(check, str(judged.verdict), judged.detail)

    def _verify(self, check: Check) -> Result:
        entry = load(named(check.verify, self.corpus))
        return self._every(check, self._executor(entry.family, check.variant), entry.program, entry.title)

    def _program(self, check: Check) -> Result:
        family_name, _, variant = check.variant.partition("/")
        return self._every(check, self._executor(family_name, variant), _program(check), "")

    def _every(self, check: Check, executor: Executor, program: Program, first: str) -> Result:
        lacks = executor.lacks(program)
        if lacks:
            return Result(check, "n/a", f"lacks {', '.join(lacks)}")
        executor.only(first)
        found = explore_on(executor, program, runs_max=check.runs)
        if not found.complete:
            return Result(check, f"inconclusive: {found.why}")
        if found.proved:
            return Result(check, f"proved in {found.classes}")
        told = [f"{bug(title)} in {found.classes_with(title)} of {found.classes}, "
                f"least preemptions {found.fewest(title).preemptions}"
                for title in sorted(found.titles, key=lambda title: (title != first, title))]
        return Result(check, "; ".join(told))

    def _of(self, name: str, runs: int) -> Any:
        from fuzz.measure.cost import Costs
        if (name, runs) not in self._costs:
            family_name, _, variant = name.partition("/")
            self._costs[name, runs] = Costs(family(family_name), variant, runs)
        return self._costs[name, runs]

    def _cost(self, check: Check) -> Result:
        from fuzz.measure.cost import SITUATIONS
        fitting = [one for one in SITUATIONS if (one.operation, one.what) == (check.cost, check.of)]
        if not fitting:
            known = [one.what for one in SITUATIONS if one.operation == check.cost]
            return Result(check, "no such situation", f"of {check.cost!r} there are: {'; '.join(known) or 'none'}")
        base, mine = (self._of(name, 1).measure(fitting[0]).alone for name in (check.base, check.variant))
        if base is None or mine is None or not base.operations or not mine.operations:
            return Result(check, "n/a")
        from fuzz.measure.meter import COLUMNS as COUNTED
        changes = [f"{mine.of(name) - base.of(name):+.0f} {name}" for name in COUNTED if mine.of(name) != base.of(name)]
        if check.lock:
            changes.append(f"{mine.under[check.lock] - base.under[check.lock]:+d} under {check.lock}")
        return Result(check, ", ".join(changes) or "the same", f"from {base.of('points'):.0f} to {mine.of('points'):.0f} points")

    def _chain(self, check: Check) -> Result:
        chains = self._of(check.variant, CHAIN_RUNS).serialise(check.chain)
        failed = sum(chain.failed for chain in chains)
        text = f"{chains[0].chain:.1f} points for 1 fault, {chains[-1].chain:.1f} for {check.chain}"
        return Result(check, text, f"mean of {CHAIN_RUNS} schedules{f', {failed} left out' if failed else ''}")

    def _command(self, check: Check) -> Result:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                self.command(shlex.split(check.command)[1:])
                code: Any = 0
            except SystemExit as error:
                code = error.code or 0
        last = [line for line in said.getvalue().splitlines() if line.strip()][-1:]
        return Result(check, f"exit {code}", "".join(last))


# ---- telling -------------------------------------------------------------------------------------------------------------------

def table(judged: list[Judged]) -> Iterator[str]:
    """A line or two a claim, by post."""
    wide = max(len(one.claim.id) for one in judged) + 2
    post = ""
    for one in judged:
        claim = one.claim
        head = f"{claim.where}   {claim.who}, {claim.when}"
        if head != post:
            yield from ([""] if post else [])
            yield head
            post = head
        yield f"  {claim.id:<{wide}}{claim.verdict:<11}{_state(one)}"
        yield from _wrapped(claim.says, 4)
        yield from _wrong(one)


def _state(one: Judged) -> str:
    if not one.results:
        return "no check can decide it"
    right = sum(result.holds for result in one.results)
    checks = count(len(one.results), "check")
    if right == len(one.results):
        return checks
    return f"{'CHANGED' if any(result.changed for result in one.results) else 'NOT DONE'}: {len(one.results) - right} of {checks}"


def _wrong(one: Judged) -> Iterator[str]:
    for result in one.results:
        if not result.holds:
            yield from _wrapped(result.check.told, 4)
            yield from _wrapped(f"expected  {result.check.wanted}", 6, 10)
            yield from _wrapped(f"found     {result.found}{': ' + result.detail if result.detail else ''}", 6, 10)


def story(one: Judged) -> Iterator[str]:
    """Everything about one claim."""
    claim = one.claim
    yield f"{claim.id}: {claim.verdict}"
    yield f"{claim.where}   {claim.who}, {claim.when}"
    yield ""
    for label, text in (("claims", claim.says), ("why", claim.why), ("would decide", claim.would_decide)):
        if text:
            yield from _wrapped(f"{label:<14}{text}", 0, 14)
    for result in one.results:
        yield ""
        yield from _wrapped(result.check.told, 2)
        yield from _wrapped(f"{result.found}{f' ({result.detail})' if result.detail else ''}", 4)
        if not result.holds:
            yield from _wrapped(f"{'CHANGED' if result.changed else 'NOT DONE'}: expected {result.check.wanted}", 4)


def _wrapped(text: str, indent: int, more: int = 0) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=" " * indent, subsequent_indent=" " * (indent + more), break_on_hyphens=False,
                         break_long_words=False)


def counts(judged: list[Judged]) -> dict[str, int]:
    """Claims by verdict, different checks, and those of them that have changed."""
    kinds = Counter(one.claim.verdict for one in judged)
    results = {result.check: result for one in judged for result in one.results}
    return {"claims": len(judged), **{name: kinds[name] for name in VERDICTS if kinds[name]}, "checks": len(results),
            "changed": sum(result.changed for result in results.values()),
            "not_done": sum(not result.holds and not result.changed for result in results.values())}


def code(judged: list[Judged]) -> int:
    """The exit code: 1 if a check found something else, 3 if one could not be done, 0 if all is as the ledger says."""
    results = [result for one in judged for result in one.results]
    return 1 if any(result.changed for result in results) else 3 if not all(result.holds for result in results) else 0


def summary(judged: list[Judged], seconds: float) -> str:
    told = counts(judged)
    parts = [f"{told[name]} {text}" for name, text in (("changed", "changed"), ("not_done", "not done")) if told[name]]
    state = ", ".join(parts) or "all as the ledger says"
    verdicts = ", ".join(f"{told[name]} {name}" for name in VERDICTS if name in told)
    checks = count(told["checks"], "check")
    return f"{count(len(judged), 'claim')}: {verdicts}; {checks}, {state}   ({seconds:.1f} s, exit {code(judged)})"


def as_json(one: Judged) -> dict[str, Any]:
    claim = msgspec.to_builtins(one.claim)
    claim["tests"] = [{"command": result.check.told, "expect": result.check.wanted, "found": result.found, "detail": result.detail,
                       "holds": result.holds} for result in one.results]
    return {**claim, "changed": not one.holds}
