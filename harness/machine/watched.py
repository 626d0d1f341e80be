# SPDX-License-Identifier: MIT
"""Watchers of the machine: a recorder is called at every point, an observer when a task stops, goes on, or wakes another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine
    from vmrace.harness.machine.task import Task


class Observer:
    """The base of observers. Each method does nothing here."""

    def preempted(self, m: Machine, me: Task) -> None:
        """Hear that `me` is preempted at a point, before its access. The decision is the last of `m.switches`."""

    def blocked(self, m: Machine, me: Task) -> None:
        """Hear that `me` stops because it waits, gives up its cpu, or has ended."""

    def resumed(self, m: Machine, me: Task) -> None:
        """Hear that `me`, which was preempted or blocked, runs again."""

    def woken(self, m: Machine, task: Task) -> None:
        """Hear that the running task ends the sleep of `task`."""


def preempt(m: Machine, me: Task, decision: int) -> None:
    """Enact a preemption of `me`, and report it to the observer, if there is one."""
    if m.observer is not None:
        m.observer.preempted(m, me)
    m.enact(me, decision)
    _resumed(m, me)


def give_up(m: Machine, me: Task, decision: int) -> None:
    """Enact a decision for `me`, which waits or gives up its cpu, and report that to the observer, if there is one."""
    if m.observer is None or decision == me.id:
        m.enact(me, decision)
        return
    m.observer.blocked(m, me)
    m.enact(me, decision)
    _resumed(m, me)


def _resumed(m: Machine, me: Task) -> None:
    if m.observer is not None:              # a stack outlives its run: the next one may have another observer, or none
        m.observer.resumed(m, me)


class Watched:
    """Sets the recorder and the observer of a machine for a block, and puts back the old ones, whatever was raised."""

    __slots__ = ("before", "m", "now")

    def __init__(self, m: Machine, recorder: Any, observer: Observer | None):
        self.m = m
        self.now = recorder, observer

    def __enter__(self) -> None:
        m = self.m
        self.before = m.recorder, m.observer
        m.recorder, m.observer = self.now

    def __exit__(self, *raised: object) -> None:
        self.m.recorder, self.m.observer = self.before
