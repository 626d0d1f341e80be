# SPDX-License-Identifier: MIT
"""include/asm/page.h: the kernel's own checks.

`line` is the line of the check in the historical kernel file. The title of a finding quotes it, and not the line of our source. In an
image whose patches move the check, the title has its line in the patched file (`Image.moved`).
"""

from __future__ import annotations

import sys
from types import FrameType

from vmrace.harness.finding import Kind
from vmrace.harness.machine.machine import m

NAME = "bug"


def _place(frame: FrameType, line: int) -> str:
    """Return the place of a check, as titles have it, with a "?" for each unknown part if no image has linked that code.

    A macro is a function with a parameter `__LINE__`. A check in a macro belongs to the caller of the macro.
    """
    while "__LINE__" in frame.f_code.co_varnames:
        caller = frame.f_back
        assert caller is not None, frame.f_code.co_name
        frame = caller
    known = m.image.origin.get(frame.f_code)
    return f"at {known.kernel_file}:{m.image.line_of(known, line)} in {known.function}" if known else f"at ?:{line} in ?"


def BUG(line: int) -> None:
    m.report(Kind.BUG.title(_place(sys._getframe(1), line)), NAME)


def BUG_ON(condition: object, line: int) -> None:
    if condition:
        m.report(Kind.BUG.title(_place(sys._getframe(1), line)), NAME)


def WARN_ON(condition: object, line: int) -> None:
    """Note a warning. It does not end the run, and becomes its finding if nothing worse follows."""
    if condition:
        m.note(Kind.WARN.title(_place(sys._getframe(1), line)), NAME)


def printk(text: str) -> None:
    """Note a complaint of the kernel, as WARN_ON does. A variant calls it only for messages that a healthy kernel never prints."""
    m.note(Kind.PRINTK.title(f"{text.strip()} in {m.where()}"), NAME)
