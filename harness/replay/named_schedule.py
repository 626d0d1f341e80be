# SPDX-License-Identifier: MIT
"""Schedules by name. A corpus entry names its points and not their step numbers, so it survives edits and fits every variant.

    cpu0 until before page_cache_get(A) in shrink_cache
    cpu0 until after unlock pagemap_lru_lock in shrink_cache #2
    cpu0 until blocked
    irq 0 on cpu1 until done
    cpu1 to the end

A line names the task or interrupt that runs next (its actor), and how far. `before` and `after` name a point by its label and its kernel
function; #n is its n-th time since the line began. `until blocked` and `to the end` both mean that the actor runs as long as it can.
After the last line no task is preempted. If the actor never reaches the point, the schedule raises Diverged.
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
from vmrace.harness.machine.sites import innermost
from vmrace.harness.machine.task import NEVER, Task
from vmrace.harness.watchers.trace import label_of

LINE = re.compile(
    r"(?P<actor>cpu\d+(?:_task\d+)?|idle\d+|irq \d+ on cpu\d+)"
    r"(?: (?P<rest>to the end|until blocked|until done)"
    r"| until (?P<side>before|after) (?P<label>.+?) in (?P<function>\w+)(?: #(?P<nth>\d+))?)",
    re.DOTALL,          # the name that a user gives to an object may have a newline
)


@dataclass(frozen=True)
class Line:
    """One line. `side` is "before", "after" or "". With "" the actor runs as long as it can, and `rest` has the words of the line."""

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
    """Parse one line of a schedule. Raises ValueError, with a message of one line, if `text` is not one."""
    found = LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"no schedule line: {text!r} (like 'cpu0 until before page_cache_get(A) in shrink_cache')")
    part = found.groupdict()
    return Line(part["actor"], part["rest"] or "", part["side"] or "", part["label"] or "", part["function"] or "",
                int(part["nth"] or 1))


def actor_of(m: Machine, keys: Sequence[str], task: Task) -> str:
    """Return the actor that `task` is now: its key in `keys`, or, in an interrupt, the number of that and the cpu."""
    if task.irqs:
        return f"irq {task.irqs[-1]} on cpu{task.cpu.number}"
    return keys[task.id] if task.id >= 0 else f"idle{task.cpu.number}"


def actor_of_decision(m: Machine, keys: Sequence[str], decision: int) -> str:
    """Return the actor that runs after `decision`."""
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
    """Return the actor that runs while the scheduler is asked; "" at the start of a run and in an idle loop.

    Narrator and Named both begin a new line when this is not the actor of the present line, so they agree on where lines begin.
    """
    task = m.current
    return "" if task.id < 0 and not task.irqs else actor_of(m, keys, task)


def point_of(m: Machine, frame: FrameType) -> tuple[str, str]:
    """Return the label and the function of the point that the running task is at. `frame` is that of Machine.sched."""
    at = m.current.at
    assert at is not None, m.current
    kind, obj, arg = at
    return label_of(m, kind, obj, arg, frame.f_back), innermost(m.image, frame) or "-"


NOBODY = 1 << 30        # a decision that is never among the choices


class Narrator:
    """A scheduler that wraps a replay, and writes its decisions down as lines (`end` returns them)."""

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
        """Begin a new line if the actor has changed without a question: there was only one choice, or an interrupt has ended."""
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
        """Return the line that ends here: before `point`, or after the last point if that was a release, as a person would put it."""
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
        """Return all lines. The last one is closed here, because the run has reached its end."""
        if self.actor:
            self.lines.append(Line(self.actor, "until done" if self.actor.startswith("irq") else "to the end"))
        return self.lines


class Named:
    """A scheduler that follows lines. A line that it cannot follow raises Diverged.

    With `lenient` such a line is skipped, as a shrinker needs it, which has just removed a part of the program.
    """

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
                return running.id                       # the interrupt has begun, and goes on
            return len(m.tasks) + int(number) * len(m.cpus) + cpu
        if actor.startswith("idle"):
            return -2 - int(actor[4:])
        return self.keys.index(actor) if actor in self.keys else NOBODY

    def _diverged(self, m: Machine, why: str) -> None:
        if not self.lenient:
            raise Diverged(m.step, why)

    def _missed(self, m: Machine, line: Line) -> None:
        self._diverged(m, f"{line.actor} never reaches `{line.label}` in {line.function}{f' #{line.nth}' if line.nth > 1 else ''}")

    def _advance(self, m: Machine) -> Line | None:
        """End the present line, which must have reached its point, and return the next one."""
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
        """Return the actor that runs. If it is not that of the present line, advance to a line that has it."""
        actor = observed(m, self.keys)
        if actor and self.at_line < len(self.lines) and (self.line is None or self.line.actor != actor):
            following = self._advance(m)
            while following is not None and following.actor != actor:
                self._diverged(m, f"{actor} runs where the schedule has {following.actor}")
                following = self._advance(m)
        return actor

    def finish(self, m: Machine) -> None:
        """Raise Diverged if the run, which is at rest, has not reached every point that the schedule names."""
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
