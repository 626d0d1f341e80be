# SPDX-License-Identifier: MIT
"""Schedules by name: what a corpus entry says instead of step numbers, so that it survives edits and fits every variant.

    cpu0 until before page_cache_get(A) in shrink_cache
    cpu0 until after unlock pagemap_lru_lock in shrink_cache #2
    cpu0 until blocked
    irq 0 on cpu1 until done
    cpu1 to the end

A line says who runs next and how far. `before` and `after` name a point by its label and the kernel function it is in; #n
is its n-th time since the line began. `until blocked` and `to the end` both mean: as long as it can. After the last line
nobody is preempted. A point that its task never comes to is Diverged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import Diverged
from harness.machine import NEVER, Machine, Scheduler, Task
from harness.trace import label_of

LINE = re.compile(
    r"(?P<actor>cpu\d(?:_task\d)?|idle\d|irq \d+ on cpu\d)"
    r"(?: (?P<rest>to the end|until blocked|until done)"
    r"| until (?P<side>before|after) (?P<label>.+?) in (?P<function>\w+)(?: #(?P<nth>\d+))?)"
)


@dataclass(frozen=True)
class Line:
    """One line: `side` is "before", "after" or "" (as long as it can, told as `rest`)."""

    actor: str
    rest: str = ""
    side: str = ""
    label: str = ""
    function: str = ""
    nth: int = 1

    def __str__(self) -> str:
        if not self.side:
            return f"{self.actor} {self.rest}"
        return f"{self.actor} until {self.side} {self.label} in {self.function}" + (f" #{self.nth}" if self.nth > 1 else "")


def parse(text: str) -> Line:
    """One line of a schedule. ValueError, in one line, if it is none."""
    found = LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"no schedule line: {text!r} (like 'cpu0 until before page_cache_get(A) in shrink_cache')")
    part = found.groupdict()
    return Line(part["actor"], part["rest"] or "", part["side"] or "", part["label"] or "", part["function"] or "",
                int(part["nth"] or 1))


def actor_of(m: Machine, keys: Sequence[str], task: Task) -> str:
    """Who runs: a task by its key, an interrupt by its number and cpu."""
    if task.irqs:
        return f"irq {task.irqs[-1]} on cpu{task.cpu.number}"
    return keys[task.id] if task.id >= 0 else f"idle{task.cpu.number}"


def actor_of_decision(m: Machine, keys: Sequence[str], decision: int) -> str:
    base = len(m.tasks)
    if decision < 0:
        idle = m.cpus[-2 - decision].idle
        assert idle is not None
        return actor_of(m, keys, idle)
    if decision < base:
        return actor_of(m, keys, m.tasks[decision])
    number, cpu = divmod(decision - base, len(m.cpus))
    return f"irq {number} on cpu{cpu}"


def point_of(m: Machine, frame: Any) -> tuple[str, str]:
    """Label and function of the point that the running task is at; `frame` is that of Machine.sched."""
    kind, obj, arg = m.current.at  # type: ignore[misc]
    sites = m.sites(frame)
    function = next((site.function for site in reversed(sites) if not site.kernel_file.startswith("include/")),
                    sites[-1].function if sites else "-")
    return label_of(m, kind, obj, arg, frame.f_back), function


class Narrator:
    """Wraps a replay and writes down, line by line, what it decided."""

    def __init__(self, inner: Scheduler, keys: Sequence[str]):
        self.inner = inner
        self.keys = keys

    def begin(self, m: Machine) -> None:
        self.lines: list[Line] = []
        self.actor = ""
        self.seen: dict[tuple[str, str], int] = {}
        self.last: tuple[str, str] | None = None
        self.inner.begin(m)
        self._every_step(m)

    def _every_step(self, m: Machine) -> None:
        self.wanted = m.stop
        m.want(m.step + 1)

    def _open(self, actor: str) -> None:
        self.actor, self.seen, self.last = actor, {}, None

    def _close(self, m: Machine) -> None:
        if self.actor:
            done = self.actor.startswith("irq")
            ended = self.actor in self.keys and m.tasks[self.keys.index(self.actor)].finished
            self.lines.append(Line(self.actor, "until done" if done else "to the end" if ended else "until blocked"))

    def _follow(self, m: Machine) -> None:
        """The run may have gone on with somebody else without asking: there was only one choice."""
        actor = actor_of(m, self.keys, m.current)
        if actor != self.actor:
            self._close(m)
            self._open(actor)

    def at(self, m: Machine) -> int:
        self._follow(m)
        me = m.current
        point = point_of(m, sys._getframe(1))
        nth = self.seen[point] = self.seen.get(point, 0) + 1
        decision = me.id
        if m.step >= self.wanted:
            decision = self.inner.at(m)
            self._every_step(m)
        else:
            m.want(m.step + 1)
        if decision != me.id:
            self.lines.append(self._until(point, nth))
            self._open(actor_of_decision(m, self.keys, decision))
        self.last = point
        return decision

    def _until(self, point: tuple[str, str], nth: int) -> Line:
        """Before the next point, or after the last one if that gave back a lock: it is what a person would say."""
        if self.last is not None and self.last[0].startswith("unlock"):
            label, function = self.last
            return Line(self.actor, "", "after", label, function, self.seen[self.last])
        return Line(self.actor, "", "before", *point, nth)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if m.current.id != -1 and not m.current.finished:
            self._follow_blocked(m)
        decision = self.inner.forced(m, choices)
        self._every_step(m)
        self._close(m)
        self._open(actor_of_decision(m, self.keys, decision))
        return decision

    def _follow_blocked(self, m: Machine) -> None:
        actor = actor_of(m, self.keys, m.current)
        if actor != self.actor and m.current.id >= 0:
            self._close(m)
            self._open(actor)

    def wake(self, m: Machine) -> None:
        before = m.stop
        self.inner.wake(m)
        if m.stop != before:
            self.wanted = min(self.wanted, m.stop)

    def end(self, m: Machine) -> list[Line]:
        """All lines, with the last one closed: the run went on to its end."""
        if self.actor:
            self.lines.append(Line(self.actor, "until done" if self.actor.startswith("irq") else "to the end"))
        return self.lines


class Named:
    """Follows lines. `point_names` turn into decisions as the run goes; afterwards replay those, it is faster."""

    def __init__(self, lines: Sequence[Line], keys: Sequence[str]):
        self.lines = list(lines)
        self.keys = keys
        unknown = [line.actor for line in lines if line.actor.startswith("cpu") and line.actor not in keys]
        if unknown:
            raise ValueError(f"the schedule names {unknown[0]}, the program has {', '.join(keys)}")

    def begin(self, m: Machine) -> None:
        self.at_line = -1
        self.count = 0
        self.due = False
        m.want(1)

    @property
    def line(self) -> Line | None:
        return self.lines[self.at_line] if 0 <= self.at_line < len(self.lines) else None

    def _code(self, m: Machine, actor: str) -> int:
        if actor.startswith("irq"):
            _, number, _, cpu = actor.split()
            return len(m.tasks) + int(number) * len(m.cpus) + int(cpu[3:])
        if actor.startswith("idle"):
            return -2 - int(actor[4:])
        return self.keys.index(actor)

    def _advance(self, m: Machine) -> Line | None:
        """The present line is over: on to the next, which must not have missed its point."""
        line = self.line
        if line is not None and line.side and not self.due:
            raise Diverged(m.step, f"{line.actor} never comes to `{line.label}` in {line.function}"
                                   f"{f' #{line.nth}' if line.nth > 1 else ''}")
        self.at_line += 1
        self.count = 0
        self.due = False
        return self.line

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        me = m.current
        actor = actor_of(m, self.keys, me)
        while self.line is not None and self.line.actor != actor:
            following = self._advance(m)
            if following is not None and following.actor != actor:
                raise Diverged(m.step, f"{actor} runs where the schedule has {following.actor}")
        line = self.line
        if line is None:
            m.want(NEVER)
            return me.id
        if line.side:
            if self.due:
                return self._next(m)
            if (line.label, line.function) == point_of(m, sys._getframe(1)):
                self.count += 1
                if self.count == line.nth:
                    self.due = True
                    if line.side == "before":
                        return self._next(m)
        return me.id

    def _next(self, m: Machine) -> int:
        line = self._advance(m)
        if line is None:
            raise Diverged(m.step, "the schedule ends in the middle of a line")
        decision = self._code(m, line.actor)
        if decision not in m.choices():
            raise Diverged(m.step, f"{line.actor} cannot run here")
        return decision

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        line = self._advance(m)
        if line is None:
            return choices[0]
        decision = self._code(m, line.actor)
        if decision not in choices:
            raise Diverged(m.step, f"{line.actor} cannot run here")
        return decision

    def wake(self, m: Machine) -> None:
        pass
