# SPDX-License-Identifier: MIT
"""The first run in which a title was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmrace.variants.program import Program

REPLAYS = 20            # replays that must all fail before a failure is reported as confirmed


@dataclass
class Hit:
    """A title seen for the first time, with the program and the decisions of the run.

    `run` is its number, `scheduler` the name of its kind of schedule. `seconds` is the time of the run: in a worker of time.monotonic,
    in the driver since the start of the campaign. `composed`: if the program was composed of others, why, a line for each.
    """

    title: str
    program: Program
    switches: list[int]
    forced: list[int]
    run: int
    scheduler: str
    seconds: float
    composed: list[str] = field(default_factory=list)
