# SPDX-License-Identifier: MIT
"""include/asm/page.h: the kernel's own checks.

`line` is the line of the check in the historical kernel file. The title of a finding quotes it, and not the line of our source.
"""

from __future__ import annotations

import sys
from types import FrameType

from vmrace.harness.finding import Kind
from vmrace.harness.machine.machine import m

NAME = "bug"


def _place(frame: FrameType) -> tuple[str, str]:
    """Return the kernel file and the function of a check; ("?", "?") if no image has linked that code.

    A macro is a function with a parameter `__LINE__`. A check in a macro belongs to the caller of the macro.
    """
    while "__LINE__" in frame.f_code.co_varnames:
        caller = frame.f_back
        assert caller is not None, frame.f_code.co_name
        frame = caller
    known = m.image.origin.get(frame.f_code)
    return (known.kernel_file, known.function) if known else ("?", "?")


def BUG(line: int) -> None:
    file, function = _place(sys._getframe(1))
    m.report(Kind.BUG.title(f"at {file}:{line} in {function}"), NAME)


def BUG_ON(condition: object, line: int) -> None:
    if condition:
        file, function = _place(sys._getframe(1))
        m.report(Kind.BUG.title(f"at {file}:{line} in {function}"), NAME)


def WARN_ON(condition: object, line: int) -> None:
    """Note a warning. It does not end the run, and becomes its finding if nothing worse follows."""
    if condition:
        file, function = _place(sys._getframe(1))
        m.note(Kind.WARN.title(f"at {file}:{line} in {function}"), NAME)


def printk(text: str) -> None:
    """Note a complaint of the kernel, as WARN_ON does. A variant calls it only for messages that a healthy kernel never prints."""
    m.note(Kind.PRINTK.title(f"{text.strip()} in {m.where()}"), NAME)
