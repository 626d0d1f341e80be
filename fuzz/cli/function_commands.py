# SPDX-License-Identifier: MIT
"""`vmrace fuzz MODULE:FUNCTION`: sample schedules of a program of plain functions, and keep its failures."""

from __future__ import annotations

import contextlib
import pathlib
import time

from vmrace.fuzz.campaign.report import schedulers_table
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.functions import apart, run_file
from vmrace.fuzz.functions.allowed import replay_command
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.run_file import Record
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.run.target import runner_of
from vmrace.fuzz.text import times, writing
from vmrace.fuzz.text.document import document, reason_of
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING
from vmrace.fuzz.text.terminal import LINE_EVERY, Voice, clock, rule_of_three
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.text.writing import why

PLACE = pathlib.Path(".vmrace")         # where failures are kept, unless another place is named

def more_seconds(seconds: float) -> float:
    """Return the seconds that sampling may take beyond `seconds`, even if it hangs: to shrink failures, and the grace of any command."""
    return times.shrink_seconds(seconds) + times.GRACE_SECONDS


def fuzz_functions(target: str, args: tuple[str, ...], *, seconds: float, runs: int, seed: int, keep_going: bool, shrink: bool,
                   place: pathlib.Path | None, as_json: bool) -> int:
    """Sample schedules of a program. Returns the exit code: 0 no finding; 1 a finding; 3 something was lost, the program is not a
    function of its schedule, or having no finding says nothing; 4 nothing was run; 130 interrupted. TargetError if there is no such
    program; ProgramError if it cannot be run."""
    runner = runner_of(target, args)
    name = target + (f"({', '.join(args)})" if args else "")
    voice = Voice()
    echo = voice.say
    if not as_json:
        echo(f"sampling {name}   seed {seed}   {'keeps going' if keep_going else 'stops at the first finding'}")
    last = time.monotonic()
    hits: dict[str, pathlib.Path] = {}          # a title -> where its run is
    events: list[dict[str, object]] = []        # of the document
    unkept: list[str] = []

    def tick(out: Sampled) -> None:
        nonlocal last
        if not as_json and time.monotonic() - last >= LINE_EVERY and voice.listens():
            last = time.monotonic()
            echo(f"  {clock(out.seconds)}   {count(out.runs, 'run')}   {out.runs / out.seconds:,.0f}/s   {out.distinct:,} classes   "
                 f"{count(len(out.titles), 'title')}")

    def complain(text: str) -> None:
        unkept.append(text)
        events.append({"type": "error", "text": text})
        voice.complain(f"vmrace: {text}")

    def seen(failure: Failure) -> None:
        hit = hit_file.HitOfFunctions(failure.title, target, list(args), seed, failure.run, list(failure.switches), list(failure.forced))
        try:
            path = hits[failure.title] = hit_file.save_of_functions(hit, _place(place))
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
            forget(hits.pop(failure.title))
        events.append({**finding_json(failure, name, kept), **({} if kept else {"record": run_file.emit(record)})})
        for line in [] if as_json else [*finding_lines(failure, kept, target), *([] if kept else [run_file.emit(record)])]:
            echo(line)
        apart.say(found=failure.title)

    found = fuzz_runner(runner, seconds=seconds, runs=runs, seed=seed, keep_going=keep_going, shrink=shrink, seen=seen, told=told,
                        tick=tick, over=lambda: not voice.listens())
    if found.why:
        for path in hits.values():
            forget(path)                       # what does not repeat is no finding
    for failure, reason in found.unconfirmed:
        events.append(_unconfirmed(failure, reason, hits.get(failure.title)))
        if not as_json:
            echo(f"NOT CONFIRMED   {failure.title}: {reason} (this is our bug)\n"
                 f"  kept as it was found: {hits.get(failure.title, f'{failure.switches} {failure.forced}')}")
    code = _code(found, bool(unkept) or not voice.listens())
    lines = [*schedulers_table(found.tallies), "", _last(found, code)]
    if as_json:
        lines = [document("fuzz", code, events=events, summary=_summary(found, name))]
    for line in lines:
        echo(line)
    return _code(found, bool(unkept) or not voice.listens())


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


def forget(path: pathlib.Path) -> None:
    """Remove a hit that has become a record, or was no finding."""
    with contextlib.suppress(OSError):
        path.unlink()
    apart.say(kept=str(path))


def _unconfirmed(failure: Failure, reason: str, path: pathlib.Path | None) -> dict[str, object]:
    return {"type": "raw", "title": failure.title, "why": reason, "path": str(path) if path else None,
            "switches": list(failure.switches), "forced": list(failure.forced)}


def _place(place: pathlib.Path | None) -> pathlib.Path:
    """Return the directory that keeps runs. OSError, with its name, if it cannot be made."""
    if place is None and not (PLACE / ".gitignore").is_file():
        writing.write(PLACE / ".gitignore", "*\n")
    return place or PLACE


def finding_lines(failure: Failure, kept: pathlib.Path | None, target: str) -> list[str]:
    shrunk = (f"{count(failure.before, 'preemption')}  ->  {count(failure.preemptions, 'preemption')}   "
              f"({count(failure.shrink_runs, 'run')})"
              if failure.shrink_runs else f"no: {count(failure.preemptions, 'preemption')}, as it was found")
    return ["", f"FINDING   {failure.title}   run {failure.run:,} ({failure.scheduler}), after {failure.seconds:.1f} s",
            f"  shrunk    {shrunk}", f"  minimal   {failure.minimal}",
            f"  confirmed {REPLAYS} of {REPLAYS} replays, trace {failure.digest}", "", *failure.story, "", "schedule",
            *(f"  {line}" for line in failure.schedule), "",
            *([f"wrote {kept}", f"next: {replay_command(kept, target)}"] if kept else ["it is kept nowhere; as a record it is"]), ""]


def _last(found: Sampled, code: int) -> str:
    where = f"{count(found.runs, 'run')} ({found.distinct:,} classes) in {found.seconds:.0f} s"
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


def finding_json(failure: Failure, name: str, kept: pathlib.Path | None) -> dict[str, object]:
    return {"type": "finding", "title": failure.title, "program": name, "run": failure.run, "seconds": round(failure.seconds, 3),
            "scheduler": failure.scheduler, "before": failure.before, "preemptions": failure.preemptions,
            "least_preemptions_proved": failure.least_proved, "shrink_runs": failure.shrink_runs, "replays": REPLAYS,
            "digest": failure.digest, "schedule": [str(line) for line in failure.schedule], "path": str(kept) if kept else None}


def _summary(found: Sampled, name: str) -> dict[str, object]:
    return {"program": name, "seed": found.seed, "runs": found.runs, "distinct": found.distinct,
            "limit_runs": found.limit_runs, "seconds": round(found.seconds, 1), "titles": found.titles, "why": str(found.why or ""),
            "unseen": str(found.unseen or ""), "reason": reason_of(found.why or found.unseen), "interrupted": found.interrupted,
            "upper_bound_95": 1 / rule_of_three(found.runs) if found.ok and rule_of_three(found.runs) else None}
