# SPDX-License-Identifier: MIT
"""The options of a campaign, and its state."""

from __future__ import annotations

import pathlib
import time
from collections import Counter
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.entry import EntryError, load_all
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.variants.family import identity


@dataclass
class Options:
    """The options of `vmrace fuzz`. `seconds` is the time limit; `runs` is the limit of runs, 0 means none.

    `engine` makes the shards. `inputs`: a directory of inputs of fuzz/libfuzzer, to begin with and to add to.
    """

    family: str
    variant: str
    seconds: float = 60.0
    runs: int = 0
    seed: int = 0
    workers: int = 2
    keep_going: bool = False
    corpus: pathlib.Path = pathlib.Path("corpus")
    shrink: bool = True
    engine: str = "own"
    inputs: pathlib.Path | None = None


@dataclass
class Status:
    """The state of a campaign: its counts, its titles, and everything that was lost.

    `started` and `last_new` are times, in seconds of time.monotonic and since `started`. `kept` counts the kept programs. `swept` and
    `unswept` count the pairs of operations that sweeps ran, and those that are left, in so many `states` of pages.
    """

    started: float = 0.0
    runs: int = 0
    distinct: int = 0
    replays: int = 0
    programs: int = 0
    checked: int = 0
    limit_runs: int = 0
    features: int = 0
    kept: int = 0
    swept: int = 0
    unswept: int = 0
    states: int = 0
    last_new: float = 0.0
    late: int = 0                                                       # shards that the time ended
    ended_by: str = ""                                                  # see Campaign._ended_by
    lost: int = 0
    given_up: int = 0                                                   # lost shards that were not run again
    tallies: dict[str, Tally] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)
    left_open: Counter[str] = field(default_factory=Counter)            # what was not judged -> the runs that had it
    first_run: dict[str, int] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    known: dict[str, pathlib.Path] = field(default_factory=dict)       # title -> the entry that expects it
    unshrunk: list[str] = field(default_factory=list)                   # new titles whose shrinking was cut short
    raw: dict[str, pathlib.Path | None] = field(default_factory=dict)   # title that was not confirmed -> its hit file
    unkept: list[str] = field(default_factory=list)                     # new titles whose entries could not be written
    unread: list[str] = field(default_factory=list)                     # an error for each file of the corpus that is not an entry
    errors: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        """The time since the start of the campaign, in seconds."""
        return time.monotonic() - self.started

    @property
    def whole(self) -> bool:
        """True if no shard was given up, every hit was confirmed and kept, every entry of the corpus was read, and vmrace had no error."""
        return not (self.given_up or self.raw or self.unkept or self.unread or self.errors)


def known_titles(options: Options) -> tuple[dict[str, pathlib.Path], list[EntryError]]:
    """Map each title that an entry of the corpus expects on this variant to the first such entry. Also returns an error for each file
    of the corpus that is not an entry."""
    known: dict[str, pathlib.Path] = {}
    loaded, bad = load_all(options.corpus) if options.corpus.is_dir() else ([], [])
    for kept in loaded:
        expected = kept.expect.get(options.variant) if kept.family == options.family else None
        if kept.path is not None and expected is not None and expected.title and (
                identity(f"{options.family}/{options.variant}", expected.title) == identity(kept.found_on, kept.title)):
            known.setdefault(expected.title, kept.path)
    return known, bad
