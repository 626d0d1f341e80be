# SPDX-License-Identifier: MIT
"""The objects that the guards of fields and lists name, once all objects are made: of an image its globals, of a program of plain
functions the locks by their names.
"""

from __future__ import annotations

import operator
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from vmrace.harness.errors import ProgramError
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.registry import Core
from vmrace.harness.kernel.struct import array, guard_test, struct


def bind_list_guards(core: Core, names: dict[str, Any]) -> None:
    """Give every list head the test of its guard, for the cores that check it."""
    for made in core.created:
        if isinstance(made, list_head) and made.is_head:
            guards = (made.guard,) if made.guard else ()
            if core.name == "functions":
                made.holds = holds_of(guards, made.struct, names)
            else:
                made.holds = _holds(guard_test(guards, core.name != "checked"), made.struct, names)


def holds_of(guards: tuple[str, ...], owner: Any, names: dict[str, Any]) -> Callable[[Any], bool]:
    """The function of a task that says whether it holds one of `guards` of `owner`, in a program of plain functions; True if there is
    none. `names`: as of `names_of`."""
    return _holds(guard_test(guards, True, named="names['{}']"), owner, {"names": names})


def _holds(test: str, owner: Any, scope: dict[str, Any]) -> Callable[[Any], bool]:
    made: dict[str, Any] = {}
    exec(f"def holds(me, self=None):\n    return {test or True}", scope, made)
    return types.FunctionType(made["holds"].__code__, scope, "holds", (owner,))


def names_of(core: Core, program: str) -> dict[str, Any]:
    """The objects that the guards in `program` name: locks, and bits of words. ProgramError if there is no such lock, or if there
    are several of one name."""
    objects = {made.name: made for made in core.created}
    count = Counter(made.name for made in core.created)
    names: dict[str, Any] = {}
    for what, owner, guard in _guards(core.created):
        path, _, bit = guard.partition("#")
        said = f"{program}: {what} is guarded by {guard!r}"
        if path.startswith("."):
            lock = _inner(owner, path[1:])
        else:
            first, _, rest = path.partition(".")
            if path not in objects and rest:
                path, lock = first, _inner(objects.get(first), rest)
            else:
                lock = objects.get(path)
            if count[path] > 1:
                raise ProgramError(f"{said}, and {count[path]} objects have the name {path!r}")
            names[path] = objects.get(path)
        if lock is None or not (isinstance(lock, flags_t) if bit else hasattr(type(lock), "spins")):
            hint = f"; did you mean {'.' + guard!r}, of the struct itself?" if hasattr(owner, guard.partition("#")[0]) else ""
            raise ProgramError(f"{said}, which is no {'word of flags' if bit else 'lock'} of this program{hint}")
        if bit and not bit.isdigit():
            number = getattr(sys.modules.get(type(owner).__module__), bit, None)
            if not isinstance(number, int) or names.get(bit, number) != number:
                raise ProgramError(f"{said}, and {bit!r} is no number of a bit in {type(owner).__module__}")
            names[bit] = number
    return names


def _guards(created: list[Any]) -> Iterator[tuple[str, Any, str]]:
    """Each guard of each object: what it guards, what it is relative to, the guard."""
    for made in created:
        if isinstance(made, list_head) and made.guard:
            yield made.name, made.struct, made.guard
        elif isinstance(made, array):
            for guard in type(made).guards:
                yield made.name, made, guard
        elif isinstance(made, struct):
            for key, field in type(made).fields.items():
                for guard in field.guards:
                    yield f"{made.name}.{key}", made, guard


def _inner(owner: Any, path: str) -> Any:
    try:
        return operator.attrgetter(path)(owner)
    except AttributeError:
        return None
