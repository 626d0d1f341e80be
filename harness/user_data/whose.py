# SPDX-License-Identifier: MIT
"""The owner of a module or a type: the user, Python, an installed library, or the harness. And the names that code mentions."""

from __future__ import annotations

import dis
import sys
import types
from typing import Any


def function_name(function: Any) -> str:
    """Return the name of the function of a task or a handler."""
    function = getattr(function, "func", function)          # the function of a partial
    return getattr(function, "__name__", type(function).__name__).strip("<>")


def is_users(module: str | None) -> bool:
    """True if the module belongs neither to the harness nor to Python itself."""
    return (module or "").partition(".")[0] not in _OURS


_OURS = {*sys.stdlib_module_names, "vmrace", "greenlet"} - {"__main__"}


def is_followed(module: types.ModuleType) -> bool:
    """True if the module is the user's own. An installed library is not: it is too large, and rarely changes its variables."""
    return is_users(module.__name__) and "site-packages" not in (getattr(module, "__file__", None) or "")


class Mentioned:
    """The names that code and the code objects inside it mention; `stored` and `set_attributes` are those that it stores to."""

    def __init__(self, code: types.CodeType):
        self.globals: set[str] = set()
        self.stored: set[str] = set()
        self.attributes: set[str] = set()
        self.set_attributes: set[str] = set()
        self._read(code)

    def _read(self, code: types.CodeType) -> None:
        for instruction in dis.get_instructions(code):
            operation, name = instruction.opname, instruction.argval
            if operation.endswith("_GLOBAL"):
                self.globals.add(name)
            if operation in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF"):
                self.stored.add(name)
            if operation in ("LOAD_ATTR", "LOAD_METHOD"):
                self.attributes.add(name)
            if operation in ("STORE_ATTR", "DELETE_ATTR"):
                self.attributes.add(name)
                self.set_attributes.add(name)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._read(constant)


_FOREIGN = {"threading", "_thread", "queue", "_queue", "multiprocessing", "_multiprocessing", "asyncio", "_asyncio", "concurrent"}


def _is_of_foreign(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _FOREIGN


def is_foreign(kind: type) -> bool:
    """True if an object of this type is a thread, or waits for threads."""
    return any(_is_of_foreign(base.__module__) for base in kind.__mro__)


def is_maker(value: Any) -> bool:
    """True if `value` is a module, a class or a function that makes such objects."""
    if isinstance(value, types.ModuleType):
        return _is_of_foreign(value.__name__)
    if isinstance(value, type):
        return is_foreign(value) and not issubclass(value, BaseException)
    return (isinstance(value, types.BuiltinFunctionType | types.FunctionType) and _is_of_foreign(value.__module__)
            and value.__name__ in ("allocate_lock", "RLock", "start_new_thread"))
