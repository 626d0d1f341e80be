# SPDX-License-Identifier: MIT
"""The rows of a story: operations, accesses, and changes of the state of tasks. Those that matter are chosen, and repeats are folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vmrace.harness import points
from vmrace.harness.finding import Finding
from vmrace.harness.replay.slice import Slice, failure, task_name
from vmrace.harness.watchers.trace import PREEMPTED, RUNS, SLEEPS, SPINS, Event

SLICE_MAX = 16      # accesses that a slice chooses
WHOLE_MAX = 20      # rows of a story that is shown whole
PERIOD_MAX = 24     # rows of a loop that is folded
BUG, BROKEN = "BUG", "!!"


@dataclass
class Row:
    """One row: the text of column `cpu`, or of all columns if that is None. `after`: the new state of the watched object, if it changed.
    `rows` and `times`: this row stands for the `times` repeats of the `rows` rows before it."""

    cpu: int | None
    text: str
    event: Event | None = None
    at: int = -1                # the position of the event in the trace
    value: str = ""
    after: str = ""
    mark: str = ""
    function: str = ""          # of the event, if the access before it in this story is in another one
    rows: int = 0
    times: int = 0

    @property
    def step(self) -> int | None:
        """The step of an access; None for other rows."""
        return self.event.step if self.event is not None and not self.event.change and self.event.kind != points.LOCAL else None


@dataclass
class Story:
    """The events of a run that ended in `finding`, as rows. `ops` maps (task, number) to the text of an operation, `keys` has the names of
    the tasks. `watched` is the object whose state is shown, or "". With `whole`, no access is left out."""

    events: Sequence[Event]
    finding: Finding
    notes: Sequence[Finding]
    ops: dict[tuple[int, int], str]
    keys: Sequence[str] = ()
    whole: bool = False
    slice: Slice = field(init=False)
    watched: str = field(init=False)
    changed: dict[int, str] = field(init=False)         # position of an event -> the new state of the watched object

    def __post_init__(self) -> None:
        self.slice = Slice(self.events)
        self.watched = watched(self.events, self.finding)
        self.changed, value = {}, ""
        for at, event in enumerate(self.events):
            now = event.after.get(self.watched, "")
            if now and now != value:
                self.changed[at] = value = now

    @property
    def accesses(self) -> int:
        """The number of accesses of the run."""
        return sum(is_access(event) for event in self.events)

    def rows(self) -> list[Row]:
        """Return the rows: all, or those that matter if there are many."""
        everything = folded(self._rows(set(range(len(self.events)))))
        if self.whole or len(everything) <= WHOLE_MAX:
            return everything
        about = self.finding.about or self.watched
        first = failure(self.events, self.finding, self.notes, about)
        chosen = self.slice.matter(first, SLICE_MAX) | {*first, *self.changed}
        stops: set[int] = set()
        while stops < (more := self._stops(chosen)):        # an access that is added may be made while another task stands still
            stops = more
            chosen |= {other for at in stops for other in self._around(at)}
        return folded(self._rows(chosen | stops))

    def _stops(self, chosen: set[int]) -> set[int]:
        """Return the positions of the changes of a task's state that matter: while it stood still, another task made a chosen access."""
        out = set()
        following: dict[int, int] = {}
        for at in range(len(self.events) - 1, -1, -1):
            event = self.events[at]
            until = following.get(event.task, len(self.events))
            if event.change and event.change != RUNS and any(
                    other in chosen and is_access(self.events[other]) for other in range(at + 1, until)):
                out |= {at, until} if until < len(self.events) and self.events[until].change == RUNS else {at}
            following[event.task] = at
        return out

    def _around(self, at: int) -> list[int]:
        """Return the accesses that explain a stop: the wake-up; of a lock, the acquires of its holders, and the one that ends the wait."""
        event = self.events[at]
        if event.change == RUNS:
            return list(self.slice.causes(at))
        if event.change == PREEMPTED or not event.obj:
            return []
        return [*self.slice.holders(at), *self.slice.acquired(at)]

    def _rows(self, chosen: set[int]) -> list[Row]:
        out: list[Row] = []
        at_fault = self._at_fault()
        last: tuple[int, int, str] | None = None
        for at, event in enumerate(self.events):
            if event.kind == points.LOCAL and not event.change:
                if event.result not in ("", "0"):
                    out.append(Row(event.cpu, f"(returns {event.result})"))
                text = self.ops.get((event.task, int(event.arg[3:]))) if event.arg.startswith("op ") else None
                if text is not None:
                    out.append(Row(event.cpu, text, after=self.changed.get(at, "")))
                    last = None
                continue
            if event.kind == points.IRQ:
                if event.arg == "enter":
                    out.append(Row(event.cpu, "  " + event.label, event, at, after=self.changed.get(at, "")))
                    last = None
                continue
            if at not in chosen:
                continue
            indent = "  " + "  " * bool(event.irq_depth)
            if event.change:
                out.append(Row(event.cpu, f"{indent}({self.change(at)})", event, at, mark=BUG * (at == at_fault)))
                continue
            where = event.task, event.irq_depth, event.function
            function, last = event.function if where != last else "", where
            broken = any(note.step == event.step and note.task == task_name(event) for note in self.notes)
            out.append(Row(event.cpu, indent + event.label, event, at, event.value, self.changed.get(at, ""),
                           BUG if at == at_fault else BROKEN if broken else "", function))
            if event.woke:
                out.append(Row(event.cpu, f"{indent}(wakes {', '.join(map(self.name, event.woke))})"))
        if not self.finding.task:
            out.append(Row(None, "at rest", mark=BUG))
        return out

    def _at_fault(self) -> int:
        """Return the position of the event in which the finding shows; -1 if the run is at rest."""
        mine = [at for at, event in enumerate(self.events) if task_name(event) == self.finding.task and event.step <= self.finding.step
                and (is_access(event) or event.change in (SPINS, SLEEPS))]
        return mine[-1] if mine else -1

    def change(self, at: int) -> str:
        """Write the change of the state of a task at this position."""
        event = self.events[at]
        if event.change == RUNS:
            return f"runs, woken by {self.name(event.by)}"
        if event.change == PREEMPTED or not event.obj:
            return event.change
        holders = [self.name(self.events[acquire].task) for acquire in self.slice.holders(at)]
        return f"{event.change} for {event.obj}" + (f", held by {', '.join(dict.fromkeys(holders))}" if holders else "")

    def name(self, task: int | None) -> str:
        """Return the name of a task, by its number."""
        if task is None or task == -1:
            return "nobody"
        return f"an irq of cpu{-2 - task}" if task < 0 else self.keys[task] if task < len(self.keys) else f"task{task}"


