# SPDX-License-Identifier: MIT
"""include/asm/bitops.h: a word of flags. Each bit is a location of its own; the whole word can be read and stored too."""

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE


class flags_t:
    """A flags word."""

    __slots__ = ("name", "struct", "word")
    state_slots = ("word",)

    def __init__(self, name: str, word: int = 0, struct: object = None):
        self.name = name
        self.word = word
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def test_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, w, nr)
    return (w.word >> nr) & 1


def set_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w, nr)
    w.word |= 1 << nr


def clear_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w, nr)
    w.word &= ~(1 << nr)


def test_and_set_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old | 1 << nr
    return (old >> nr) & 1


def test_and_clear_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old & ~(1 << nr)
    return (old >> nr) & 1


def test_and_change_bit(nr, w):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old ^ 1 << nr
    return (old >> nr) & 1


def read_word(w):
    """A plain load of the whole word."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, w)
    return w.word


def write_word(w, value):
    """A plain store of the whole word: it can undo what another cpu did to any bit since the load."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w)
    w.word = value


def __set_bit(nr, w):
    write_word(w, read_word(w) | 1 << nr)


def __clear_bit(nr, w):
    write_word(w, read_word(w) & ~(1 << nr))
