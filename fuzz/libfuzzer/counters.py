# SPDX-License-Identifier: MIT
"""Counters for libFuzzer: our own buffers of bytes, registered as it registers those of a C compiler.

libFuzzer sets the bytes to 0 before each input, and reads them after it. A byte costs it a nanosecond an input, an instrumented branch of
Python code more than ten times the time of the branch: our features say as much, so the code is not instrumented.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

WORD = ctypes.sizeof(ctypes.c_size_t)
_registered: list[Any] = []         # libFuzzer keeps pointers into these


def register(buffers: Iterable[bytearray]) -> None:
    """Register buffers. Only the target itself may call this, in its first call: it imports the part of Atheris that is libFuzzer, and
    before `Fuzz()` that import would disable the custom mutator without a word (see start.py)."""
    import atheris.core_with_libfuzzer as core
    library = ctypes.CDLL(core.__file__)
    for buffer in buffers:
        if not buffer:
            continue
        counters = (ctypes.c_uint8 * len(buffer)).from_buffer(buffer)
        start = ctypes.addressof(counters)
        table = (ctypes.c_size_t * (2 * len(buffer)))()         # for each counter a place in the code, which is its own address, and flags
        for number in range(len(buffer)):
            table[2 * number] = start + number
        place = ctypes.addressof(table)
        library.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(start), ctypes.c_void_p(start + len(buffer)))
        library.__sanitizer_cov_pcs_init(ctypes.c_void_p(place), ctypes.c_void_p(place + 2 * WORD * len(buffer)))
        _registered.extend((counters, table))
