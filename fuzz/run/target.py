# SPDX-License-Identifier: MIT
"""MODULE:FUNCTION, the name of a program of plain functions on the command line and in files of data.

FUNCTION has to be a plain function that MODULE itself defines. A name that MODULE imports, a builtin, a class and a callable object are
refused. Modules of Python's own library are refused before any module is imported: `os:system` and `shutil:rmtree` make no program.
Arguments are literals of Python, or plain text.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

from vmrace.fuzz.run.search_path import current_folder_last
from vmrace.harness.errors import ProgramError
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.program import error_line as told_error

NAME = r"[^\W\d]\w*"
TARGET = re.compile(rf"(?P<module>{NAME}(?:\.{NAME})*):(?P<function>{NAME})?")
FUNCTION = "make"           # if none is named


class TargetError(Exception):
    """The error that there is no such program; its message is one line."""


class NoSuch(TargetError):
    """The error that a module or a function does not exist, or can make no program."""


def split(target: str) -> tuple[str, str]:
    """Return the module and the function. NoSuch if `target` is not MODULE:FUNCTION, or names a module of Python's own library."""
    found = TARGET.fullmatch(target)
    if found is None:
        module = target.partition(":")[0]
        raise NoSuch(f"no module {module!r} here: a module is named like package.module, and a function like package.module:make")
    top = found["module"].partition(".")[0]
    if top in sys.stdlib_module_names:
        here = next((path for path in (pathlib.Path(f"{top}.py"), pathlib.Path(top)) if path.exists()), None)
        hint = f"; {here} here has the same name and is never found: rename it" if here is not None else ""
        raise NoSuch(f"{target}: {top} is of Python's own library, which makes no program{hint}")
    return found["module"], found["function"] or FUNCTION


def runner_of(target: str, args: tuple[str, ...]) -> Runner:
    """Call the function with these arguments, and return a runner of the program that it makes. TargetError if it makes none."""
    split(target)
    try:
        with watchdog.watched():
            return Runner(function_named(target), *map(literal, args))
    except (ProgramError, TargetError) as error:
        raise error if isinstance(error, TargetError) else TargetError(str(error)) from None
    except (Exception, SystemExit) as error:
        raise _refusal(target, error) from None


def function_named(target: str) -> Callable[..., Program]:
    """Import the module and return its function. NoSuch if that is not a plain function, or is defined elsewhere."""
    module, name = split(target)
    current_folder_last()
    made: Any = vars(importlib.import_module(module)).get(name)
    if made is None:
        raise NoSuch(f"{module} has no function {name!r}")
    if not isinstance(made, types.FunctionType):
        raise NoSuch(f"{module} has no function {name!r}: that is {type(made).__name__}")
    if made.__module__ != module:
        raise NoSuch(f"{module} has no function {name!r} of its own: it is imported from {made.__module__}")
    return made


def literal(text: str) -> Any:
    """Return an argument: the value of a literal of Python, or else the text itself. Nothing is ever called."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def is_module(name: str) -> bool:
    """True if there is a module of that dotted name. Neither it nor its packages are imported."""
    top, *rest = name.split(".")
    if re.fullmatch(NAME, top) is None:
        return False
    current_folder_last()
    try:
        spec = importlib.util.find_spec(top)
        for number, _ in enumerate(rest, 1):
            if spec is None or spec.submodule_search_locations is None:
                return False
            spec = PathFinder.find_spec(".".join((top, *rest[:number])), list(spec.submodule_search_locations))
    except (ImportError, ValueError):       # something else has that name
        return False
    return spec is not None


def _refusal(target: str, error: BaseException) -> TargetError:
    """Say why there is no program, and at which place of the user's source."""
    module, _ = split(target)
    sites = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(("<", *_OURS))]
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return NoSuch(f"no module {module!r} here: {error}")
    if isinstance(error, SyntaxError):
        return TargetError(f"{target}: SyntaxError: {error.msg} ({error.filename}:{error.lineno})")
    users = [frame for frame in sites if "importlib" not in frame.filename]
    return TargetError(f"{target}: {told_error(error)}" + (f" ({users[-1].filename}:{users[-1].lineno})" if users else ""))


_OURS = tuple(str(pathlib.Path(__file__).resolve().parents[2] / room) for room in ("harness", "fuzz"))
