# SPDX-License-Identifier: MIT
"""Every run of a program of a family on one variant: what harness/explore finds out, in terms of verdicts and outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome, SetupFailed
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.exploration import Exploration, Progress, explore, minimal_titles
from vmrace.harness.machine.machine import m
from vmrace.variants.family import Family
from vmrace.variants.program import Program


@dataclass(frozen=True)
class Reached:
    """What a run came to. `titles` if something was found; else what user space saw and the classes the pages ended in."""

    titles: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.titles:
            return "BUG " + "; ".join(self.titles)
        return "; ".join([*self.values, *self.pages]) or "nothing to be seen"


class Explorer:
    """Explores programs on one variant. Everything is judged, but for leaks and races, which look at single runs."""

    def __init__(self, family: Family, variant: str):
        self.executor = Executor(family, variant, checked=True)

    def explore(self, program: Program, *, states: bool = False, bound: int | None = None, runs_max: int = 1 << 60,
                seconds_max: float = 1e9, progress: Callable[[Progress], None] | None = None) -> Exploration:
        """All classes of runs. Outcomes are `Reached`; with `states`, clean runs are told apart by what user space saw and how
        the pages ended. A setup that fails alone is one outcome, of no run."""
        return explore_on(self.executor, program, states=states, bound=bound, runs_max=runs_max, seconds_max=seconds_max,
                          progress=progress)


def explore_on(executor: Executor, program: Program, *, states: bool = False, bound: int | None = None, runs_max: int = 1 << 60,
               seconds_max: float = 1e9, progress: Callable[[Progress], None] | None = None) -> Exploration:
    """As Explorer.explore, on an executor of checked images."""
    assert executor.checked
    drain_after, races = executor.drain_after, executor.races
    executor.drain_after = executor.races = False
    try:
        return _explore(executor, program, states, bound, runs_max, seconds_max, progress)
    finally:
        executor.drain_after, executor.races = drain_after, races


def _explore(executor: Executor, program: Program, states: bool, bound: int | None, runs_max: int, seconds_max: float,
             progress: Callable[[Progress], None] | None) -> Exploration:
    try:
        prepared = executor.prepare(program)
    except SetupFailed as failed:
        out = Exploration(bound=bound)
        out.outcomes[Reached((failed.finding.title,))] = _of_the_setup()
        return out

    def run(scheduler: Any) -> Outcome:
        return executor.run(prepared, scheduler)

    def reached(outcome: Outcome, events: list[Event]) -> Hashable:
        titles = minimal_titles(events) or sorted(set(outcome.titles))
        if titles or not states:
            return Reached(tuple(titles))
        pages = Counter(executor.family.describe(prepared.image).values())
        loads = Counter(f"{what} {_place(who, where)} = {value}" for what, who, where, value, *_ in m.history if what == "load")
        return Reached((), _counted(loads), _counted(pages))

    return explore(run, prepared.cpus, reached, up=prepared.cpus == 1, bound=bound, least=states, runs_max=runs_max,
                   seconds_max=seconds_max, progress=progress)


def _of_the_setup() -> Any:
    from vmrace.harness.explore.exploration import Seen
    return Seen(classes=1, preemptions=0)


def _place(who: Any, where: Any) -> str:
    return f"m{who}.{'.'.join(str(part) for part in where)}" if isinstance(where, tuple) else f"m{who}"


def _counted(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{count} x {text}" if count > 1 else text for text, count in sorted(counts.items()))
