# SPDX-License-Identifier: MIT
"""The verdict of a record: follow its schedule; if that finds nothing, prove the program or sample it (see fuzz/corpus/verdict).

A record that expects its failure is as expected only if its own schedule shows the failure. A record that expects `proved` is proved
again, and one that expects `ok` is sampled again: any schedule that fails is a regression.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.judge import PROVE_MAX, Judged
from vmrace.fuzz.corpus.sample import SAMPLE
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.functions.run_file import Record
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.functions.story import tell
from vmrace.fuzz.run.target import runner_of
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop
from vmrace.harness.errors import Diverged
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Runner
from vmrace.harness.functions.verify import verify_runner
from vmrace.harness.incomplete import Incomplete, Reason, broke
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers.replay import Replay

SECONDS = 60.0              # for the samples of one record


class NoSchedule(Exception):
    """The error that a record's schedule names a task that its program does not have. Its text is one line, without the file."""


@dataclass
class JudgedRun(Judged):
    """The verdict of a record. `story`: the failing run, if there is one. `unseen`: why the absence of failures would show nothing."""

    story: list[str] = field(default_factory=list)
    unseen: Incomplete | None = None

    @property
    def accepted(self) -> Verdict | None:
        return None if self.unseen else super().accepted

    def as_expected(self, expected: Verdict) -> bool:
        """True if the verdict is the expected one. The numbers of classes and of samples may change with each edit of a program."""
        return (self.verdict.word, self.verdict.title) == (expected.word, expected.title)


def judge_record(record: Record, *, times: int = 1, sample: int = SAMPLE, prove: int = 0) -> JudgedRun:
    """Judge a record; its function is imported and called, so the caller has asked fuzz/functions/allowed.

    `times`: replays of a schedule that fails. `prove`: the limit of runs of a proof that is tried in any case; 0 for none. Raises
    TargetError or ProgramError if the program cannot be run, NoSchedule if the schedule is of another program.
    """
    assert times >= 1 and sample >= 1, (times, sample)
    with watchdog.watched():
        runner = runner_of(record.functions, record.args)
        followed = _followed(record, runner, times)
        if followed.verdict.word in (Word.BUG, Word.FLAKY):
            return followed
        found = _searched(record, runner, sample, prove)
    if found.verdict.word is Word.BUG and record.expected.word is Word.BUG:
        followed.elsewhere, followed.story = True, found.story
        followed.detail += f", but {found.verdict} {found.detail}"
        return followed
    if record.expected.word is not Word.BUG or found.verdict.word is Word.PROVED or broke(found.verdict.why):
        return found
    followed.runs, followed.unseen = found.runs, found.verdict.why
    followed.detail += f"; {found.verdict}" + (" schedules near it" if found.verdict.word is Word.OK else "")
    return followed


def _followed(record: Record, runner: Runner, times: int) -> JudgedRun:
    """Follow the schedule: BUG or FLAKY, else DIVERGED or LOST."""
    digests: Counter[str] = Counter()
    wanted = record.expected.title or record.title
    story: list[str] = []
    title = ""
    for _ in range(times):
        try:
            story, digest, result = tell(runner, Named(record.schedule, runner.keys()), wanted)
        except Diverged as error:
            return JudgedRun(Verdict(Word.DIVERGED, number=error.step), str(error))
        except ValueError as error:
            raise NoSchedule(str(error)) from None
        if not result.titles:
            return JudgedRun(Verdict(Word.LOST), f"LOST: expected {wanted}, found nothing", digest=digest)
        title = wanted if wanted in result.titles else result.titles[0]
        digests[f"{digest} {title}"] += 1
    if len(digests) > 1:
        most = digests.most_common(1)[0][1]
        return JudgedRun(Verdict(Word.FLAKY, number=most, of=times), f"FLAKY: {len(digests)} different traces in {count(times, 'replay')}")
    return JudgedRun(bug(title), f"{times} of {count(times, 'replay')}", times, next(iter(digests)).partition(" ")[0], story=story)


def _searched(record: Record, runner: Runner, sample: int, prove: int) -> JudgedRun:
    """Prove the program if that is expected or asked for, else sample it: BUG, proved, ok or inconclusive."""
    proof: JudgedRun | None = None
    if prove or record.expected.word is Word.PROVED:
        proof = _explored(record, runner, max(prove, PROVE_MAX, 2 * record.expected.number))
        if proof.verdict.decided or broke(proof.verdict.why) or record.expected.word is Word.PROVED:
            return proof
    return _sampled(record, runner, sample)


def _explored(record: Record, runner: Runner, runs: int) -> JudgedRun:
    found = verify_runner(runner, runs_max=runs, seconds_max=SECONDS)
    if found.proved:
        return JudgedRun(Verdict(Word.PROVED, number=found.classes), "every schedule ran", found.classes)
    if not found.titles:
        return JudgedRun(Verdict(Word.INCONCLUSIVE, why=found.why), str(found.why), found.classes)
    title = record.title if record.title in found.titles else found.titles[0]
    seen = found.fewest(title)
    story, _, _ = tell(runner, Replay(seen.switches, seen.forced), title)
    share = f"in {found.classes_with(title):,} of {count(found.classes, 'class of schedules')}"
    return JudgedRun(bug(title), share, found.classes, story=story)


def _sampled(record: Record, runner: Runner, sample: int) -> JudgedRun:
    found = fuzz_runner(runner, runs=sample, seconds=SECONDS)
    stop.look()
    why = found.why or found.unseen
    if found.unconfirmed:
        why = Incomplete(Reason.ERROR, detail=found.unconfirmed[0][1])
    elif found.failures and not found.why:
        failure = next((one for one in found.failures if one.title == record.title), found.failures[0])
        return JudgedRun(bug(failure.title), f"by another schedule, the {failure.run}. of {sample} sampled", found.runs,
                         failure.digest, story=failure.story)
    elif why is None and found.runs < sample:
        why = Incomplete(Reason.SECONDS, SECONDS)
    if why is not None:
        return JudgedRun(Verdict(Word.INCONCLUSIVE, why=why), str(why), found.runs)
    return JudgedRun(Verdict(Word.OK, number=found.runs), f"no finding in {count(found.runs, 'schedule')}", found.runs)
