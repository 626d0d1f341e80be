# SPDX-License-Identifier: MIT
"""The time limits, in seconds, by which a command may overrun the time that the user gave it."""

GRACE_SECONDS = 30.0            # a worker that hangs is killed so long after its time is up
ASKED_SECONDS = 20.0            # after Ctrl-C, a worker has so long to return its results
SHRINK_SECONDS_MAX = 30.0


def shrink_seconds(seconds: float) -> float:
    """Return the time limit for shrinking one failure, or all failures of a campaign of `seconds`: a tenth, from 2 to 30 seconds."""
    return min(max(seconds / 10, 2.0), SHRINK_SECONDS_MAX)
