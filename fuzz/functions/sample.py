# SPDX-License-Identifier: MIT
"""Programs of plain functions, fuzzed: schedules are sampled as in a campaign, and what fails is shrunk to the fewest preemptions.

    from fuzz.functions.sample import fuzz

    def test_no_update_is_lost():
        found = fuzz(make, 3, runs=1000)
        assert found.ok, found.story

A failure is replayed twenty times, by its decisions and by the names in its schedule, before it is told. A program whose runs do
not repeat by the same schedule is told as that, and nothing else is said of it. Of one whose tasks share plain data, or that has no
points, what was found is told, but never that nothing was.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuzz.campaign.shard import Tally
from fuzz.sampling.contention import Places
from fuzz.sampling.coverage import Features
from fuzz.sampling.portfolio import PAIRS_MAX, Sampling, portfolio
from fuzz.text.times import SHRINK_SECONDS_MAX, shrink_seconds
from fuzz.text.wording import count
from harness import stop
from harness.errors import Diverged, HarnessError, ProgramError
from harness.finding import Finding
from harness.functions import watchdog as endless
from harness.functions.program import Program, Result, Runner
from harness.functions.verify import Differs, facts
from harness.incomplete import Incomplete, Reason, of_error
from harness.machine.machine import m
from harness.machine.scheduler import Scheduler
from harness.printable import printable
from harness.replay.columns import columns, oops
from harness.replay.named_schedule import Line, Named, Narrator
from harness.schedulers import Contended
from harness.schedulers.enumerate import every_schedule
from harness.schedulers.replay import Replay
from harness.watchers.trace import Recorder

REPLAYS = 20
ENUMERATE_MAX = 60_000      # runs that the proof of the least number of preemptions may take
REPEATED_EVERY = 20         # one run in so many is run again: it must come to the same
NEAR_TRIES = 400            # schedules of few preemptions at contended places that are tried before all are run, of each number
TRACED_MAX = 5_000          # points of a run that is recorded in each of its replays


@dataclass
class Failure:
    """One title: the run that showed it first, and its schedule with the fewest preemptions. `fewer_runs`: so many schedules have
    fewer, and none of them fails; None where these were too many to run."""

    title: str
    run: int
    seconds: float
    scheduler: str
    before: int
    switches: Sequence[int]
    forced: Sequence[int]
    shrink_runs: int = 0
    fewer_runs: int | None = None
    schedule: tuple[Line, ...] = ()
    digest: str = ""
    story: list[str] = field(default_factory=list)

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2


@dataclass
class Sampled:
    """What sampling came to. `why`: what kept it from its end, if anything did; then no failure that it has is one. `unseen`: what no
    schedule can come between, if anything; then no finding says nothing. `unconfirmed`: failures at which we erred, and why."""

    program: str
    seed: int
    runs: int = 0
    distinct: int = 0
    limit_runs: int = 0
    seconds: float = 0.0
    titles: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unconfirmed: list[tuple[Failure, str]] = field(default_factory=list)
    why: Incomplete | None = None
    unseen: Incomplete | None = None
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """True if schedules were sampled, and nothing was found."""
        return bool(self.runs) and not (self.titles or self.why or self.unseen)

    @property
    def story(self) -> str:
        """Everything that is known of the failures, for people."""
        lines = [*(str(one) for one in (self.why, self.unseen) if one),
                 *(line for failure in self.failures for line in ("", failure.title, *failure.story))]
        return "\n".join(map(printable, lines)).strip()


def fuzz(make: Callable[..., Program], *args: Any, runs: int = 10_000, seconds: float = 60.0, seed: int = 0, keep_going: bool = False,
         shrink: bool = True) -> Sampled:
    """Sample schedules of the program that `make(*args)` returns: `runs` of them (0: any number), for `seconds` at most, up to the
    first that fails unless it is to keep going. ProgramError if `make` makes no program, or one that cannot be run; HarnessError if
    we erred."""
    with endless.watched():
        out = fuzz_runner(Runner(make, *args), runs=runs, seconds=seconds, seed=seed, keep_going=keep_going, shrink=shrink)
    for failure, why in out.unconfirmed:
        raise HarnessError(f"{failure.title}: {why}")
    return out


def fuzz_runner(runner: Runner, *, runs: int = 0, seconds: float = 60.0, seed: int = 0, keep_going: bool = False, shrink: bool = True,
                seen: Callable[[Failure], None] | None = None, told: Callable[[Failure], None] | None = None,
                tick: Callable[[Sampled], None] | None = None, over: Callable[[], bool] = lambda: False) -> Sampled:
    """As `fuzz`, of a program that is made. `seen` hears of each failure as it comes, `told` once it is shrunk and replayed, `tick` of
    progress. A request to stop, or `over`, ends the sampling; the failures found by then are replayed and told, and not shrunk."""
    out = Sampled(runner.name, seed)
    search = _Search(runner, out, runs, seconds, keep_going, seen, tick, over)
    try:
        with endless.watched(), stop.held():
            search.sample()
            if not runner.sharing.points:
                out.unseen = out.unseen or Incomplete(Reason.NOTHING)
            for failure in out.failures:
                left = search.start + seconds + shrink_seconds(seconds) - time.monotonic()
                each = max(0.0, min(shrink_seconds(seconds), left)) if shrink and not stop.asked() else 0.0
                if _confirmed(runner, failure, each, out) and told is not None:
                    told(failure)
    except Differs as error:
        out.why = error.incomplete
    out.interrupted = stop.asked()
    out.seconds = time.monotonic() - search.start
    return out


def _confirmed(runner: Runner, failure: Failure, seconds: float, out: Sampled) -> bool:
    """Confirm a failure; what goes wrong with one is nothing to do with the others."""
    try:
        _confirm(runner, failure, seconds)
    except (Differs, ProgramError):
        raise                                   # the program's own doing
    except Exception as error:
        out.unconfirmed.append((failure, str(of_error(error))))
        return False
    return True


class _Spent(Exception):
    """No more runs."""


class _Search:
    """What `Sampling` asks for (see fuzz.sampling.portfolio.Door), of one program."""

    def __init__(self, runner: Runner, out: Sampled, runs: int, seconds: float, keep_going: bool,
                 seen: Callable[[Failure], None] | None, tick: Callable[[Sampled], None] | None, over: Callable[[], bool]):
        self.seen, self.no_more = seen, over
        self.runner, self.out, self.runs_max, self.seconds, self.keep_going, self.tick = runner, out, runs, seconds, keep_going, tick
        self.features = Features()
        self.random = random.getstate()
        self.start = time.monotonic()
        rng = random.Random(out.seed)
        schedulers = portfolio(rng)
        out.tallies.update({name: Tally() for name, _ in schedulers})
        self.sampling = Sampling(rng, schedulers, len(runner.tasks), len(runner.tasks), self, [])

    def sample(self) -> None:
        with contextlib.suppress(_Spent):
            self.sampling.leads()
            self.sampling.children()
            while not self.over():
                self.sampling.batch()

    def over(self) -> bool:
        out = self.out
        return bool(stop.asked() or self.no_more()
                    or (out.failures and not self.keep_going) or (self.runs_max and out.runs >= self.runs_max)
                    or time.monotonic() - self.start > self.seconds)

    def run(self, name: str, scheduler: Scheduler) -> Result:
        out = self.out
        if self.over():
            raise _Spent
        m.observer = self.features.switched
        try:
            result = self.runner.run(scheduler)
        finally:
            m.observer = None
        changed = self.runner.sharing.anew()
        out.runs += 1
        out.limit_runs += result.limit_hit
        tally = out.tallies.setdefault(name, Tally())
        tally.runs += 1
        if self.sampling.new(result):
            tally.distinct += 1
            out.distinct += 1
        for title in dict.fromkeys(result.titles):
            if title not in out.titles:
                tally.findings += 1
                failure = Failure(title, out.runs, time.monotonic() - self.start, name, len(result.switches) // 2,
                                  list(result.switches), list(result.forced))
                out.failures.append(failure)
                if self.seen is not None:
                    self.seen(failure)
            out.titles[title] = out.titles.get(title, 0) + 1
        if out.runs % REPEATED_EVERY == 1 or changed:
            self._repeat(result)
        if self.tick is not None:
            out.seconds = time.monotonic() - self.start
            self.tick(out)
        return result

    def _repeat(self, result: Result) -> None:
        before = facts(result)
        if self.random != random.getstate():
            raise Differs("it draws random numbers")
        while True:
            again(self.runner, result.switches, result.forced, before)
            why = self.runner.sharing.why
            if not (why and self.runner.watch(self.runner.sharing.places)):     # it may be shared well: what the next runs show
                break
        self.out.unseen = Incomplete(Reason.SHARES, detail=why) if why else None

    def shows(self, name: str, result: Result) -> int:
        new = self.features.take()
        self.out.tallies[name].features += new
        return 1 if new and len(self.sampling.schedules) < PAIRS_MAX else 0

    def places(self, result: Result) -> Places:
        return _places(self.runner, result)


def _places(runner: Runner, result: Result) -> Places:
    """The run again, to see where it touches what."""
    places = Places()
    m.recorder = places
    try:
        runner.run(Replay(result.switches, result.forced))
    except Diverged as error:
        raise Differs(error.why) from None
    finally:
        m.recorder = None
    return places


def again(runner: Runner, switches: Sequence[int], forced: Sequence[int], before: dict[str, Any]) -> None:
    """Differs if a run by these decisions does not come to what it came to before."""
    try:
        now = facts(runner.run(Replay(switches, forced), watch=True))
    except Diverged as error:
        raise Differs(error.why) from None
    for name, was in before.items():
        if now[name] != was:
            raise Differs(f"{name}: {was} before, {now[name]} now" if len(f"{was}{now[name]}") < 80 else name)


# ---- shrinking, naming, replaying -----------------------------------------------------------------------------------------

class _Late(Exception):
    """Shrinking has to end here."""


def confirm(runner: Runner, failure: Failure) -> None:
    """Shrink a failure that was found earlier, name its schedule and replay it. Differs if it does not fail so any more."""
    with endless.watched(), stop.held():
        _confirm(runner, failure, SHRINK_SECONDS_MAX)


def _confirm(runner: Runner, failure: Failure, seconds: float) -> None:
    """Shrink a failure for so many seconds at most, name its schedule and replay it. Differs if it does not replay."""
    found = _replay(runner, Replay(failure.switches, failure.forced))
    if failure.title not in found.titles:
        raise Differs(f"what is found: {failure.title!r} before, {found.title or 'nothing'} now")
    if seconds:
        found = _shrunk(runner, failure, found, time.monotonic() + seconds)
    failure.switches, failure.forced = list(found.switches), list(found.forced)
    replay = Replay(failure.switches, failure.forced)
    keys = runner.keys()
    narrator = Narrator(replay, keys)
    runner.run(narrator)
    failure.schedule = tuple(narrator.end(m))
    failure.story, failure.digest, result = tell(runner, replay, failure.title)
    before = facts(result)
    for number in range(REPLAYS):
        named = bool(number & 1)
        scheduler = Named(failure.schedule, keys) if named else replay
        try:
            if result.steps > TRACED_MAX and number > 1:
                same, now = True, runner.run(scheduler)
            else:
                events, now = traced(runner, scheduler)
                same = events.digest() == failure.digest
        except Diverged as error:
            same, why = False, error.why
        else:
            why = next((name for name, was in facts(now).items() if was != before[name]), "its points")
            same = same and facts(now) == before
        if not same:
            why = f"{failure.title!r}: replay {number + 1} of {REPLAYS} differs: {why}"
            raise HarnessError(why) if named else Differs(why)


def _replay(runner: Runner, scheduler: Scheduler) -> Result:
    try:
        return runner.run(scheduler)
    except Diverged as error:
        raise Differs(error.why) from None


def _shrunk(runner: Runner, failure: Failure, found: Result, deadline: float) -> Result:
    """A run with the same title that has fewer preemptions: first by leaving them out, then by a few at contended places, then by
    running every schedule with none, with one ... until one fails, which proves that number least."""
    best, title = found, failure.title

    def run(scheduler: Any) -> Result:
        if stop.asked() or time.monotonic() > deadline or failure.shrink_runs >= ENUMERATE_MAX:
            raise _Late
        failure.shrink_runs += 1
        return runner.run(scheduler)

    def without_one() -> Result | None:
        pairs = list(zip(best.switches[::2], best.switches[1::2], strict=True))
        for number in reversed(range(len(pairs))):
            kept = [part for pair in pairs[:number] + pairs[number + 1:] for part in pair]
            now = run(Replay(kept, best.forced, lenient=True))
            if title in now.titles and len(now.switches) < len(best.switches):
                return now
        return None

    def with_few() -> Result | None:
        places = _places(runner, best).contended()
        for preemptions in range(1, min(len(best.switches) // 2, 5)):
            scheduler = Contended(random.Random(preemptions), preemptions)
            scheduler.learn(set(places), sum(map(len, places.values())))
            for _ in range(NEAR_TRIES):
                now = run(scheduler)
                if title in now.titles and len(now.switches) < len(best.switches):
                    return now
        return None

    try:
        for smaller_than in (without_one, with_few, without_one):
            smaller = smaller_than()
            while smaller is not None:
                best, smaller = smaller, smaller_than()
        fewer = 0
        for preemptions in range(len(best.switches) // 2 + 1):
            before = failure.shrink_runs
            for now in every_schedule(run, preemptions, exactly=preemptions > 0):
                if title in now.titles:
                    failure.fewer_runs = fewer
                    return now
            fewer = failure.shrink_runs - before
    except _Late:
        pass
    return best


def traced(runner: Runner, scheduler: Scheduler) -> tuple[Recorder, Result]:
    """One run with everything recorded."""
    recorder = Recorder(m, lambda: values_of(runner))
    m.recorder, m.observer = recorder, recorder.switched
    try:
        result = runner.run(scheduler)
    finally:
        m.recorder = m.observer = None
    recorder.finish()
    return recorder, result


def tell(runner: Runner, scheduler: Scheduler, title: str | None = None) -> tuple[list[str], str, Result]:
    """One run as a story: the oops and a column for each cpu; the digest of its trace; what it came to. The story has control
    characters escaped."""
    recorder, result = traced(runner, scheduler)
    digest = recorder.digest()
    finding = next((one for one in result.findings if title in (None, one.title)), None)
    if finding is None:
        return [printable(f"{runner.name}: no finding, {count(result.steps, 'point')}, trace {digest}")], digest, result
    story = [*_oops(finding, runner, digest), "", *columns(recorder.events, finding, list(m.notes), _names(runner), runner.cpus)]
    return [printable(line) for line in story], digest, result


def _oops(finding: Finding, runner: Runner, digest: str) -> list[str]:
    """As the kernel's, but that there is no kernel here, and one file is not two."""
    lines = oops(finding, list(m.notes), runner.name, digest, runner.keys())
    lines[1] = lines[1].removeprefix("kernel BUG: ").removeprefix("kernel: ")
    return [line.replace("   variant: ", "   program: ") for line in _once(lines)]


def _once(lines: list[str]) -> list[str]:
    out = []
    for line in lines:
        *rest, last = line.split(" ")
        out.append(" ".join(rest).rstrip() if line.startswith("  ") and any(part.startswith(f"{last}:") for part in rest) else line)
    return out


def _names(runner: Runner) -> dict[tuple[int, int], str]:
    return {(number, 0): getattr(function, "__name__", "task").strip("<>") for number, function in enumerate(runner.functions)}


def values_of(runner: Runner) -> dict[str, str]:
    """What cells and atomics are, for the column beside a story: by name, of a.amount and a.limit by that of a."""
    out: dict[str, list[str]] = {}
    for made in runner.image.objects:
        for slot in ("_value", "counter"):
            if hasattr(made, slot):
                owner, _, rest = made.name.partition(".")
                out.setdefault(owner, []).append(f"{rest}={getattr(made, slot)!r}" if rest else repr(getattr(made, slot)))
    return {owner: " ".join(values)[:22] for owner, values in out.items()}
