# SPDX-License-Identifier: MIT
"""The commands for programs of plain functions: `vmrace fuzz MODULE:FUNCTION`, and `vmrace replay`, `show` and `shrink` of a kept run."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import time
from collections import Counter
from collections.abc import Callable

from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.functions import allowed, apart, run_file
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.run_file import Record
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.functions.shrink import confirm
from vmrace.fuzz.functions.story import lines_of, story_of, tell, traced
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.run.target import TargetError, runner_of, split
from vmrace.fuzz.text import times, writing
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING
from vmrace.fuzz.text.terminal import LINE_EVERY, Voice, clock, rule_of_three
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.text.writing import why
from vmrace.fuzz.verify.reasons import reason_of
from vmrace.harness.errors import Diverged
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.verify import Differs
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.replay.rows import as_json as as_json_of

PLACE = pathlib.Path(".vmrace")         # where failures are kept, unless another place is named

Said = Callable[[str], None]


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
            echo(f"  {clock(out.seconds)}   {count(out.runs, 'run')}   {out.runs / out.seconds:,.0f}/s   {out.distinct:,} distinct   "
                 f"{count(len(out.titles), 'title')}")

    def complain(text: str) -> None:
        unkept.append(text)
        events.append({"type": "error", "text": text})
        voice.complain(f"vmrace: {text}")

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
        events.append({**_json(failure, name, kept), **({} if kept else {"record": run_file.emit(record)})})
        for line in [] if as_json else [*_lines(failure, kept, target), *([] if kept else [run_file.emit(record)])]:
            echo(line)
        apart.say(found=failure.title)

    found = fuzz_runner(runner, seconds=seconds, runs=runs, seed=seed, keep_going=keep_going, shrink=shrink, seen=seen, told=told,
                        tick=tick, over=lambda: not voice.listens())
    if found.why:
        for path in hits.values():
            _forget(path)                       # what does not repeat is no finding
    for failure, reason in found.unconfirmed:
        events.append(_unconfirmed(failure, reason, hits.get(failure.title)))
        if not as_json:
            echo(f"NOT CONFIRMED   {failure.title}: {reason} (this is our bug)\n"
                 f"  kept as it was found: {hits.get(failure.title, f'{failure.switches} {failure.forced}')}")
    code = _code(found, bool(unkept) or not voice.listens())
    lines = [document("fuzz", code, events=events, summary=_summary(found, name))] if as_json else [*_table(found), _last(found, code)]
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


def _forget(path: pathlib.Path) -> None:
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


def _summary(found: Sampled, name: str) -> dict[str, object]:
    return {"program": name, "seed": found.seed, "runs": found.runs, "distinct": found.distinct,
            "limit_runs": found.limit_runs, "seconds": round(found.seconds, 1), "titles": found.titles, "why": str(found.why or ""),
            "unseen": str(found.unseen or ""), "reason": reason_of(found.why or found.unseen), "interrupted": found.interrupted,
            "upper_bound_95": 1 / rule_of_three(found.runs) if found.ok and rule_of_three(found.runs) else None}


# ---- what is kept -----------------------------------------------------------------------------------------------------------

def replay(path: pathlib.Path, named: str | None, times: int, echo: Said, as_json: bool = False) -> int:
    """Replay a kept run. `named`: the function that the command line names, if any (see fuzz/functions/allowed). Returns the exit code: 0
    if it fails as it did, 1 if not. RecordError, TargetError or ProgramError if it cannot be run."""
    kept = _allowed("replay", path, named)
    verdict, detail, digest = _replayed(path, kept, times)
    code = 0 if verdict.word is Word.BUG else CHANGED
    if as_json:
        echo(document("replay", code, run={"path": str(path), "functions": kept.functions, "args": list(kept.args), "title": kept.title,
                                           "verdict": str(verdict), "detail": detail, "replays": times, "digest": digest}))
        return code
    if not code:
        echo(f"{path}: {verdict}")
        echo(f"  {detail}, trace {digest}, as expected   (exit 0)")
    elif verdict.word is Word.DIVERGED:
        echo(f"{path}: {detail}")
        echo(f"           if a point has another name now: vmrace fuzz {_again(kept)}   (exit {code})")
    else:
        echo(f"{path}: {detail}   (exit {code})")
    return code


def _replayed(path: pathlib.Path, kept: Record, times: int) -> tuple[Verdict, str, str]:
    """Replay a kept run `times` times: the verdict, a detail for the reader, and the digest of the trace."""
    digests: Counter[str] = Counter()
    with watchdog.watched():
        runner = runner_of(kept.functions, kept.args)
        for _ in range(times):
            try:
                _, digest, result = tell(runner, Named(kept.schedule, runner.keys()), kept.title)
            except Diverged as error:
                return Verdict(Word.DIVERGED, number=error.step), str(error), ""
            except ValueError as error:
                raise run_file.RecordError(f"{path}: schedule: {error}") from None
            digests[digest] += 1
            if kept.title not in result.titles:
                return Verdict(Word.LOST), f"LOST: expected {kept.title}, found {result.title or 'nothing'}", digest
    if len(digests) > 1:
        most = digests.most_common(1)[0][1]
        return Verdict(Word.FLAKY, number=most, of=times), f"FLAKY: {len(digests)} different traces in {count(times, 'replay')}", ""
    return bug(kept.title), f"{times} of {count(times, 'replay')}", digest


def show(path: pathlib.Path, named: str | None, echo: Said, as_json: bool = False, whole: bool = False) -> int:
    """Print the story of a kept run, with every step if `whole`, and its schedule. `named` and errors as of `replay`."""
    kept = _allowed("show", path, named)
    runner = runner_of(kept.functions, kept.args)
    try:
        with watchdog.watched():
            recorder, result = traced(runner, Named(kept.schedule, runner.keys()))
            story = story_of(runner, recorder, result, kept.title, whole)
    except (Diverged, ValueError) as error:
        raise run_file.RecordError(f"{path}: {error}") from None
    lines = lines_of(story, runner, result, recorder.digest())
    schedule = [str(line) for line in kept.schedule]
    if as_json:
        echo(document("show", 0, path=str(path), title=kept.title, functions=kept.functions, args=list(kept.args), schedule=schedule,
                      story=lines, steps=as_json_of(story) if story is not None else []))
        return 0
    for line in [*lines, "", "schedule", *(f"  {line}" for line in schedule)]:
        echo(line)
    return 0


def shrink(path: pathlib.Path, named: str | None, place: pathlib.Path | None, echo: Said, as_json: bool = False) -> int:
    """Confirm a hit that was kept as it was found, shrink it, and put a record in its place. Returns the exit code: 0, or 1 if it does
    not fail that way. EntryError if the file is no hit; `named` and other errors as of `replay`."""
    hit = hit_file.load_of_functions(path)
    allowed.require(path, hit.functions, named, _command("shrink", path, hit.functions))
    runner, args = runner_of(hit.functions, tuple(hit.args)), tuple(hit.args)
    failure = Failure(hit.title, hit.run, 0.0, "hit", len(hit.switches) // 2, hit.switches, hit.forced)
    try:
        confirm(runner, failure)
    except Differs as error:
        echo(document("shrink", CHANGED, path=str(path), why=str(error)) if as_json else f"{path}: {error}   (exit {CHANGED})")
        return CHANGED
    kept = run_file.save(Record(failure.title, hit.functions, args, failure.schedule), place or path.parent)
    finding = _json(failure, hit.functions, kept)
    for line in [document("shrink", 0, **finding, removed=[str(path)])] if as_json else _lines(failure, kept, hit.functions):
        echo(line)
    _forget(path)
    return 0


def _allowed(command: str, path: pathlib.Path, named: str | None) -> Record:
    """Load a record whose function may be run. NotAllowed otherwise, with the command to type."""
    kept = run_file.load(path)
    allowed.require(path, kept.functions, named, _command(command, path, kept.functions))
    return kept


def _command(command: str, path: pathlib.Path, target: str) -> str:
    """Return a command to be typed as it stands."""
    return shlex.join(["vmrace", command, str(path), ":".join(split(target))])


def _next(path: pathlib.Path, target: str) -> str:
    """Return the command that replays a record. It leaves out a function that the project allows."""
    with contextlib.suppress(TargetError):
        if allowed.by_project(path, target):
            return shlex.join(["vmrace", "replay", str(path)])
    return _command("replay", path, target)


def _again(kept: Record) -> str:
    return " ".join([kept.functions, *(f"--arg {shlex.quote(arg)}" for arg in kept.args)])
