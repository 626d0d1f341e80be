# SPDX-License-Identifier: MIT
"""Exploration of every schedule of a program on one variant: harness/explore does the search, this module names the outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.exploration import Exploration, Progress, Seen, explore, minimal_titles
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.watchers.value import result_of
from vmrace.variants.family import Family
from vmrace.variants.program import Program
from vmrace.variants.user_model import name_of


@dataclass(frozen=True)
class Reached:
    """The outcome of a run, for comparison with other runs.

    `titles` holds the findings. Without findings, `values` holds the results of all loads, `pages` counts the pages by final state, and
    `returned` has each operation that returned something else than 0 to its user: an error code, a count, or a signal.
    Runs of two variants are compared by the identities of their findings: then `titles` holds these, and `printed` the titles.
    """

    titles: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    printed: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        if self.titles:
            return "BUG " + "; ".join(self.printed or self.titles)
        return "; ".join([*self.returned, *self.values, *self.pages]) or "nothing to be seen"


class Explorer:
    """An explorer of programs on one variant. It judges every run, except for leaks and races: their checks look at single runs."""

    def __init__(self, family: Family, variant: str):
        self.executor = Executor(family, variant, checked=True)

    def explore(self, program: Program, *, states: bool = False, bound: int | None = None, runs_max: int = 1 << 60,
                seconds_max: float = 1e9, progress: Callable[[Progress], None] | None = None) -> Exploration:
        """Run one schedule of every class, at most `runs_max`, for at most `seconds_max` seconds; with `bound`, only schedules with at
        most that many preemptions. The outcomes are `Reached`; with `states`, clean runs differ if their loads, the results of their
        operations or the final states of their pages do. A setup that fails alone is the only outcome, without a run."""
        return explore_on(self.executor, program, states=states, bound=bound, runs_max=runs_max, seconds_max=seconds_max,
                          progress=progress)


def explore_on(executor: Executor, program: Program, *, states: bool = False, bound: int | None = None, runs_max: int = 1 << 60,
               seconds_max: float = 1e9, progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Explore like Explorer.explore, on an executor whose images are checked."""
    assert executor.checked, "an unchecked image misses unguarded accesses, so nothing could be proved on it"
    drain_after, races, quiet = executor.drain_after, executor.races, executor.quiet
    executor.drain_after = executor.races = executor.quiet = False
    try:
        return _explore(executor, program, states, bound, runs_max, seconds_max, progress)
    finally:
        executor.drain_after, executor.races, executor.quiet = drain_after, races, quiet


def _explore(executor: Executor, program: Program, states: bool, bound: int | None, runs_max: int, seconds_max: float,
             progress: Callable[[Progress], None] | None) -> Exploration:
    try:
        prepared = executor.prepare(program)
    except SetupFailed as failed:
        out = Exploration(bound=bound)
        out.outcomes[Reached((failed.finding.title,))] = Seen(classes=1, preemptions=0)
        return out

    def run(scheduler: Scheduler) -> Outcome:
        return executor.run(prepared, scheduler)

    def reached(outcome: Outcome, events: list[Event]) -> Hashable:
        titles = minimal_titles(events) or sorted(set(outcome.titles))
        if titles or not states:
            return Reached(tuple(titles))
        return at_end(executor.family, prepared)

    executor.left_open.clear()
    found = explore(run, prepared.cpus, reached, up=prepared.cpus == 1, bound=bound, least=states, runs_max=runs_max,
                    seconds_max=seconds_max, progress=progress)
    found.left_open = frozenset(executor.left_open)
    return found


def at_end(family: Family, prepared: Prepared) -> Reached:
    """Return the outcome of the run just made, which had no finding: the results of its loads and operations, and the final states of its
    pages."""
    loads = Counter(f"{kind} {_place(who, where)} = {value}" for kind, who, where, value, *_ in m.history if kind in ("load", "disk load"))
    program = prepared.program
    returned = tuple(f"{key} {task.ops[number]} = {result_of(value)}"
                     for key, task, done in zip(program.keys(), program.tasks, m.tasks, strict=True)
                     for number, value in done.results if number < len(task.ops) and value != 0)
    return Reached((), counted(loads), counted(Counter(family.describe(prepared.image).values())), returned)


def _place(who: object, where: object) -> str:
    parts = where if isinstance(where, tuple) else ()
    return ".".join(str(part) for part in (name_of(who), *parts))


def counted(counts: Counter[str]) -> tuple[str, ...]:
    """List the texts in order, each with its count if that is not 1: `2 x 0 FREE`."""
    return tuple(f"{count} x {text}" if count > 1 else text for text, count in sorted(counts.items()))
