# SPDX-License-Identifier: MIT
"""`vmrace fuzz MODULE:FUNCTION`, and `vmrace replay` and `vmrace show` of what it has kept: what people read, and exit codes."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shlex
import time
from collections.abc import Callable

from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.functions import allowed, apart, run_file
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.run_file import Record
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.functions.shrink import confirm
from vmrace.fuzz.functions.story import tell
from vmrace.fuzz.functions.target import TargetError, runner_of, split
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.text import times, writing
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING
from vmrace.fuzz.text.terminal import LINE_EVERY, Voice, clock, rule_of_three
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.text.writing import why
from vmrace.fuzz.verify.reasons import reason_of
from vmrace.harness.errors import Diverged
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.verify import Differs
from vmrace.harness.replay.named_schedule import Named

PLACE = pathlib.Path(".vmrace")         # where failures are kept, unless another place is named

Said = Callable[[str], None]


def more_seconds(seconds: float) -> float:
    """The seconds that sampling may take beyond those, even if it hangs: to shrink what fails, and the grace of any command."""
    return times.shrink_seconds(seconds) + times.GRACE_SECONDS


def run(target: str, args: tuple[str, ...], *, seconds: float, runs: int, seed: int, keep_going: bool, shrink: bool,
        place: pathlib.Path | None, as_json: bool) -> int:
    """Sample schedules of a program. The exit code: 0 no finding, 1 a finding, 3 it is not a function of its schedule, or no
    finding says nothing, or something was lost, 4 nothing was run, 130 interrupted. TargetError if there is no such program;
    ProgramError if it cannot be run."""
    runner = runner_of(target, args)
    name = target + (f"({', '.join(args)})" if args else "")
    voice = Voice()
    echo = voice.say
    if not as_json:
        echo(f"sampling {name}   seed {seed}   {'keeps going' if keep_going else 'stops at the first finding'}")
    last = time.monotonic()
    hits: dict[str, pathlib.Path] = {}          # a title -> where its run is
    unkept: list[str] = []

    def tick(out: Sampled) -> None:
        nonlocal last
        if not as_json and time.monotonic() - last >= LINE_EVERY and voice.listens():
            last = time.monotonic()
            echo(f"  {clock(out.seconds)}   {count(out.runs, 'run')}   {out.runs / out.seconds:,.0f}/s   {out.distinct:,} distinct   "
                 f"{count(len(out.titles), 'title')}")

    def complain(text: str) -> None:
        unkept.append(text)
        echo(json.dumps({"type": "error", "text": text}) if as_json else f"vmrace: {text}")

    def seen(failure: Failure) -> None:
        try:
            path = hits[failure.title] = hit_file.save_of_functions(failure, target, args, seed, _place(place))
        except OSError as error:
            complain(f"{error.filename}: cannot be written: {why(error)}")
        else:
            apart.say(hit=str(path))

    def told(failure: Failure) -> None:
        record = Record(failure.title, target, args, failure.schedule)
        kept: pathlib.Path | None = None
        try:
            kept = run_file.save(record, _place(place))
        except OSError as error:
            complain(f"{error.filename}: cannot be written: {why(error)}")
        except run_file.RecordError as error:
            complain(str(error))
        if kept is not None and failure.title in hits:
            _forget(hits.pop(failure.title))
        for line in [json.dumps(_json(failure, name, kept))] if as_json else _lines(failure, kept, target):
            echo(line)
        if kept is None:
            echo(run_file.emit(record))
        apart.say(found=failure.title)

    found = fuzz_runner(runner, seconds=seconds, runs=runs, seed=seed, keep_going=keep_going, shrink=shrink, seen=seen, told=told,
                        tick=tick, over=lambda: not voice.listens())
    if found.why:
        for path in hits.values():
            _forget(path)                       # what does not repeat is no finding
    for failure, reason in found.unconfirmed:
        echo(json.dumps(_unconfirmed(failure, reason, hits.get(failure.title))) if as_json else
             f"NOT CONFIRMED   {failure.title}: {reason} (this is our bug)\n"
             f"  kept as it was found: {hits.get(failure.title, f'{failure.switches} {failure.forced}')}")
    code = _code(found, bool(unkept) or not voice.listens())
    for line in [json.dumps(_summary(found, name, code))] if as_json else [*_table(found), _last(found, code)]:
        echo(line)
    return code


def _code(found: Sampled, lost: bool) -> int:
    if found.interrupted:
        return INTERRUPTED
    if found.why:
        return COULD_NOT
    if any(failure.digest for failure in found.failures):
        return CHANGED
    if found.unconfirmed or lost:
        return COULD_NOT
    return NOTHING if not found.runs else COULD_NOT if found.unseen else 0


def _forget(path: pathlib.Path) -> None:
    """A run as it was found, of which more is known now."""
    with contextlib.suppress(OSError):
        path.unlink()
    apart.say(kept=str(path))


def _unconfirmed(failure: Failure, reason: str, path: pathlib.Path | None) -> dict[str, object]:
    return {"type": "raw", "title": failure.title, "why": reason, "path": str(path) if path else None,
            "switches": list(failure.switches), "forced": list(failure.forced)}


def _place(place: pathlib.Path | None) -> pathlib.Path:
    """The directory that keeps it. OSError, with the name, if that cannot be."""
    if place is None and not (PLACE / ".gitignore").is_file():
        writing.write(PLACE / ".gitignore", "*\n")
    return place or PLACE


def _lines(failure: Failure, kept: pathlib.Path | None, target: str) -> list[str]:
    shrunk = (f"{count(failure.before, 'preemption')}  ->  {count(failure.preemptions, 'preemption')}   "
              f"({count(failure.shrink_runs, 'run')})"
              if failure.shrink_runs else f"no: {count(failure.preemptions, 'preemption')}, as it was found")
    return ["", f"FINDING   {failure.title}   run {failure.run:,} ({failure.scheduler}), after {failure.seconds:.1f} s",
            f"  shrunk    {shrunk}", f"  minimal   {failure.minimal}",
            f"  confirmed {REPLAYS} of {REPLAYS} replays, trace {failure.digest}", "", *failure.story, "", "schedule",
            *(f"  {line}" for line in failure.schedule), "",
            *([f"wrote {kept}", f"next: {_next(kept, target)}"] if kept else ["it is kept nowhere; as a record it is"]), ""]


def _table(found: Sampled) -> list[str]:
    out = [f"{'scheduler':<12}{'runs':>10}{'distinct':>10}{'new features':>14}{'findings':>10}"]
    for name, tally in sorted(found.tallies.items()):
        if tally.runs:
            out.append(f"{name:<12}{tally.runs:>10,}{tally.distinct:>10,}{tally.features:>14,}{tally.findings:>10,}")
    return [*out, ""]


def _last(found: Sampled, code: int) -> str:
    where = f"{count(found.runs, 'run')} ({found.distinct:,} distinct) in {found.seconds:.0f} s"
    if found.limit_runs:
        where += f"; {count(found.limit_runs, 'run')} hit the step limit"
    if found.why:
        said = f"{found.why}: nothing is said of it"
    elif found.titles:
        said = f"{count(len(found.titles), 'title')} in {where}" + (f"; {found.unseen}" if found.unseen else "")
        if found.unconfirmed:
            said += f", {len(found.unconfirmed)} of them not confirmed"
    elif found.unseen:
        said = f"no finding in {where}, which says nothing: {found.unseen}"
    elif rule_of_three(found.runs):
        said = f"no finding in {where}: at 95 % confidence fewer than 1 run in {rule_of_three(found.runs):,} fails"
    else:
        said = f"no finding in {where}, which says nothing"
    return f"vmrace: {'interrupted: ' * found.interrupted}{said}   (exit {code})"


def _json(failure: Failure, name: str, kept: pathlib.Path | None) -> dict[str, object]:
    return {"type": "finding", "title": failure.title, "program": name, "run": failure.run, "seconds": round(failure.seconds, 3),
            "scheduler": failure.scheduler, "before": failure.before, "preemptions": failure.preemptions,
            "least_preemptions_proved": failure.least_proved, "shrink_runs": failure.shrink_runs, "replays": REPLAYS,
            "digest": failure.digest, "schedule": [str(line) for line in failure.schedule], "path": str(kept) if kept else None}


def _summary(found: Sampled, name: str, code: int) -> dict[str, object]:
    return {"type": "summary", "program": name, "seed": found.seed, "runs": found.runs, "distinct": found.distinct,
            "limit_runs": found.limit_runs, "seconds": round(found.seconds, 1), "titles": found.titles, "why": str(found.why or ""),
            "unseen": str(found.unseen or ""), "reason": reason_of(found.why or found.unseen), "interrupted": found.interrupted,
            "exit": code,
            "upper_bound_95": 1 / rule_of_three(found.runs) if found.ok and rule_of_three(found.runs) else None}


# ---- what is kept -----------------------------------------------------------------------------------------------------------

def replay(path: pathlib.Path, named: str | None, times: int, echo: Said) -> int:
    """Run what is kept again. `named`: the function that the command line names, if any (see fuzz/functions/allowed). The exit
    code: 0 if it fails as it did, 1 if not. RecordError, TargetError or ProgramError if it cannot be run."""
    kept, digests = _allowed("replay", path, named), set()
    with watchdog.watched():
        runner = runner_of(kept.functions, kept.args)
        for _ in range(times):
            try:
                _, digest, result = tell(runner, Named(kept.schedule, runner.keys()), kept.title)
            except Diverged as error:
                echo(f"{path}: {error}")
                echo(f"           if a point has another name now: vmrace fuzz {_again(kept)}   (exit {CHANGED})")
                return CHANGED
            except ValueError as error:
                raise run_file.RecordError(f"{path}: schedule: {error}") from None
            digests.add(digest)
            if kept.title not in result.titles:
                echo(f"{path}: LOST: expected {kept.title}, found {result.title or 'nothing'}   (exit {CHANGED})")
                return CHANGED
    if len(digests) > 1:
        echo(f"{path}: FLAKY: {len(digests)} different traces in {count(times, 'replay')}   (exit {CHANGED})")
        return CHANGED
    echo(f"{path}: {bug(kept.title)}")
    echo(f"  {times} of {count(times, 'replay')}, trace {digests.pop()}, as expected   (exit 0)")
    return 0


def show(path: pathlib.Path, named: str | None, echo: Said) -> int:
    """Print the story of a kept run, and its schedule. `named` and errors as of `replay`."""
    kept = _allowed("show", path, named)
    runner = runner_of(kept.functions, kept.args)
    try:
        with watchdog.watched():
            story, _, _ = tell(runner, Named(kept.schedule, runner.keys()), kept.title)
    except (Diverged, ValueError) as error:
        raise run_file.RecordError(f"{path}: {error}") from None
    for line in [*story, "", "schedule", *(f"  {line}" for line in kept.schedule)]:
        echo(line)
    return 0


def shrink(path: pathlib.Path, named: str | None, place: pathlib.Path | None, echo: Said) -> int:
    """Confirm a hit that was kept as it was found, shrink it, and put a record in its place. The exit code: 0, or 1 if it does not fail
    that way. EntryError if the file is no hit; `named` and other errors as of `replay`."""
    hit = hit_file.load_of_functions(path)
    allowed.require(path, hit.functions, named, _command("shrink", path, hit.functions))
    runner, args = runner_of(hit.functions, tuple(hit.args)), tuple(hit.args)
    failure = Failure(hit.title, hit.run, 0.0, "hit", len(hit.switches) // 2, hit.switches, hit.forced)
    try:
        confirm(runner, failure)
    except Differs as error:
        echo(f"{path}: {error}   (exit {CHANGED})")
        return CHANGED
    kept = run_file.save(Record(failure.title, hit.functions, args, failure.schedule), place or path.parent)
    for line in _lines(failure, kept, hit.functions):
        echo(line)
    _forget(path)
    return 0


def _allowed(command: str, path: pathlib.Path, named: str | None) -> Record:
    """A record whose function may be run."""
    kept = run_file.load(path)
    allowed.require(path, kept.functions, named, _command(command, path, kept.functions))
    return kept


def _command(command: str, path: pathlib.Path, target: str) -> str:
    """A line to be typed as it stands."""
    return shlex.join(["vmrace", command, str(path), ":".join(split(target))])


def _next(path: pathlib.Path, target: str) -> str:
    """The line that replays a record. A function that the project allows need not be named."""
    with contextlib.suppress(TargetError):
        if allowed.by_project(path, target):
            return shlex.join(["vmrace", "replay", str(path)])
    return _command("replay", path, target)


def _again(kept: Record) -> str:
    return " ".join([kept.functions, *(f"--arg {shlex.quote(arg)}" for arg in kept.args)])
