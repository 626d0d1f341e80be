# SPDX-License-Identifier: MIT
"""Clocks, and random numbers of the operating system: a function that reads one is no function of its schedule.

Comparing runs does not find that. A repetition a moment later mostly does the same: a time limit that no run reaches is not reached by
its repetition either. The code is read instead, so a function that names a clock counts even if no run gets there.
"""

from __future__ import annotations

import dis
import re
import sys
import types
from collections.abc import Callable
from typing import Any

_READERS = {        # module or class -> its functions
    "time": {"asctime", "clock_gettime", "clock_gettime_ns", "ctime", "gmtime", "localtime", "monotonic", "monotonic_ns", "perf_counter",
             "perf_counter_ns", "process_time", "process_time_ns", "strftime", "thread_time", "thread_time_ns", "time", "time_ns"},
    "datetime": {"now", "utcnow"}, "date": {"today"},
    "posix": {"getrandom", "times", "urandom"}, "nt": {"times", "urandom"},
    "uuid": {"uuid1", "uuid4"},
    "secrets": {"randbelow", "token_bytes", "token_hex", "token_urlsafe"},
    "random": {"SystemRandom"},
}
_VARIABLE = re.compile("(LOAD|STORE)_(?:GLOBAL|NAME|DEREF|FAST)")      # twice in an instruction that moves two, as of Python 3.13
Load = Callable[[str], Any]         # the value of a variable that a function does not make itself; None if it has none


def name_of(value: Any) -> str:
    """Return the name of a function that reads a clock, as `time.monotonic`, else ""."""
    if draws_from_the_system(value):
        return "random.SystemRandom"
    if not isinstance(value, types.BuiltinFunctionType | types.FunctionType | types.MethodType | type):
        return ""
    owner = getattr(value, "__self__", None)
    if draws_from_the_system(owner):
        return "random.SystemRandom"
    if isinstance(owner, type) and _is(owner, "datetime", "date"):
        named = owner.__name__ if value.__name__ in _READERS["datetime"] | _READERS["date"] else ""
    else:
        module = owner.__name__ if isinstance(owner, types.ModuleType) else str(value.__module__)
        named = module if value.__name__ in _READERS.get(module, ()) else ""
    return f"{named}.{value.__name__}" if named else ""


def draws_from_the_system(value: Any) -> bool:
    """True for a random.SystemRandom, which has no state."""
    return _is(type(value), "random", "SystemRandom")


def _is(kind: type, module: str, name: str) -> bool:
    """True if the class is that of this name, or derived from it. This module imports none of them: no run uses a clock."""
    return any(base.__module__ == module and base.__name__ == name for base in kind.__mro__)


def read_in(code: types.CodeType, load: Load) -> str:
    """Return the first clock that code, or code inside it, reaches through a module or a class, else ""."""
    value = module = None
    own: dict[str, Any] = {}
    for instruction in dis.get_instructions(code):
        operation, name = instruction.opname, instruction.argval
        moves = _VARIABLE.findall(operation)
        if moves:
            for move, variable in zip(moves, name if len(moves) > 1 else (name,), strict=True):
                if move == "STORE":
                    own[variable], value = value, None
                else:
                    value = own[variable] if variable in own else load(variable)
        elif operation == "IMPORT_NAME":
            value = module = sys.modules.get(name)
        elif operation == "IMPORT_FROM":
            value = getattr(module, name, None)
        elif operation in ("LOAD_ATTR", "LOAD_METHOD"):
            value = getattr(value, name, None) if isinstance(value, types.ModuleType | type) else None
        else:
            value = None
        found = name_of(value)
        if found:
            return found
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found = read_in(constant, lambda name: own[name] if name in own else load(name))
            if found:
                return found
    return ""