def is_access(event: Event) -> bool:
    return not event.change and event.kind not in (points.LOCAL, points.IRQ)


def watched(events: Sequence[Event], finding: Finding) -> str:
    """Return the object whose state is shown beside the accesses, or "" if no state is known.

    It is the one that the finding is about; else the one that its task touched last; at rest, the one that was touched most.
    """
    names = {name for event in events for name in event.after}
    if finding.about in names:
        return finding.about
    mine = [event.owner for event in events if finding.task and task_name(event) == finding.task and event.owner in names
            and event.step <= finding.step]
    if mine:
        return mine[-1]
    touched: dict[str, int] = {}
    for event in events:
        if event.owner in names:
            touched[event.owner] = touched.get(event.owner, 0) + 1
    return max(sorted(touched), key=lambda name: touched[name], default="")


def folded(rows: Sequence[Row]) -> list[Row]:
    """Fold the repeats of a loop: rows that equal those just before them, all but their steps, are counted in one row."""
    out: list[Row] = []
    at = 0
    while at < len(rows):
        period, times = _repeats(rows, at)
        if not times:
            out.append(rows[at])
            at += 1
            continue
        out += rows[at:at + period]
        at += period * (times + 1)
        if period == 1:
            out[-1] = replace(out[-1], times=times + 1)
        else:
            out.append(Row(out[-1].cpu, "", rows=period, times=times))
    return out


def _repeats(rows: Sequence[Row], at: int) -> tuple[int, int]:
    """Return the length of the loop that begins at a row, and how often it is repeated; 0 times if it is no loop."""
    for period in range(1, PERIOD_MAX + 1):
        times = 0
        while all(at + number + period * (times + 1) < len(rows)
                  and _same(rows[at + number], rows[at + number + period * (times + 1)]) for number in range(period)):
            times += 1
        if times * period >= max(2, period + 1) or (period == 1 and times):
            return period, times
    return 0, 0


def _same(one: Row, other: Row) -> bool:
    return (not other.after and not other.mark and not one.mark and not one.after
            and (one.cpu, one.text, one.value, one.function) == (other.cpu, other.text, other.value, other.function))


def as_json(story: Story) -> list[dict[str, Any]]:
    """Return the rows of a story as JSON objects: accesses, and changes of the state of tasks."""
    out: list[dict[str, Any]] = []
    for row in story.rows():
        event, at = row.event, row.at
        if event is None:
            if row.rows:
                out.append({"repeats": row.rows, "times": row.times})
            continue
        out.append({"step": event.step, "task": story.name(event.task), "cpu": event.cpu, "interrupt": event.irq_depth,
                    "function": event.function, "what": story.change(at) if event.change else event.label, "change": event.change,
                    "value": event.value, "wakes": [story.name(task) for task in event.woke], "state": row.after, "mark": row.mark,
                    "times": row.times or 1})
    return out
