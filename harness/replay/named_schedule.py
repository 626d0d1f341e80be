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
from types import FrameType

from vmrace.harness.errors import Diverged
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import NEVER, Task
from vmrace.harness.watchers.trace import label_of

LINE = re.compile(
    r"(?P<actor>cpu\d+(?:_task\d+)?|idle\d+|irq \d+ on cpu\d+)"
    r"(?: (?P<rest>to the end|until blocked|until done)"
    r"| until (?P<side>before|after) (?P<label>.+?) in (?P<function>\w+)(?: #(?P<nth>\d+))?)",
    re.DOTALL,          # a user may name an object with a newline
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


def observed(m: Machine, keys: Sequence[str]) -> str:
    """Who is seen to run when the scheduler is asked; "" if nobody in particular: at the start, in an idle loop.

    Narrator and Named both move on to a new line when this is not who the line is about, so they agree on where lines begin.
    """
    task = m.current
    return "" if task.id < 0 and not task.irqs else actor_of(m, keys, task)


def point_of(m: Machine, frame: FrameType) -> tuple[str, str]:
    """Return the label and the function of the point that the running task is at. `frame` is that of Machine.sched."""
    at = m.current.at
    assert at is not None, m.current
    kind, obj, arg = at
    sites = m.sites(frame)
    function = next((site.function for site in reversed(sites) if not site.kernel_file.startswith("include/")),
                    sites[-1].function if sites else "-")
    return label_of(m, kind, obj, arg, frame.f_back), function


NOBODY = 1 << 30        # a decision that is never one of the choices


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
        """The run may have gone on with somebody else without asking: there was only one choice, or an interrupt was over."""
        actor = observed(m, self.keys)
        if actor and actor != self.actor:
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
        self.last, before = point, self.last
        if decision != me.id:
            self.lines.append(self._until(before, point, nth))
            self._open(actor_of_decision(m, self.keys, decision))
        return decision

    def _until(self, last: tuple[str, str] | None, point: tuple[str, str], nth: int) -> Line:
        """Before the next point, or after the last one if that gave back a lock: it is what a person would say."""
        if last is not None and last[0].startswith("unlock"):
            return Line(self.actor, "", "after", *last, self.seen[last])
        return Line(self.actor, "", "before", *point, nth)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self._follow(m)
        decision = self.inner.forced(m, choices)
        self._every_step(m)
        self._close(m)
        self._open(actor_of_decision(m, self.keys, decision))
        return decision

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
    """Follows lines. Anything that does not fit is Diverged; `lenient`, it is passed over: what a shrinker wants, which has
    just taken part of the program away."""

    def __init__(self, lines: Sequence[Line], keys: Sequence[str], lenient: bool = False):
        self.lines = list(lines)
        self.keys = keys
        self.lenient = lenient
        unknown = [line.actor for line in lines if line.actor.startswith("cpu") and line.actor not in keys]
        if unknown and not lenient:
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
            _, number, _, where = actor.split()
            cpu = int(where[3:])
            if cpu >= len(m.cpus):
                return NOBODY
            running = m.cpus[cpu].running
            if running is not None and running.irqs[-1:] == [int(number)]:
                return running.id                       # it has begun and goes on
            return len(m.tasks) + int(number) * len(m.cpus) + cpu
        if actor.startswith("idle"):
            return -2 - int(actor[4:])
        return self.keys.index(actor) if actor in self.keys else NOBODY

    def _diverged(self, m: Machine, why: str) -> None:
        if not self.lenient:
            raise Diverged(m.step, why)

    def _missed(self, m: Machine, line: Line) -> None:
        self._diverged(m, f"{line.actor} never comes to `{line.label}` in {line.function}{f' #{line.nth}' if line.nth > 1 else ''}")

    def _advance(self, m: Machine) -> Line | None:
        """The present line is over: on to the next, which must not have missed its point."""
        line = self.line
        if line is not None and line.side and not self.due:
            self._missed(m, line)
        self.at_line += 1
        self.count = 0
        self.due = False
        return self.line

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        me = m.current
        actor = self._follow(m)
        line = self.line
        if line is None:
            m.want(NEVER)
            return me.id
        if line.side and line.actor == actor:
            if self.due:
                return self._next(m, me.id)
            if (line.label, line.function) == point_of(m, sys._getframe(1)):
                self.count += 1
                if self.count == line.nth:
                    self.due = True
                    if line.side == "before":
                        return self._next(m, me.id)
        return me.id

    def _follow(self, m: Machine) -> str:
        """Who runs. If the present line does not name them, the next one should."""
        actor = observed(m, self.keys)
        if actor and self.at_line < len(self.lines) and (self.line is None or self.line.actor != actor):
            following = self._advance(m)
            while following is not None and following.actor != actor:
                self._diverged(m, f"{actor} runs where the schedule has {following.actor}")
                following = self._advance(m)
        return actor

    def finish(self, m: Machine) -> None:
        """The run is at rest: every point that the schedule names must have been reached."""
        for number, line in enumerate(self.lines):
            if line.side and (number > self.at_line or (number == self.at_line and not self.due)):
                self._missed(m, line)

    def _next(self, m: Machine, me: int) -> int:
        line = self._advance(m)
        if line is None:
            self._diverged(m, "the schedule ends in the middle of a line")
            return me
        decision = self._code(m, line.actor)
        if decision not in m.choices():
            self._diverged(m, f"{line.actor} cannot run here")
            return me
        return decision

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self._follow(m)
        line = self._advance(m)
        while line is not None:
            decision = self._code(m, line.actor)
            if decision in choices:
                return decision
            self._diverged(m, f"{line.actor} cannot run here")
            line = self._advance(m)
        return choices[0]

    def wake(self, m: Machine) -> None:
        pass
