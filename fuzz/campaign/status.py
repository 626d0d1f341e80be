# SPDX-License-Identifier: MIT
"""The state of a campaign, which the driver keeps and a view reads."""

from __future__ import annotations

import pathlib
import time
from collections import Counter
from dataclasses import dataclass, field

from vmrace.fuzz.sampling.portfolio import Tally


@dataclass
class Status:
    """The state of a campaign: its counts, its titles, and everything that was lost.

    `started` and `last_new` are times, in seconds of time.monotonic and since `started`. `kept` counts the kept programs.
    """

    started: float = 0.0
    runs: int = 0
    distinct: int = 0
    programs: int = 0
    checked: int = 0
    limit_runs: int = 0
    features: int = 0
    blocks: int = 0
    kept: int = 0
    last_new: float = 0.0
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
