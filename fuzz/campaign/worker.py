# SPDX-License-Identifier: MIT
"""The images that a worker process keeps from shard to shard, and its copy of the campaign's memory."""

from __future__ import annotations

from typing import Any

from vmrace.fuzz.campaign.facts import Fact
from vmrace.fuzz.campaign.memory import Kept, Learnt, Memory
from vmrace.fuzz.campaign.messages import Lesson
from vmrace.fuzz.campaign.start_states import States
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.finder import executors


class Worker:
    """A worker process, for one variant. `known` is the campaign's memory up to shard `position`; `memory` is the copy of the present
    shard."""

    def __init__(self, family_name: str, variant: str):
        self.fast, self.checked = executors(family_name, variant)
        self.operations = self.fast.operations()
        self.named: dict[Any, Fact] = {}        # see Accesses
        self.known = self.memory = Memory()
        self.position = 0

    def begin(self, lesson: Lesson) -> None:
        """Learn what the next shard may know, and make the copy in which it learns."""
        if lesson.memory is not None or not lesson.since:
            self.known, self.position = lesson.memory or Memory(), lesson.since
        assert self.position == lesson.since, f"a lesson from shard {lesson.since} on, for a memory up to shard {self.position}"
        for learnt in lesson.learnt:
            self.known.learn(learnt)
        self.position += len(lesson.learnt)
        self.memory = self.known.copy()

    def learnt(self, titles: list[str]) -> Learnt:
        """Return what the present shard has learnt; `titles` are its hits."""
        return self.memory.learnt_since(self.known, titles)

    def linked_again(self) -> Worker:
        """Return a worker with new images and the same memory: those of this one may be broken."""
        made = Worker(self.fast.family.name, self.fast.variant)
        made.known, made.position = self.known, self.position
        return made

    @property
    def features(self) -> Features:
        return self.memory.features

    @property
    def states(self) -> States:
        return self.memory.states

    @property
    def kept(self) -> list[Kept]:
        return self.memory.kept
