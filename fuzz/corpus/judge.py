# SPDX-License-Identifier: MIT
"""The verdict of an entry on a variant: follow its schedule; if that finds nothing, search near it (see fuzz/corpus/verdict)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.sample import SAMPLE, Sample, run_sample
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.run.executor import Executor, Lacks, Prepared, SetupFailed, Traced
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.text.wording import count
from vmrace.harness.errors import Diverged
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.incomplete import broke
from vmrace.harness.replay.named_schedule import Named
from vmrace.variants.family import identity

PROVE_MAX = 5000        # runs that a proof may take, unless it is known to take more

Made = Callable[[Exploration | Sample], None]


@dataclass
class Judged:
    """The verdict of one entry on one variant. `detail` is for the reader; `runs` is the number of runs that the verdict rests on;
    `digest` is of the trace of the schedule's run, empty without an end. `elsewhere`: other schedules than the one of the entry show it.
    `certified`: a certificate stands for the runs."""

    verdict: Verdict
    detail: str = ""
    runs: int = 0
    digest: str = ""
    elsewhere: bool = False
    certified: bool = False

    @property
    def accepted(self) -> Verdict | None:
        """The verdict that the entry has from now on, if it is accepted; None if it cannot be. If the point or the finding is gone, that
        is ok."""
        if self.verdict.word in (Word.DIVERGED, Word.LOST):
            return None if self.elsewhere else Verdict(Word.OK, number=self.runs)
        return None if self.verdict.word in (Word.FLAKY, Word.INCONCLUSIVE) else self.verdict


def judge_entry(entry: Entry, executor: Executor, sample: int = SAMPLE, replays: int = REPLAYS, prove: int = 0,
                certified: Verdict | None = None, made: Made = lambda runs: None) -> Judged:
    """Judge one entry on one variant.

    On the variant that an entry was found on, its schedule has to show the finding; on others any schedule may. If the entry expects a
    proof, the proof is made again. `prove`: the number of runs for a proof that is tried in any case, 0 for none. `certified`: the verdict
    of a certificate, proved or ok; it stands for the exploration or the samples, if the entry expects the same. `made`: called with each
    exploration and each sample that was made.
    """
    assert executor.checked and executor.family.name == entry.family, (executor.family.name, entry.family)
    assert sample >= 1 and replays >= 1, (sample, replays)
    try:
        prepared = executor.ready(entry.program, entry.title)
    except Lacks as lacks:
        return Judged(Verdict(Word.ABSENT), str(lacks))
    except SetupFailed as failed:
        return Judged(bug(failed.finding.title), "in the setup already", 1)
    scheduler = Named(entry.schedule, entry.program.keys())
    traced: Traced | None = None
    diverged: Diverged | None = None
    try:
        traced = executor.trace(prepared, scheduler, stacks=False)
    except Diverged as error:
        diverged = error
    if traced is None or not traced.outcome.findings:
        judged = _without_finding(entry, executor, prepared, diverged, sample, prove, certified, made)
        return dataclasses.replace(judged, digest=traced.digest if traced is not None else "")
    title = _title(entry, executor, traced.outcome.titles)
    same = 1
    for _ in range(replays - 1):
        again = executor.trace(prepared, scheduler, stacks=False)
        same += again.digest == traced.digest and title in again.outcome.titles
    if same < replays:
        return Judged(Verdict(Word.FLAKY, number=same, of=replays), "the same decisions gave different runs", replays)
    return Judged(bug(title), f"{same} of {replays}", replays, traced.digest)


def _without_finding(entry: Entry, executor: Executor, prepared: Prepared, diverged: Diverged | None, sample: int, prove: int,
                     certified: Verdict | None, made: Made) -> Judged:
    """Judge an entry whose schedule shows no finding, by other schedules of its program. `diverged`: it did not run to its end."""
    expected, own = entry.expect.get(executor.variant), executor.variant == entry.variant
    expects = expected.word if expected is not None else None
    by_every: Judged | None = None          # what all schedules come to, if they were run
    if certified is not None and certified == expected and not prove:
        return Judged(certified, "its certificate says so", certified=True)
    if prove or expects is Word.PROVED:
        by_every = _explore(entry, executor, max(prove, _enough(expected)), made)
        if by_every is not None and by_every.verdict.decided and not by_every.elsewhere:
            return by_every             # what is found is looked for as a replay does, that what is accepted is what that finds
    near = run_sample(executor, prepared, sample)
    made(near)
    found, runs = near.found, near.runs
    sampled = diverged.why if diverged else "the schedule runs to its end"
    found_elsewhere = by_every.detail if by_every is not None and by_every.elsewhere else ""
    if found is None:
        sampled += f"; ok in {sample} schedules near it"
    else:
        where = f"by another schedule, the {runs}. of {sample} sampled"
        if not own:
            return Judged(bug(_title(entry, executor, found.titles)), where, runs)
        found_elsewhere = found_elsewhere or f"{_title(entry, executor, found.titles)} {where}"
    if by_every is not None and not found_elsewhere and (
            broke(by_every.verdict.why) or (expects is Word.PROVED and not by_every.verdict.decided)):
        return by_every                 # a proof that did not come to its end drops none
    if expects is Word.BUG or found_elsewhere:
        if not own and by_every is None:
            by_every = _explore(entry, executor, PROVE_MAX, made)
        if by_every is not None and ((by_every.elsewhere and not own) or (broke(by_every.verdict.why) and not found_elsewhere)):
            return by_every
        verdict = Verdict(Word.DIVERGED, number=diverged.step) if diverged is not None else Verdict(Word.LOST)
        detail = f"{sampled}, but {found_elsewhere}" if found_elsewhere else sampled
        return Judged(verdict, detail, runs, elsewhere=bool(found_elsewhere))
    return Judged(Verdict(Word.OK, number=sample), str(diverged or "the schedule runs to its end"), runs)


def follow(entry: Entry, executor: Executor) -> str:
    """Run the schedule alone, from the boot on. Returns the digest of its trace and the titles, or where it diverges."""
    try:
        traced = executor.trace(executor.ready(entry.program, entry.title), Named(entry.schedule, entry.program.keys()), stacks=False)
    except (Lacks, SetupFailed, Diverged) as error:
        return str(error)
    return f"{traced.digest} {', '.join(traced.outcome.titles) or 'no finding'}"


def _enough(expected: Verdict | None) -> int:
    """Return the number of runs that suffice to make a proof again: twice its classes, as some runs turn out to be known."""
    return max(PROVE_MAX, 2 * expected.number) if expected is not None and expected.word is Word.PROVED else PROVE_MAX


def _explore(entry: Entry, executor: Executor, runs_max: int, made: Made) -> Judged | None:
    """Run all schedules. None if an exploration does not look for that title; inconclusive if not all were run and nothing was found."""
    if is_of_one_run(entry.title):
        return None
    proof = explore_on(executor, entry.program, runs_max=runs_max)
    made(proof)
    if proof.proved:
        return Judged(Verdict(Word.PROVED, number=proof.classes), "every schedule ran", proof.classes)
    if not proof.titles:
        return Judged(Verdict(Word.INCONCLUSIVE, why=proof.why), str(proof.why), proof.classes)
    title = _title(entry, executor, proof.titles)
    share = f"{proof.classes_with(title):,} of {count(proof.classes, 'class of schedules')}"
    return Judged(bug(title), f"{title} in {share}", proof.classes, elsewhere=True)


def _title(entry: Entry, executor: Executor, titles: Sequence[str]) -> str:
    """Choose the title of the entry's finding on this variant, or else the first."""
    wanted = identity(entry.found_on, entry.title)
    return next((title for title in titles if identity(f"{entry.family}/{executor.variant}", title) == wanted), titles[0])
