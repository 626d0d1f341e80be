# SPDX-License-Identifier: MIT
"""A run that failed, as it was found."""

from __future__ import annotations

from dataclasses import dataclass

from vmrace.variants.program import Program

REPLAYS = 20            # times that a failure is run again before it is believed


@dataclass
class Hit:
    """A title seen for the first time: the program and the decisions of the run. `seconds` is when, of time.monotonic in the
    worker, from the start of the campaign in the driver."""

    title: str
    program: Program
    switches: list[int]
    forced: list[int]
    run: int
    scheduler: str
    seconds: float
