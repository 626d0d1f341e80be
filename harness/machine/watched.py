# SPDX-License-Identifier: MIT
"""A block in which watchers hear of every point of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine


class Watched:
    """Sets the recorder and the observer of a machine for a block, and puts back the old ones, whatever was raised."""

    __slots__ = ("before", "m", "now")

    def __init__(self, m: Machine, recorder: Any, observer: Any):
        self.m = m
        self.now = recorder, observer

    def __enter__(self) -> None:
        m = self.m
        self.before = m.recorder, m.observer
        m.recorder, m.observer = self.now

    def __exit__(self, *raised: object) -> None:
        self.m.recorder, self.m.observer = self.before
