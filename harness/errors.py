# SPDX-License-Identifier: MIT
"""Errors that are ours, told apart from what kernel source does wrong."""


class HarnessError(Exception):
    """vmrace itself is at fault: please report it. Never raised for something a kernel did."""


class LinkError(Exception):
    """Kernel source that cannot be linked: an undefined reference, or source outside the rules for variants."""


class ProgramError(Exception):
    """A program of plain functions that cannot be run: one line that says why."""


class Diverged(Exception):
    """A schedule names a decision that cannot be taken here. `step` is the point, `why` one line."""

    def __init__(self, step: int, why: str):
        super().__init__(step, why)
        self.step = step
        self.why = why

    def __str__(self) -> str:
        return f"DIVERGED step {self.step}: {self.why}"


class Abort(BaseException):
    """Unwinds a kernel stack when a run ends early. Never seen outside the machine."""
