# SPDX-License-Identifier: MIT
"""The command line. Each command imports what it needs when it runs: `--help` and `replay` stay quick.

Exit codes: 0 as expected; 1 a new title or a changed verdict; 2 usage; 3 could not run, was inconclusive, or lost a worker for good;
4 nothing was run; 130 interrupted: Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

if __name__ == "__main__":          # before anything is imported from there: `python -m` has put the current folder first
    from fuzz.functions.search_path import current_folder_last
    current_folder_last()

import contextlib
import errno
import json
import pathlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from fuzz.campaign.report import working
from fuzz.functions import apart
from fuzz.run import stop_request as stopping
from fuzz.text import times
from fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING, USAGE
from fuzz.text.terminal import echo, silence
from fuzz.text.wording import count
from fuzz.text.writing import why
from harness import stop

if TYPE_CHECKING:
    from fuzz.campaign.driver import Status
    from fuzz.corpus.entry import Entry
    from fuzz.shrink.confirm import Confirmed
    from variants.family import Family

# command -> how it is called and what it does: the overview has the lines of the commands that there are
OVERVIEW = {
    "fuzz": ("fuzz VARIANT", "look for races in one variant  (start: vmrace fuzz lru_free_2_4/pre_patch)"),
    "replay": ("replay [CORPUS]", "run kept races against every variant"),
    "diff": ("diff A B", "what one variant can do that the other cannot"),
    "verify": ("verify ENTRY", "every schedule of a small program, up to a bound, or all of them"),
    "shrink": ("shrink ENTRY", "minimise again; --refind where a point was renamed"),
    "show": ("show ENTRY", "the story of one race"),
    "cost": ("cost A B ...", "what each operation costs, by counting: locks, shared writes, chains"),
    "coverage": ("coverage [NAME]", "lines of each variant that nothing reaches, and why"),
    "variants": ("variants", "the families, their variants, and what each has"),
    "corpus": ("corpus", "the entries that are kept; corpus accept ENTRY takes a verdict over"),
    "claims": ("claims [ID]", "what the posts claim, what we can say of it, and the checks again"),
    "doctor": ("doctor", "whether this installation works"),
}


def overview() -> str:
    lines = ["vmrace: find, keep and explain races in historical Linux VM patches", ""]
    lines += [f"  vmrace {call:<16} {text}" for name, (call, text) in OVERVIEW.items() if name in main.commands]
    return "\n".join([*lines, "", "ENTRY is a file, or a part of its name in corpus/. Each command has --help."])


class Refused(click.ClickException):
    """A one-line error with its exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code

    def show(self, file: Any = None) -> None:
        echo(f"vmrace: {self.message}", err=True)


class Commands(click.Group):
    """Ctrl-C, an error of ours, or of the system ends any command with its own exit code: none of them is a finding."""

    def main(self, *args: Any, **how: Any) -> Any:
        try:
            return super().main(*args, **how)
        except SystemExit as end:
            apart.say(code=end.code if isinstance(end.code, int) else int(end.code is not None))
            raise

    def invoke(self, context: click.Context) -> Any:
        with stopping.heard():
            try:
                out = self._invoke(context)
            except (Refused, SystemExit) as end:
                if stop.asked() and INTERRUPTED not in (getattr(end, "code", None), getattr(end, "exit_code", None)):
                    raise Refused("interrupted", INTERRUPTED) from None
                raise
            if stop.asked():
                raise Refused("interrupted", INTERRUPTED)
            return out

    def _invoke(self, context: click.Context) -> Any:
        try:
            stop.look()
            return super().invoke(context)
        except KeyboardInterrupt:
            raise Refused("interrupted", INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            if error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO):
                silence()
                raise Refused(f"stdout: cannot be written: {why(error)}", COULD_NOT) from None
            raise Refused(f"{error.filename or type(error).__name__}: {why(error)}", COULD_NOT) from None
        except Exception as error:
            if stop.asked():
                raise Refused("interrupted", INTERRUPTED) from None
            import traceback
            for line in "".join(traceback.format_exc()).splitlines():
                echo(line, err=True)
            raise Refused(f"this is our bug, please report it: {type(error).__name__}: {error}", COULD_NOT) from None


