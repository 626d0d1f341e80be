# SPDX-License-Identifier: MIT
"""The base of schedulers that choose the next event at every point, and know which event each task is about to make.

An event is one access: its kind, its place (an object, or a field, an item or a bit of it), and its site, which is the place in the
source of the innermost function that is not the harness. Asking at every point costs about as much as the run itself.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from types import CodeType, FrameType

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import Task
from vmrace.harness.points import ACQUIRE, BARRIER, IRQ, LOCAL, MASK, place_of
from vmrace.harness.schedulers.relation import Event, Relation, Site

_HARNESS = str(pathlib.Path(__file__).parents[1])

ALONE = frozenset((BARRIER, IRQ, LOCAL, MASK))                          # kinds that no other task can observe


class EveryPoint:
    """A scheduler that is asked at every point. A subclass adds `choose`, and may add `arrives` and `made`.

    `relation`, which the caller may set, learns from each run.
    """

    relation: Relation | None = None

    def begin(self, m: Machine) -> None:
        if self.relation is not None:
            self.relation.begin()
        self.pending: dict[int, Event] = {}     # task -> the event that it is about to make
        self.stacks: dict[int, Task] = {}       # number of a task, or of an idle cpu -> the task
        self.running: tuple[Task, Event] | None = None      # the last chosen event, which is being made
        m.want(0)                               # at every point from now on

    def choose(self, m: Machine, choices: Sequence[int]) -> int:
        """Return one of `choices`."""
        raise NotImplementedError

    def arrives(self, m: Machine, who: int, event: Event) -> None:
        """Hear that the task is at this point now."""

    def made(self, m: Machine, who: int, event: Event) -> None:
        """Hear that the task has made the event."""

    def at(self, m: Machine) -> int:
        self._settle(m)
        me = m.current
        assert me.at is not None, me
        kind, obj, arg = me.at
        self.stacks[me.id] = me
        self._was_made(m, me.id)
        if kind not in ALONE:
            event = self.pending[me.id] = Event(kind, obj, place_of(obj, arg), site_of(sys._getframe(1)))
            self.arrives(m, me.id, event)
        return self._next(m, m.enabled or m.choices())

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self._settle(m)
        return self._next(m, choices)

    def wake(self, m: Machine) -> None:
        pass

    def finish(self, m: Machine) -> None:
        """Hear that the run came to its end: its last events are made."""
        self._settle(m)
        for who in list(self.pending):
            self._was_made(m, who)

    def _next(self, m: Machine, choices: Sequence[int]) -> int:
        choice = self.choose(m, choices)
        event = self.pending.pop(choice, None)
        if event is not None:
            self.running = self.stacks[choice], event
        return choice

    def _was_made(self, m: Machine, who: int) -> None:
        """Note that the task has made its event although it was not chosen here: it was the only one that could go on."""
        event = self.pending.pop(who, None)
        if event is not None:
            self._note(m, who, event)

    def _note(self, m: Machine, who: int, event: Event) -> None:
        self.made(m, who, event)
        if self.relation is not None:
            self.relation.add(who, event)

    def _settle(self, m: Machine) -> None:
        """Note that the event that was chosen last is made; or that its task waits, and is still about to make it."""
        if self.running is not None:
            (task, event), self.running = self.running, None
            if task.waiting is not None and not task.finished and event.kind == ACQUIRE:
                self.pending[task.id] = event
            else:
                self._note(m, task.id, event)


def can_go_on(m: Machine, event: Event | None, who: int) -> bool:
    """True unless the event is the acquire of a lock that is not available now."""
    if event is None or event.kind != ACQUIRE or who < 0:
        return True
    available = getattr(event.obj, "available", None)
    return available is None or bool(available(m.tasks[who]))


def site_of(frame: FrameType | None) -> Site:
    """Return the code and the instruction of the innermost frame that is no frame of the harness."""
    while frame is not None:
        code = frame.f_code
        ours = _OURS.get(code)
        if ours is None:
            ours = _OURS[code] = code.co_filename.startswith((_HARNESS, "<"))
        if not ours:
            return code, frame.f_lasti
        frame = frame.f_back
    return _NOWHERE


_OURS: dict[CodeType, bool] = {}
_NOWHERE: Site = (site_of.__code__, -1)
