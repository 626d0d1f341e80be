# SPDX-License-Identifier: MIT
"""What an entry means for a variant: follow its schedule, and where that finds nothing, search near it.

    BUG title         the schedule ends in that finding, 20 of 20
    proved in N       no finding in any of the N classes of schedules there are (see fuzz/explored)
    ok in N           no finding: not by the schedule, nor in N sampled schedules of the same program (N is fixed, so is the seed)
    n/a               the variant lacks an operation of the program
    DIVERGED step k   the schedule names a point this variant never comes to, though a finding was expected
    LOST              the schedule fits and the finding that was expected is gone
    FLAKY a/b         the same decisions gave different runs: our error
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from fuzz import reasons
from fuzz.entry import Entry
from fuzz.executor import Executor, Lacks, Outcome, SetupFailed
from fuzz.explored import explore_on
from fuzz.words import count, verdict_text
from harness.errors import Diverged
from harness.machine import Scheduler
from harness.schedule import Named
from harness.schedulers import NoPreempt, Pct, Walk

SAMPLE = 1000
PROVE_MAX = 5000        # runs that a proof may take, unless it is known to take more
REPLAYS = 20
INCONCLUSIVE = "inconclusive"


@dataclass
class Verdict:
    """`text` is what stands in an entry; `detail` is for the reader; `runs` counts what it rests on."""

    text: str
    detail: str = ""
    runs: int = 0
    digest: str = ""
    still: bool = False         # by other schedules than the one of the entry

    @property
    def decided(self) -> bool:
        """True if it says something of the variant: neither the budget ran out nor we erred."""
        return not self.text.startswith(INCONCLUSIVE)

    @property
    def short(self) -> str:
        """One word for a table."""
        return "ok" if self.text.startswith("ok") else self.text.split()[0]

    @property
    def accepted(self) -> str:
        """What an entry says from now on, if this is right; "" if it cannot be. Without a point or the finding, it is ok."""
        if self.text.startswith(("DIVERGED", "LOST")):
            return "" if self.still else f"ok in {self.runs}"
        return "" if self.text.startswith(("FLAKY", INCONCLUSIVE)) else self.text


def judge_entry(entry: Entry, executor: Executor, sample: int = SAMPLE, replays: int = REPLAYS, prove: int = 0) -> Verdict:
    """The verdict of one entry on one variant. What is expected to be proved is proved again; with `prove`, it is tried anyway, in
    so many runs.

    On the variant that an entry was found on its schedule has to show the finding; on others any schedule may.
    """
    expected = entry.expect.get(executor.variant, "")
    try:
        prepared = executor.ready(entry.program, entry.title)
    except Lacks as lacks:
        return Verdict("n/a", str(lacks))
    except SetupFailed as failed:
        return Verdict(verdict_text(failed.finding.title), "in the setup already", 1)
    scheduler = Named(entry.schedule, entry.program.keys())
    diverged: Diverged | None = None
    try:
        traced = executor.trace(prepared, scheduler)
    except Diverged as error:
        diverged = error
    else:
        if traced.outcome.findings:
            title = _title(traced.outcome, entry.title)
            same = 1
            for _ in range(replays - 1):
                again = executor.trace(prepared, scheduler)
                same += again.digest == traced.digest and title in again.outcome.titles
            if same < replays:
                return Verdict(f"FLAKY {same}/{replays}", "the same decisions gave different runs", replays)
            return Verdict(verdict_text(title), f"{same} of {replays}", replays, traced.digest)
    own = executor.variant == entry.variant
    by_every = Verdict("")
    if prove or expected.startswith("proved"):
        by_every = _explore(entry, executor, max(prove, _enough(expected)))
        if by_every.text and by_every.decided and not by_every.still:
            return by_every             # what is found is looked for as a replay does, that what is accepted is what that finds
    found, runs = _search(executor, prepared, sample)
    sampled = diverged.why if diverged else "the schedule runs to its end"
    if found is None:
        sampled += f"; ok in {sample} schedules near it"
    else:
        elsewhere = f"by another schedule, the {runs}. of {sample} sampled"
        if not own:
            return Verdict(verdict_text(_title(found, entry.title)), elsewhere, runs)
        if not by_every.still:
            by_every = Verdict("", f"{_title(found, entry.title)} {elsewhere}", still=True)
    if not by_every.decided and (expected.startswith("proved") or reasons.broke(by_every.text)):
        return by_every                 # a proof that did not come to its end drops none
    if expected.startswith("BUG") or by_every.still:
        if not own and not by_every.text:
            by_every = _explore(entry, executor, PROVE_MAX)
        if (by_every.still and not own) or reasons.broke(by_every.text):
            return by_every
        text = f"DIVERGED step {diverged.step}" if diverged is not None else "LOST"
        return Verdict(text, f"{sampled}, but {by_every.detail}" if by_every.still else sampled, runs, still=by_every.still)
    return Verdict(f"ok in {sample}", str(diverged or "the schedule runs to its end"), runs)


def follow(entry: Entry, executor: Executor) -> str:
    """What the schedule alone comes to, from the boot on: the digest of its trace and what was found, or where it diverges."""
    try:
        traced = executor.trace(executor.ready(entry.program, entry.title), Named(entry.schedule, entry.program.keys()))
    except (Lacks, SetupFailed, Diverged) as error:
        return str(error)
    return f"{traced.digest} {', '.join(traced.outcome.titles) or 'no finding'}"


def _enough(expected: str) -> int:
    """Runs to prove again what was proved before, with some that turn out to be known."""
    words = expected.split()
    return max(PROVE_MAX, 2 * int(words[-1])) if words[:1] == ["proved"] and words[-1].isdigit() else PROVE_MAX


def _explore(entry: Entry, executor: Executor, runs_max: int) -> Verdict:
    """What all schedules come to; without a text if it is not looked at, inconclusive if not all were run and nothing was found."""
    if entry.title.startswith(("LEAK", "RACE")):        # an exploration does not look for them
        return Verdict("")
    proof = explore_on(executor, entry.program, runs_max=runs_max)
    if proof.proved:
        return Verdict(f"proved in {proof.classes}", "every schedule ran", proof.classes)
    if not proof.titles:
        return Verdict(f"{INCONCLUSIVE} {proof.why}", proof.why, proof.classes)
    title = entry.title if entry.title in proof.titles else proof.titles[0]
    share = f"{proof.classes_with(title):,} of {count(proof.classes, 'class of schedules')}"
    return Verdict(verdict_text(title), f"{title} in {share}", proof.classes, still=True)


def _title(outcome: Outcome, wanted: str) -> str:
    return wanted if wanted in outcome.titles else outcome.titles[0]


def _search(executor: Executor, prepared, sample: int) -> tuple[Outcome | None, int]:  # type: ignore[no-untyped-def]
    """Sampled schedules of the program, the same ones each time."""
    rng = random.Random(0)
    outcome = executor.run(prepared, NoPreempt())
    schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, max(outcome.steps, 2)), Walk(rng, 0.2), Pct(rng, 3, max(outcome.steps, 2))]
    runs = 1
    while not outcome.findings and runs < sample:
        outcome = executor.run(prepared, schedulers[runs % len(schedulers)])
        runs += 1
    return (outcome if outcome.findings else None), runs
