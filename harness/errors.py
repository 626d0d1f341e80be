# SPDX-License-Identifier: MIT
"""The exceptions of the harness. None of them is a finding: a finding is something that kernel source or a program does wrong."""


class HarnessError(Exception):
    """An error of vmrace itself: please report it. Kernel source cannot cause one."""


class LinkError(Exception):
    """Kernel source that cannot be linked: it has an undefined reference, or breaks the rules for variants."""


class ProgramError(Exception):
    """A program of plain functions that cannot be run, with the reason in one line."""


class Diverged(Exception):
    """A schedule that this run cannot follow: `step` is the point at which it fails, `why` the reason in one line."""

    def __init__(self, step: int, why: str):
        super().__init__(step, why)
        self.step = step
        self.why = why

    def __str__(self) -> str:
        return f"DIVERGED step {self.step}: {self.why}"


class Abort(BaseException):
    """The exception that unwinds the stack of a task when a run ends early. It never leaves the machine."""
