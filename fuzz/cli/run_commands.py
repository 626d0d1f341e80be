# SPDX-License-Identifier: MIT
"""`vmrace replay`, `show`, `shrink` and `corpus accept` of kept failures of plain functions."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from vmrace.fuzz.cli.function_commands import finding_json, finding_lines, forget
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.index import NotAccepted, Undecided
from vmrace.fuzz.corpus.judge import PROVE_MAX
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.functions import allowed, run_file
from vmrace.fuzz.functions.judge import JudgedRun, NoSchedule, judge_record
from vmrace.fuzz.functions.replayed import Replayed, lines_of_replay
from vmrace.fuzz.functions.result import Failure
from vmrace.fuzz.functions.run_file import Record, RecordError
from vmrace.fuzz.functions.shrink import confirm
from vmrace.fuzz.functions.story import lines_of, story_of, traced
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.target import TargetError, runner_of
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop
from vmrace.harness.errors import Diverged, ProgramError
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.verify import Differs
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.replay.rows import as_json as as_json_of

POLL_SECONDS = 0.2          # between two looks at whether to stop
RUN_SECONDS = 600.0         # for one record of a worker, which is then given up

Said = Callable[[str], None]


def replay(path: pathlib.Path, named: str | None, times: int, echo: Said, as_json: bool = False, accept: bool = False) -> int:
    """Replay a kept run. `named`: the function that the command line names, if any (see fuzz/functions/allowed). `accept`: write the
    verdict found. Returns the exit code: 0 as expected, 1 not, 3 undecided. RecordError, TargetError or ProgramError if it cannot be
    run."""
    kept = allowed_record("replay", path, named)
    done = Replayed(path, kept, _judged(path, kept, times, PROVE_MAX if accept else 0))
    if accept:
        _accept(done)
    if as_json:
        echo(document("replay", done.code, run=done.as_json(times)))
        return done.code
    for line in lines_of_replay(done):
        echo(line)
    return done.code


def replay_all(paths: Sequence[pathlib.Path], named: str | None, times: int, workers: int, accept: bool,
               say: Said) -> tuple[list[Replayed], list[Exception]]:
    """Replay records on worker processes, so that a program that ends its process loses its own verdict alone.

    Returns them in the order of `paths`, and an error for each file that cannot be used. `say` is called with lines of progress.
    """
    wanted: dict[pathlib.Path, Record] = {}
    found: dict[pathlib.Path, Replayed | Exception] = {}
    for path in paths:
        try:
            wanted[path] = allowed_record("replay", path, named)
        except (RecordError, TargetError) as error:
            found[path] = error
    queue, jobs = list(wanted)[::-1], dict[Job, pathlib.Path]()
    pool = Workers(workers)
    with stop_request.at_once(pool.kill):
        try:
            while queue or jobs:
                stop.look()
                while queue and len(jobs) < workers:
                    path = queue.pop()
                    jobs[pool.give(_judge_in_worker, (path, wanted[path], times, PROVE_MAX if accept else 0), RUN_SECONDS)] = path
                for job in pool.done(POLL_SECONDS):
                    path = jobs.pop(job)
                    found[path] = _answer(path, wanted[path], job)
                say(f"  replay: {len(found)} of {count(len(paths), 'run')}")
        finally:
            pool.stop()
    done = [one for path in paths if isinstance(one := found[path], Replayed)]
    for one in done if accept else ():
        _accept(one)
    return done, [one for path in paths if isinstance(one := found[path], Exception)]


def _judge_in_worker(path: pathlib.Path, kept: Record, times: int, prove: int) -> JudgedRun | str:
    """Judge a record in a worker process; an error of its program is returned as its text."""
    try:
        return _judged(path, kept, times, prove)
    except (RecordError, TargetError, ProgramError) as error:
        return str(error)


def _answer(path: pathlib.Path, kept: Record, job: Job) -> Replayed | Exception:
    try:
        answer = job.result()
    except Lost as lost:
        return Replayed(path, kept, _failed(Incomplete(Reason.ERROR, detail=f"the process that ran the program was lost: {lost}")))
    except Erred as error:
        return Replayed(path, kept, _failed(Incomplete(Reason.ERROR, detail=error.message)))
    return RecordError(f"{path}: {answer}") if isinstance(answer, str) else Replayed(path, kept, answer)


def _failed(why: Incomplete) -> JudgedRun:
    return JudgedRun(Verdict(Word.INCONCLUSIVE, why=why), str(why))


def _judged(path: pathlib.Path, kept: Record, times: int, prove: int) -> JudgedRun:
    try:
        return judge_record(kept, times=times, prove=prove)
    except NoSchedule as error:
        raise RecordError(f"{path}: schedule: {error}") from None


def summary(done: Sequence[Replayed]) -> str:
    """Return the text of a last line that says how the verdicts of several records compare with those expected."""
    wrong = sum(one.code == CHANGED for one in done)
    undecided = sum(one.code == COULD_NOT for one in done)
    parts = [f"{wrong} not as expected"] * bool(wrong) + [f"{undecided} undecided"] * bool(undecided)
    return f"{count(len(done), 'run')}: {', '.join(parts) or 'all as expected'}"


# ---- accepting a verdict --------------------------------------------------------------------------------------------------------

def accept(path: pathlib.Path, named: str | None, word: str, runs: int) -> tuple[Verdict, Verdict]:
    """Judge a record, and write the verdict found as the one expected. Returns both: before, and now.

    `word`: the word, or the whole verdict, that it must have; "" for any. `runs`: the limit of a proof. NotAccepted, with nothing
    written, if the verdict is another one, or cannot be accepted; other errors as of `replay`.
    """
    kept = allowed_record("corpus accept", path, named)
    asked = Record(kept.title, kept.functions, kept.args, kept.schedule) if word == Word.OK.value else kept   # ok does not ask for a proof
    judged = _judged(path, asked, 1, 0 if word == Word.OK.value else runs)
    now = judged.accepted
    if not judged.verdict.decided:
        raise Undecided(f"{path}: {judged.verdict}; nothing was written")
    if now is None:
        raise NotAccepted(f"{path}: {judged.detail}; that cannot be accepted")
    if word not in ("", str(now), now.word.value):
        raise NotAccepted(f"{path}: is {str(now)!r}, not {word!r}; nothing was written")
    stop.look()                     # from here on it is written, whatever comes
    run_file.expect(path, now)
    return kept.expected, now


def _accept(done: Replayed) -> None:
    """Write the verdict found, if it can be accepted, and is not what the file expects."""
    now = done.judged.accepted
    stop.look()
    if now is not None and now != done.kept.expected:
        run_file.expect(done.path, now)
        done.judged.verdict, done.wrote = now, True


# ---- show and shrink -----------------------------------------------------------------------------------------------------------

def show(path: pathlib.Path, named: str | None, echo: Said, as_json: bool = False, whole: bool = False) -> int:
    """Print the story of a kept run, with every step if `whole`, and its schedule. `named` and errors as of `replay`."""
    kept = allowed_record("show", path, named)
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
    allowed.require(path, hit.functions, named, allowed.command("shrink", path, hit.functions))
    runner, args = runner_of(hit.functions, tuple(hit.args)), tuple(hit.args)
    failure = Failure(hit.title, hit.run, 0.0, "hit", len(hit.switches) // 2, hit.switches, hit.forced)
    try:
        confirm(runner, failure)
    except Differs as error:
        echo(document("shrink", CHANGED, path=str(path), why=str(error)) if as_json else f"{path}: {error}   (exit {CHANGED})")
        return CHANGED
    kept = run_file.save(Record(failure.title, hit.functions, args, failure.schedule), place or path.parent)
    finding = finding_json(failure, hit.functions, kept)
    for line in [document("shrink", 0, **finding, removed=[str(path)])] if as_json else finding_lines(failure, kept, hit.functions):
        echo(line)
    forget(path)
    return 0


def allowed_record(command: str, path: pathlib.Path, named: str | None) -> Record:
    """Load a record whose function may be run. NotAllowed otherwise, with the command to type."""
    kept = run_file.load(path)
    allowed.require(path, kept.functions, named, allowed.command(command, path, kept.functions))
    return kept
