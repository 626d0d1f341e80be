# SPDX-License-Identifier: MIT
"""include/asm/bitops.h: a word of flags. Each bit is a location of its own; the whole word can be loaded and stored, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct


class flags_t:
    """A word of flags. `struct` is the struct that embeds it, if any."""

    __slots__ = ("name", "struct", "word")
    state_slots = ("word",)

    def __init__(self, name: str, word: int = 0, struct: Struct | None = None):
        self.name = name
        self.word = word
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def test_bit(nr: int, w: flags_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, w, nr)
    return (w.word >> nr) & 1


def set_bit(nr: int, w: flags_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w, nr)
    w.word |= 1 << nr


def clear_bit(nr: int, w: flags_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w, nr)
    w.word &= ~(1 << nr)


def test_and_set_bit(nr: int, w: flags_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old | 1 << nr
    return (old >> nr) & 1


def test_and_clear_bit(nr: int, w: flags_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old & ~(1 << nr)
    return (old >> nr) & 1


def test_and_change_bit(nr: int, w: flags_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, w, nr)
    old = w.word
    w.word = old ^ 1 << nr
    return (old >> nr) & 1


def read_word(w: flags_t) -> int:
    """Load the whole word: a plain access."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, w)
    return w.word


def write_word(w: flags_t, value: int) -> None:
    """Store the whole word: a plain access. It can undo what another cpu did to any bit since this cpu loaded the word."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, w)
    w.word = value


def __set_bit(nr: int, w: flags_t) -> None:
    write_word(w, read_word(w) | 1 << nr)


def __clear_bit(nr: int, w: flags_t) -> None:
    write_word(w, read_word(w) & ~(1 << nr))
