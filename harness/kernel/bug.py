# SPDX-License-Identifier: MIT
"""include/asm/page.h: the kernel's own checks. `line` is the line in the kernel file the function is from."""

import sys

from vmrace.harness.finding import Kind
from vmrace.harness.machine.machine import m


def _place(frame):
    """The kernel file and function of a BUG; one in a macro (a function with a parameter __LINE__) is its caller's."""
    while "__LINE__" in frame.f_code.co_varnames:
        frame = frame.f_back
    known = m.image.origin.get(frame.f_code)
    return (known.kernel_file, known.function) if known else ("?", "?")


def BUG(line):
    file, function = _place(sys._getframe(1))
    m.report(Kind.BUG.title(f"at {file}:{line} in {function}"), "bug")


def BUG_ON(condition, line):
    if condition:
        file, function = _place(sys._getframe(1))
        m.report(Kind.BUG.title(f"at {file}:{line} in {function}"), "bug")


def WARN_ON(condition, line):
    """Told, not fatal: becomes the finding of a run in which nothing worse follows."""
    if condition:
        file, function = _place(sys._getframe(1))
        m.note(Kind.WARN.title(f"at {file}:{line} in {function}"), "bug")


def printk(text):
    """The kernel complains. A message that no healthy kernel prints is a note, as a warning is."""
    m.note(Kind.PRINTK.title(f"{text.strip()} in {m.where()}"), "bug")
