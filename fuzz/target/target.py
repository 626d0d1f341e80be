# SPDX-License-Identifier: MIT
"""The target: the function that libFuzzer calls for each input, and what a finding does to it.

While it searches, a new title is kept as an entry, and then ends the process like a crash of a C program: libFuzzer writes the input and
exits with 77. A RACE, or any title with `keep_going`, is kept only. A title that the corpus knows is counted only. In an input that is
named on the command line, and in those that `-minimize_crash=1` tries, every title is a crash, known or not. In a merge none is.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from enum import Enum

from vmrace.fuzz.campaign.libfuzzer_memory import Memory
from vmrace.fuzz.campaign.report import TextView
from vmrace.fuzz.campaign.status import Options
from vmrace.fuzz.libfuzzer import counters
from vmrace.fuzz.libfuzzer.runner import Runner, mutator_of
from vmrace.fuzz.target.keep import Keeper
from vmrace.fuzz.text.wording import count
from vmrace.harness.finding import is_only_told


class Mode(Enum):
    """The use of the process: it searches, repeats inputs that are known to fail, or merges directories of inputs."""

    SEARCH = "search"
    REPEAT = "repeat"
    MERGE = "merge"


class TitleFound(Exception):
    """The crash of a target: Atheris prints it with the title, and libFuzzer keeps the input."""


def mode_of(flags: Sequence[str]) -> Mode:
    """Return the mode of a process with these flags of libFuzzer."""
    places = [flag for flag in flags if not flag.startswith("-")]
    if places and all(os.path.isfile(place) for place in places):
        return Mode.REPEAT
    return Mode.MERGE if any(flag in ("-merge=1", "-merge_inner=1", "-set_cover_merge=1") for flag in flags) else Mode.SEARCH


class Target:
    """A variant as a fuzz target. EntryError if findings cannot be written."""

    def __init__(self, family: str, variant: str, mode: Mode, schedules: int, corpus: pathlib.Path, keep_going: bool, shrink: bool,
                 blocks_only: bool = False):
        options = Options(family, variant, workers=1, keep_going=keep_going, corpus=corpus, shrink=shrink)
        self.mode, self.keep_going, self.blocks_only = mode, keep_going, blocks_only
        self.runner = Runner(family, variant, Memory(), schedules)
        self.view = TextView(options)
        self.keeper = Keeper(options, self.view)
        self.mutator = mutator_of(self.runner, sweeps=mode is Mode.SEARCH)
        self.registered = False
        if mode is Mode.SEARCH:
            self.runner.known.update(self.keeper.begin())

    def call(self, data: bytes) -> None:
        """Run an input. TitleFound if that is a crash."""
        runner = self.runner
        if not self.registered:
            self.registered = True
            counters.register(runner.blocks_buffers if self.blocks_only else runner.buffers)
        runner.run(data)
        hits, runner.counts.hits = runner.counts.hits, []
        crashes = [title for title in runner.titles if not is_only_told(title)] if self.mode is Mode.REPEAT else []
        if self.mode is Mode.SEARCH:
            new = [hit.title for hit in hits if self.keeper.keep(hit)]
            crashes = [] if self.keep_going else [title for title in new if not is_only_told(title)]
        if crashes:
            self.view.voice.complain(f"DEDUP_TOKEN: {crashes[0]}")
            raise TitleFound(crashes[0])

    def end(self) -> None:
        """Print the counts, if libFuzzer gives the process back."""
        counts = self.runner.counts
        if counts.programs_run:
            self.view.voice.say(f"vmrace: {count(counts.runs, 'run')} ({counts.distinct:,} classes) of "
                                f"{count(counts.programs_run, 'input')}, {count(len(counts.titles), 'title')}")
