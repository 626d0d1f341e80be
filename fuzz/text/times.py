# SPDX-License-Identifier: MIT
"""How long a command may take over the time that it was given."""

GRACE_SECONDS = 30.0            # that whatever hangs is waited for; then it is killed
ASKED_SECONDS = 20.0            # after Ctrl-C, for a process to hand back what it has
SHRINK_SECONDS_MAX = 30.0


def shrink_seconds(seconds: float) -> float:
    """How long a failure may be shrunk, and all of them after a campaign of so many seconds: a tenth of that, from 2 to 30 seconds."""
    return min(max(seconds / 10, 2.0), SHRINK_SECONDS_MAX)