@click.group("vmrace", cls=Commands, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(package_name="vmrace")
@click.pass_context
def main(context: click.Context) -> None:
    """Find, keep and explain races in historical Linux VM patches."""
    if context.invoked_subcommand is None:
        for line in overview().splitlines():
            echo(line)


def parse_duration(text: str) -> float:
    """`60s`, `10m`, `1h` or plain seconds. ValueError otherwise."""
    units = {"s": 1, "m": 60, "h": 3600}
    unit = units.get(text[-1:], 0)
    value = float(text[:-1]) * unit if unit else float(text)
    if not 0 < value < 1e7:
        raise ValueError(text)
    return value


class Duration(click.ParamType):
    name = "time"

    def convert(self, value: Any, param: Any, context: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time (60s, 10m, 1h)", param, context)


def variant_named(name: str) -> tuple[Family, str]:
    """`family/variant`. Refused, with the nearest name, if there is none."""
    from variants.family import FAMILIES, family
    from variants.program import did_you_mean
    family_name, _, variant = name.partition("/")
    names = [f"{one}/{other}" for one in FAMILIES for other in family(one).variants]
    if name not in names:
        guess = did_you_mean(name, names) or did_you_mean(variant or name, [full.partition("/")[2] for full in names])
        for full in names:
            if guess.endswith(f" {full.partition('/')[2]}?"):
                guess = f". Did you mean {full}?"
        raise Refused(f"no variant {name!r}{guess or '. See: vmrace variants'}", USAGE)
    return family(family_name), variant


def _which_function(target: str) -> None:
    """Refused if that is a module of the user's (`programs.queue`, `queue.py`), which was named without a function of it."""
    from fuzz.functions.target import is_module
    module = target.removesuffix(".py").replace("/", ".")
    if is_module(module):
        raise Refused(f"{target} is a module: name the function that makes the program, {module}:FUNCTION", USAGE)


# ---- fuzz ---------------------------------------------------------------------------------------------------------------

@main.command()
@click.argument("target", metavar="VARIANT")
@click.option("--for", "seconds", type=Duration(), default="60s", show_default=True,
              help="How long to look; shrinking what was found may take a tenth longer.")
@click.option("--runs", type=click.IntRange(min=0), default=0, help="Stop after so many runs (0: no limit).")
@click.option("--seed", type=int, default=None, help="Where the random choices start; shown, so that it can be given again.")
@click.option("--arg", "args", multiple=True, help="An argument for a FUNCTION that makes a program. Repeatable.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes; a FUNCTION has one.")
@click.option("--corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="Where entries are kept; for a FUNCTION, whose failures are files of their own: .vmrace.")
@click.option("--keep-going", is_flag=True, help="Do not stop at the first new title (at a RACE it does not in any case).")
@click.option("--no-shrink", is_flag=True, help="Keep findings as they were found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: findings, then a summary.")
@click.pass_context
def fuzz(context: click.Context, target: str, seconds: float, runs: int, seed: int | None, args: tuple[str, ...], workers: int,
         corpus: pathlib.Path, keep_going: bool, no_shrink: bool, as_json: bool) -> None:
    """Look for races in VARIANT (family/variant), or, given MODULE:FUNCTION, in the program of plain functions that this makes."""
    if seed is None:
        seed = time.time_ns() % 100_000
    if ":" in target:
        if _given(context, "workers"):
            raise Refused("--workers is for a VARIANT: a program of functions is sampled in one process", USAGE)
        from fuzz.cli import functions as functions_command
        apart.begin(seconds + functions_command.more_seconds(seconds))
        with _functions_refused():
            sys.exit(functions_command.run(target, args, seconds=seconds, runs=runs, seed=seed, keep_going=keep_going, as_json=as_json,
                                           shrink=not no_shrink, place=corpus if _given(context, "corpus") else None))
    if args:
        raise Refused("--arg is for MODULE:FUNCTION", USAGE)
    from fuzz.campaign.driver import Campaign, Options
    from fuzz.campaign.report import JsonView, TextView
    from fuzz.corpus.entry import EntryError
    if "/" not in target or target.endswith(".py"):
        _which_function(target)
    made, name = variant_named(target)
    options = Options(made.name, name, seconds, runs, seed, workers, keep_going, corpus, not no_shrink)
    view = JsonView(options) if as_json else TextView(options)
    try:
        status = Campaign(options, view.tell, view.voice.listens).run()
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    view.end(status)
    sys.exit(_fuzz_exit(status, view.voice.listens()))


def _given(context: click.Context, name: str) -> bool:
    """Whether an option was said, and not left as it is."""
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


@contextlib.contextmanager
def _functions_refused() -> Iterator[None]:
    """Programs of plain functions that there are not, or that cannot be run: one line."""
    from fuzz.functions.run_file import RecordError
    from fuzz.functions.target import NoSuch, TargetError
    from fuzz.verify.report import VerifyError
    from harness.errors import ProgramError
    try:
        yield
    except NoSuch as error:
        raise Refused(str(error), USAGE) from None
    except (VerifyError, TargetError, ProgramError, RecordError) as error:
        raise Refused(str(error), COULD_NOT) from None


def _fuzz_exit(status: Status, heard: bool = True) -> int:
    if status.interrupted:
        return INTERRUPTED
    if status.new:
        return CHANGED
    if not status.whole or not heard:
        return COULD_NOT
    return 0 if status.runs else NOTHING


# ---- replay -------------------------------------------------------------------------------------------------------------

@main.command()
@click.argument("corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"))
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--backend", type=click.Choice(["greenlets", "threads"]), default="greenlets", show_default=True)
@click.option("--variant", "only", default=None, help="Only this variant (its name, without the family).")
@click.option("--times", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Follow every schedule so often; all agree.")
@click.option("--digests", is_flag=True, help="Print each run's trace digest.")
@click.option("--accept", is_flag=True, help="Write the verdicts found into the entries.")
def replay(corpus: pathlib.Path, functions: str | None, backend: str, only: str | None, times: int, digests: bool, accept: bool) -> None:
    """Run kept races (a directory or one file) against every variant of their family.

    A .run file, which vmrace fuzz MODULE:FUNCTION has kept, needs its code named again: a file alone has no code run, unless the
    pyproject.toml of its project allows it. Exit code 3 if a file cannot be used; all others are run.
    """
    from fuzz.corpus.entry import EntryError, load_all
    from fuzz.corpus.replay import Table
    if corpus.suffix == ".run" and corpus.is_file():
        from fuzz.cli import functions as functions_command
        apart.begin()
        with _functions_refused():
            sys.exit(functions_command.replay(corpus, functions, times, echo))
    _only_of_runs(functions)
    started = time.monotonic()
    try:
        loaded, bad = load_all(corpus)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    _tell_bad(bad)
    if not loaded:
        if bad:
            sys.exit(COULD_NOT)
        runs = sorted(corpus.glob("*.run"))
        hint = f"; of functions one at a time: vmrace replay {shlex.quote(str(runs[0]))} MODULE:FUNCTION" if runs else ""
        raise Refused(f"{corpus}: no entries{hint}", NOTHING)
    if only is not None:
        known = {name for entry in loaded for name in _variants_of(entry)}
        if only not in known:
            from variants.program import did_you_mean
            raise Refused(f"no variant {only!r}{did_you_mean(only, known) or '. See: vmrace variants'}", USAGE)
    table = Table(loaded, backend, only, prove=accept, times=times)
    with working() as say:
        table.replay(say)
    for line in table.lines(digests):
        echo(line)
    for where, what in table.errors:
        for line in (*where.splitlines(), f"vmrace: this is our bug, please report it: {what}"):
            echo(line, err=True)
    if accept:
        try:
            for path in table.accept():
                echo(f"wrote {path}")
        except EntryError as error:
            raise Refused(str(error), COULD_NOT) from None
    code = table.code or (COULD_NOT if bad else 0)
    echo(table.summary(time.monotonic() - started, len(bad), code))
    sys.exit(code)


def _tell_bad(bad: Sequence[Exception]) -> None:
    """Name each file that cannot be used."""
    for error in bad:
        echo(f"vmrace: {error}", err=True)


def _only_of_runs(functions: str | None) -> None:
    if functions is not None:
        raise Refused(f"{functions}: a function is named for a file in .run, and for no other", USAGE)


def _variants_of(entry: Entry) -> list[str]:
    from variants.family import family
    return list(family(entry.family).variants)


# ---- shrink, show, variants -----------------------------------------------------------------------------------------------

def _path(name: str) -> pathlib.Path:
    """The file that is meant by a path or by a name in corpus/."""
    from fuzz.corpus.index import NoSuchEntry, named
    try:
        return named(name)
    except NoSuchEntry as error:
        raise Refused(str(error), USAGE) from None


def _is_entry(name: str) -> bool:
    try:
        return bool(_path(name))
    except Refused:
        return False


def _entry(path: pathlib.Path) -> Entry:
    from fuzz.corpus.entry import EntryError, load
    try:
        return load(path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None


def _known_variant(entry: Entry, variant: str) -> None:
    if variant not in _variants_of(entry):
        from variants.program import did_you_mean
        raise Refused(f"no variant {variant!r} in {entry.family}"
                      f"{did_you_mean(variant, _variants_of(entry)) or '. See: vmrace variants'}", USAGE)


@main.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=pathlib.Path), default=None,
              help="Corpus directory for the result (default: beside the entry).")
@click.option("--refind", is_flag=True, help="Where the schedule no longer fits: look for the same failure, and put it in its place.")
def shrink(entry: str, functions: str | None, seed: int, out: pathlib.Path | None, refind: bool) -> None:
    """Minimise an ENTRY again: a file, or its name in corpus/; or a FILE.hit, which a campaign has kept as it was found. A hit of
    plain functions needs MODULE:FUNCTION, as vmrace replay does."""
    from fuzz.corpus.entry import EntryError, changing, save, write
    from fuzz.corpus.replay import shrink_entry
    if entry.endswith(".hit") and pathlib.Path(entry).is_file():
        _shrink_hit(pathlib.Path(entry), functions, seed, out)
        return
    _only_of_runs(functions)
    if entry.endswith(".run"):
        raise Refused(f"{entry}: a failure of functions: vmrace fuzz has shrunk it, and vmrace show tells it", USAGE)
    place = _path(entry)
    kept = _entry(place)
    with working() as say:
        say(f"  shrinking {kept.name}")
        confirmed = shrink_entry(kept, seed, refind)
    if isinstance(confirmed, str):
        hint = "" if refind else "; --refind looks for it by other schedules"
        raise Refused(f"{place}: no longer fails with {kept.title!r} on {kept.found_on}: {confirmed}{hint}", CHANGED)
    _shrunk(confirmed)
    fresh = confirmed.entry
    fresh.asks, fresh.source, fresh.comment = kept.asks, kept.source, kept.comment
    fresh.expect = {**kept.expect, **fresh.expect}
    stop.look()                         # from here on it is written, whatever comes
    try:
        if out is not None:
            path = save(fresh, out)
        else:
            path = place.with_name(f"{fresh.name.rpartition('/')[2]}.toml")
            with changing(path):
                write(fresh, path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    echo(f"wrote {path}")
    if refind and out is None and path != place:
        place.unlink()
        echo(f"removed {place}, in whose place it is")


def _shrunk(confirmed: Confirmed) -> None:
    echo(f"  shrunk    {confirmed.before}  ->  {confirmed.after}   ({count(confirmed.runs, 'run')}, {confirmed.seconds:.1f} s)")
    echo(f"  minimal   {confirmed.minimal}")
    for name, (useful, tried) in confirmed.passes.items():
        echo(f"  pass      {name:<11} {useful:,} of {count(tried, 'attempt')} useful")


def _shrink_hit(place: pathlib.Path, functions: str | None, seed: int, out: pathlib.Path | None) -> None:
    """Confirm and shrink what a campaign has kept as it was found; the entry, or the record, takes its place."""
    from fuzz.corpus import hit_file as raw
    from fuzz.corpus.entry import EntryError, save
    from fuzz.corpus.replay import shrink_hit
    try:
        if raw.is_of_functions(place):
            from fuzz.cli import functions as functions_command
            apart.begin()
            with _functions_refused():
                sys.exit(functions_command.shrink(place, functions, out, echo))
        _only_of_runs(functions)
        with working() as say:
            say(f"  shrinking {place}")
            confirmed = shrink_hit(place, seed)
        if isinstance(confirmed, str):
            raise Refused(f"{place}: {confirmed}", CHANGED)
        _shrunk(confirmed)
        stop.look()
        path = save(confirmed.entry, out if out is not None else place.parent.parent)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    place.unlink()
    echo(f"wrote {path}, in the place of {place}")


@main.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "variant", default=None, help="Tell it on this variant instead of the one it was found on.")
def show(entry: str, functions: str | None, variant: str | None) -> None:
    """The story of one race: of an ENTRY, which is a file, or its name in corpus/. A .run file needs MODULE:FUNCTION, as vmrace
    replay does."""
    from fuzz.corpus.replay import story_of
    if entry.endswith(".run") and pathlib.Path(entry).is_file():
        from fuzz.cli import functions as functions_command
        apart.begin()
        with _functions_refused():
            sys.exit(functions_command.show(pathlib.Path(entry), functions, echo))
    _only_of_runs(functions)
    kept = _entry(_path(entry))
    if variant is not None:
        _known_variant(kept, variant)
    for line in story_of(kept, variant or kept.variant):
        echo(line)


# ---- verify -------------------------------------------------------------------------------------------------------------

@main.command()
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
    from fuzz.verify import report as verifying
    from variants.family import FAMILIES, family
    limits: dict[str, Any] = {"seconds_max": seconds, "runs_max": runs or 1 << 60}
    deadline = time.monotonic() + (seconds_max or 1e9)
    if certificate is not None or (target is not None and ":" in target):
        apart.begin(seconds + times.GRACE_SECONDS)
    with _functions_refused():
        if certificate is not None:
            checks = ("target", "certificate", "seconds", "seconds_max", "runs", "as_json")
            others = tuple(one.name for one in context.command.params if one.name is not None and one.name not in checks)
            _only_for(context, "an exploration, and not for --check, which does what the certificate says", others, False)
            if target is not None and ":" not in target:
                raise Refused("TARGET is for an exploration; with --check, only a MODULE:FUNCTION that the certificate names", USAGE)
            limits["seconds_max"] = min(seconds, seconds_max or seconds)
            sys.exit(_check_certificate(certificate, target, limits, as_json))
        if target is None:
            raise Refused("verify what? An entry, MODULE:FUNCTION, or a variant with --ops", USAGE)
        _only_for(context, "an entry", ("only",), ops is None and ":" not in target)
        _only_for(context, "MODULE:FUNCTION", ("args",), ops is None and ":" in target)
        _only_for(context, "one program, and not for --ops", ("certify",), ops is None)
        _only_for(context, "--ops", ("cpus", "kinds", "setup", "operands", "workers", "into", "state"), ops is not None)
        if ops is not None:
            from fuzz.verify import scope
            one, variant = variant_named(target)
            if kinds is not None and not kinds.replace(",", "").strip():
                raise Refused("--kinds: names no operation", USAGE)
            sys.exit(scope.prove(one, variant, ops, cpus, workers=workers, seconds_each=seconds, runs_each=runs or 1 << 60, state=state,
                                 echo=echo, as_json=as_json, kinds=kinds.split(",") if kinds else None, setup=setup,
                                 operands=_operands(operands), seconds_max=seconds_max or 1e9, into=into, preemptions=bound,
                                 complain=lambda line: echo(line, err=True)))
        if ":" in target:
            subjects = [verifying.of_functions(target, args)]
            places = [verifying.functions_certificate_path(target, args, bound)]
        else:
            if target in {f"{made}/{name}" for made in FAMILIES for name in family(made).variants}:
                raise Refused(f"all programs of a variant: up to which size? --ops 2, or vmrace verify ENTRY --variant "
                              f"{target.partition('/')[2]}", USAGE)
            if target.endswith(".py") or not _is_entry(target):
                _which_function(target)
            entry = _entry(_path(target))
            if only is not None:
                _known_variant(entry, only)
            names = [only] if only is not None else [name for name in _variants_of(entry) if not entry.is_absent(name)]
            subjects = [verifying.of_entry(entry, name) for name in names]
            places = [verifying.certificate_path(entry, name, bound) for name in names]
        codes = []
        for subject, place in zip(subjects, places, strict=True):
            limits["seconds_max"] = max(0.0, min(seconds, round(deadline - time.monotonic(), 1)))
            with working() as say:
                say(f"  {subject.name}")
                found = subject.explore(bound=bound, progress=_meter(say), **limits)
            judged, line = verifying.judge(found, subject.expect)
            codes.append({verifying.EXPECTED: 0, verifying.CHANGED: CHANGED, verifying.UNDECIDED: COULD_NOT}[judged])
            if as_json:
                echo(json.dumps(verifying.as_json(subject, found)))
            else:
                if len(subjects) > 1:
                    echo(subject.name)
                for text in [*verifying.told(subject, found), *filter(None, [line])]:
                    echo(text)
            if certify:
                verifying.write_certificate(place, subject, found)
                echo(f"wrote {place}", err=as_json)
    sys.exit(CHANGED if CHANGED in codes else COULD_NOT if COULD_NOT in codes else 0)


def _only_for(context: click.Context, what: str, names: tuple[str, ...], fits: bool) -> None:
    """Refuse options that were said and would be passed over."""
    for parameter in context.command.params:
        if not fits and parameter.name in names and _given(context, parameter.name):
            name = parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()
            raise Refused(f"{name} is for {what}", USAGE)


def _operands(text: str | None) -> dict[str, int]:
    """`page=1,file=2` as numbers by kind. Refused if it is not like that."""
    from fuzz.programs.enumerate import OPERAND_KINDS
    from variants.program import did_you_mean
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


def _check_certificate(path: pathlib.Path, functions: str | None, limits: dict[str, Any], as_json: bool) -> int:
    from fuzz.verify import reasons
    from fuzz.verify import report as verifying
    checked = verifying.check(path, functions, **limits)
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
            echo(f"{path}: holds: {verifying.verdict(checked.found)}, "
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


# ---- diff -----------------------------------------------------------------------------------------------------------------

@main.command()
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT VARIANT ...")
@click.option("--program", "entry", default=None, help="With the program of one ENTRY: a file, or its name in corpus/.")
@click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="With the programs of these entries.")
@click.option("--programs", "kinds", default=None, help="With all programs of these operations: reclaim,unpin,exit. See --ops.")
@click.option("--ops", type=click.IntRange(1, 6), default=2, show_default=True, help="--programs: up to so many operations ...")
@click.option("--cpus", type=click.IntRange(1, 3), default=2, show_default=True, help="... on so many cpus ...")
@click.option("--setup", type=click.IntRange(0, 3), default=0, show_default=True, help="... after up to so many that run alone ...")
@click.option("--pages", type=click.IntRange(1, 3), default=1, show_default=True, help="... on so many pages of a process or file.")
@click.option("--counts", is_flag=True, help="Tell pages with different reference counts apart, too.")
@click.option("--seconds", type=Duration(), default="10s", show_default=True, help="That each program may take on each variant.")
@click.option("--runs", type=click.IntRange(min=1), default=None, help="Runs that each program may take on each variant.")
@click.option("--witnesses", type=click.IntRange(min=0), default=8, show_default=True, help="How many runs to show of a program.")
@click.option("--keep", type=click.Path(path_type=pathlib.Path), default=None, help="Write these runs there, as entries.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: programs, then a summary.")
@click.pass_context
def diff(context: click.Context, variants: tuple[str, ...], entry: str | None, directory: pathlib.Path, kinds: str | None, ops: int,
         cpus: int, setup: int, pages: int, counts: bool, seconds: float, runs: int | None, witnesses: int, keep: pathlib.Path | None,
         as_json: bool) -> None:
    """What one VARIANT can do that another cannot: each program's outcomes on all of them.

    An outcome is a finding, or what user space saw and what the pages ended as (across families: what it loaded from anonymous
    memory). Leaks and races are not looked for. Where not every schedule fits into --seconds, schedules are sampled, and nothing is
    said not to be possible. Exit codes: 0 no difference; 1 a difference; 3 inconclusive; 4 nothing was compared.
    """
    from fuzz.compare.outcomes import Budget, contenders
    from fuzz.compare.programs import Programs, run
    from fuzz.corpus.entry import EntryError, load_all
    from variants.program import ProgramError
    if len(variants) < 2:
        raise Refused("diff takes two variants or more: vmrace diff lru_free_2_4/pre_patch lru_free_2_4/daniel_lru_count", USAGE)
    if entry is not None and kinds is not None:
        raise Refused("either --program or --programs", USAGE)
    _only_for(context, "--programs", ("ops", "cpus", "setup", "pages"), kinds is not None)
    _only_for(context, "the programs of entries, without --program or --programs", ("directory",), entry is None and kinds is None)
    chosen = [variant_named(name) for name in variants]
    bad: list[EntryError] = []
    try:
        if entry is not None:
            programs = Programs.of_entries([_entry(_path(entry))], single=True)
        elif kinds is not None:
            programs = Programs.of_operations(kinds, ops, cpus, setup, pages)
        else:
            families = {made.name for made, _ in chosen}
            loaded, bad = load_all(directory)
            _tell_bad(bad)
            programs = Programs.of_entries([one for one in loaded if one.family in families])
            if bad and not programs.count:
                sys.exit(COULD_NOT)
            if not programs.count:
                raise Refused(f"{directory}: no entries of {' or '.join(sorted(families))}", NOTHING)
        budget = Budget(seconds, runs or 1 << 60)
        code = run(contenders(chosen, counts), programs, budget, witnesses, keep, as_json, echo)
    except ProgramError as error:
        raise Refused(str(error), USAGE) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    sys.exit(COULD_NOT if bad and not code else code)


# ---- cost, coverage ---------------------------------------------------------------------------------------------------------

@main.command()
@click.argument("names", nargs=-1, required=True, metavar="VARIANT ...")
@click.option("--ops", default="", help="Only these operations: load,unpin.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Schedules of two operations at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where the random schedules start.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def cost(names: tuple[str, ...], ops: str, runs: int, seed: int, as_json: bool) -> None:
    """What each operation costs in each VARIANT, counted: alone, and beside another cpu.

    Locks taken, waited for, and points under each; atomic read-modify-writes, loads, stores; stores to a cache line that another
    cpu wrote last, where a cache line is one kernel object. And how 1 to 8 faults on one page get in each other's way.
    """
    from fuzz.measure import cost as costs
    from variants.family import OPERATIONS
    from variants.program import did_you_mean
    chosen = [variant_named(name) for name in names]
    wanted = [one for one in ops.split(",") if one]
    for one in wanted:
        if one not in OPERATIONS:
            raise Refused(f"no operation {one!r}{did_you_mean(one, OPERATIONS)}", USAGE)
    measures = [costs.Costs(made, name, runs, seed) for made, name in chosen]
    some = costs.situations(measures, wanted)
    for one in wanted:
        if one not in {situation.name for situation in some}:
            raise Refused(f"none of these variants has the operation {one}", USAGE)
    if not as_json:
        for line in costs.preamble(runs, seed):
            echo(line)
    measured = []
    for situation in some:
        measured.append([one.measure(situation) for one in measures])
        for line in (json.dumps(costs.as_json(one)) for one in measured[-1]) if as_json else costs.table(measured[-1]):
            echo(line)
    chains = [one.serialise() for one in measures] if not wanted or "load" in wanted else []
    if as_json:
        for chain in (chain for each in chains for chain in each):
            echo(json.dumps(chain.told()))
        return
    for line in [*(costs.chains(chains, seed) if chains else []), *costs.conclusions(measured)]:
        echo(line)


@main.command()
@click.argument("name", default="", metavar="[FAMILY|VARIANT]")
@click.option("--for", "seconds", type=Duration(), default=None, help="How long a campaign of each variant lasts.  [default: 2m]")
@click.option("--runs", type=click.IntRange(min=0), default=0, help="How many runs it has, with no limit of time unless --for gives one.")
@click.option("--seed", type=int, default=1, show_default=True, help="Where its random choices start.")
@click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="What is replayed before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one for each variant.")
def coverage(name: str, seconds: float | None, runs: int, seed: int, directory: pathlib.Path, as_json: bool) -> None:
    """Which lines and branches of a VARIANT's source are reached by the corpus and a campaign; of all of a FAMILY, or of all.

    Each function with lines that are never reached needs a reason in its family's README, under "## Never reached". Exit code 1 if
    one has none.
    """
    from fuzz.corpus.entry import load_all
    from fuzz.measure import coverage as coverage_of
    from variants.family import FAMILIES, family
    if name and name not in FAMILIES:
        chosen = [variant_named(name)]
    else:
        chosen = [(made, variant) for made in map(family, [name] if name else FAMILIES) for variant in made.variants]
    limit = seconds if seconds is not None else 1e9 if runs else 120.0
    entries, bad = load_all(directory) if directory.exists() else ([], [])
    _tell_bad(bad)
    unexplained = 0
    for made, variant in chosen:
        with working() as say:
            say(f"  {made.name}/{variant}: replay, then a campaign of "
                f"{count(runs, 'run') if limit == 1e9 else f'{limit:g} s'}")
            reached = coverage_of.reach(made, variant, entries, limit, runs, seed)
        unexplained += len(reached.unexplained)
        for line in [json.dumps(coverage_of.as_json(reached))] if as_json else coverage_of.lines(reached, seed):
            echo(line)
    code = CHANGED if unexplained else COULD_NOT if bad else 0
    if not as_json:
        longer = "; a longer campaign (--for, --runs) may reach them" if unexplained else ""
        echo(f"vmrace: {count(unexplained, 'function')} with lines that nothing reached and no reason is given for{longer}"
             f"   (exit {code})")
    sys.exit(code)


# ---- variants, corpus, doctor ----------------------------------------------------------------------------------------------

@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def variants(as_json: bool) -> None:
    """Families, their variants, and what each has."""
    from fuzz.campaign.report import variants_table
    from fuzz.run.executor import Executor
    from harness.sanitizers.table import SANITIZERS
    from variants.family import FAMILIES, family
    made = [family(name) for name in FAMILIES]
    operations = {(one.name, name): Executor(one, name).operations() for one in made for name in one.variants}
    if not as_json:
        for line in variants_table(made, {key: len(names) for key, names in operations.items()}, len(SANITIZERS)):
            echo(line)
        return
    for one in made:
        for variant in one.variants.values():
            echo(json.dumps({"family": one.name, "variant": variant.name, "summary": variant.summary, "source": variant.source,
                             "operations": operations[one.name, variant.name], "sanitizers": list(SANITIZERS)}))


CORPUS = click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"),
                      show_default=True, help="Where the entries are.")


@main.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@CORPUS
@click.pass_context
def corpus(context: click.Context, directory: pathlib.Path, as_json: bool) -> None:
    """The entries that are kept, what each asks, and who fails."""
    if context.invoked_subcommand is not None:
        return
    from fuzz.corpus.entry import EntryError, load_all
    from fuzz.corpus.index import listing
    try:
        entries, bad = load_all(directory)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    _tell_bad(bad)
    if not entries and not bad:
        raise Refused(f"{directory}: no entries", NOTHING)
    if as_json:
        for entry in entries:
            echo(json.dumps({"path": str(entry.path), "name": entry.name, "title": entry.title, "asks": entry.asks,
                             "source": entry.source, "found_on": entry.found_on,
                             "expect": {name: str(verdict) for name, verdict in entry.expect.items()}}))
    else:
        for line in listing(entries):
            echo(line)
    sys.exit(COULD_NOT if bad else 0)


@corpus.command()
@click.argument("entry")
@click.option("--variant", "wanted", multiple=True, metavar="V=WORD",
              help="On this variant, if what is found begins with that word (ok, BUG, n/a); V alone takes what is found. Repeatable.")
@click.option("--runs", default=5000, show_default=True, type=click.IntRange(1), help="Runs that a proof may take.")
@CORPUS
def accept(entry: str, wanted: tuple[str, ...], runs: int, directory: pathlib.Path) -> None:
    """Run an ENTRY and write what is found as what is expected: on the variants named, or on all."""
    from fuzz.corpus import index as kept
    from fuzz.corpus.entry import EntryError
    try:
        path = kept.named(entry, directory)
    except kept.NoSuchEntry as error:
        raise Refused(str(error), USAGE) from None
    loaded = _entry(path)
    pairs = [(variant, word) for variant, _, word in (one.partition("=") for one in wanted)]
    for variant, _ in pairs:
        _known_variant(loaded, variant)
    try:
        with working() as say:
            say(f"  judging {loaded.name}")
            accepted = kept.accept(path, pairs, runs)
    except kept.NotAccepted as error:
        raise Refused(str(error), COULD_NOT if isinstance(error, kept.Undecided) else CHANGED) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    for one in accepted:
        change = f"{one.before or '-'}  ->  {one.now}" if one.before != one.now else f"{one.now}, as before"
        echo(f"  {one.variant:<20} {change}")
    echo(f"wrote {path}")


@main.command()
@click.argument("claim", default="", metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: claims, then a summary.")
@CORPUS
def claims(claim: str, as_json: bool, directory: pathlib.Path) -> None:
    """What the posts claim, and what we can say of it: every check of the ledger (CORPUS/claims.toml) done again.

    With an ID, all about that claim. Exit codes: 0 as the ledger says; 1 a check found something else; 3 one could not be
    done.
    """
    from fuzz.claims import checks as ledger
    from fuzz.corpus.entry import EntryError
    started = time.monotonic()
    try:
        kept = ledger.read(directory)
        wanted = [one for one in kept if claim in ("", one.id)]
        if not wanted:
            from variants.program import did_you_mean
            raise Refused(f"no claim {claim!r}{did_you_mean(claim, [one.id for one in kept]) or '. See: vmrace claims'}", USAGE)
        runner = ledger.Runner(directory, main)
        judged: list[ledger.Judged] = []
        with working() as say:
            for asked in wanted:
                say(f"  {len(judged) + 1} of {count(len(wanted), 'claim')}: {asked.id}")
                judged.append(runner.judge(asked))
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    code = ledger.code(judged)
    if as_json:
        for one in judged:
            echo(json.dumps(ledger.as_json(one)))
        echo(json.dumps({"summary": True, **ledger.counts(judged), "exit": code}))
    else:
        for line in ledger.story(judged[0]) if claim else ledger.table(judged):
            echo(line)
        echo("")
        echo(ledger.summary(judged, time.monotonic() - started))
    sys.exit(code)


@main.command()
@CORPUS
def doctor(directory: pathlib.Path) -> None:
    """Whether this installation works: one line a check. Exit code 0 if it does, 3 if not."""
    from fuzz.measure.installation import checks
    failed = 0
    for check in checks(directory):
        echo(f"{check.state:<5} {check.text}")
        failed += check.state == "FAIL"
    echo(f"vmrace: {f'{failed} of these must be mended' if failed else 'all is well'}   (exit {COULD_NOT if failed else 0})")
    sys.exit(COULD_NOT if failed else 0)


for _name, (_, _text) in OVERVIEW.items():          # --help tells the same as the overview, where click would cut a docstring
    main.commands[_name].short_help = _text


if __name__ == "__main__":
    main()
