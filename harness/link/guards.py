# SPDX-License-Identifier: MIT
"""The objects that the guards of fields and lists name, found once all objects are made.

A guard names a global of an image; in a program of plain functions it names a lock by the lock's own name.
"""

from __future__ import annotations

import operator
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vmrace.harness.errors import ProgramError
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.registry import Core, KernelObject
from vmrace.harness.kernel.struct import array, guard_test, struct

if TYPE_CHECKING:
    from vmrace.harness.sanitizers.lockset import Holder


def bind_list_guards(core: Core, names: dict[str, Any]) -> None:
    """Set `holds` of every list head to the test of its guard. `names`: the globals of the image, or what `names_of` returns."""
    for made in core.created:
        if isinstance(made, list_head) and made.is_head:
            guards = (made.guard,) if made.guard else ()
            if core.name == "functions":
                made.holds = holds_of(guards, made.struct, names)
            else:
                made.holds = _holds(guard_test(guards, core.name != "checked"), made.struct, names)


def holds_of(guards: tuple[str, ...], owner: object, names: dict[str, Any]) -> Callable[[Holder], bool]:
    """Return a function of a task that is true if the task holds one of `guards` of `owner`, or if there are no guards.

    It is for programs of plain functions. `names` is what `names_of` returns.
    """
    return _holds(guard_test(guards, True, named="names['{}']"), owner, {"names": names})


def _holds(test: str, owner: object, scope: dict[str, Any]) -> Callable[[Holder], bool]:
    made: dict[str, Any] = {}
    exec(f"def holds(me, self=None):\n    return {test or True}", scope, made)
    return types.FunctionType(made["holds"].__code__, scope, "holds", (owner,))


def names_of(core: Core, program: str) -> dict[str, Any]:
    """Return the objects that the guards in the program named `program` name: locks, words of flags, and numbers of bits.

    Raises ProgramError if a guard names no lock of the program, or a name that several objects have.
    """
    objects = {made.name: made for made in core.created}
    count = Counter(made.name for made in core.created)
    names: dict[str, Any] = {}
    for what, owner, guard in _guards(core.created):
        path, _, bit = guard.partition("#")
        error = f"{program}: {what} is guarded by {guard!r}"
        if path.startswith("."):
            lock = _inner(owner, path[1:])
        else:
            first, _, rest = path.partition(".")
            if path not in objects and rest:
                path, lock = first, _inner(objects.get(first), rest)
            else:
                lock = objects.get(path)
            if count[path] > 1:
                raise ProgramError(f"{error}, and {count[path]} objects have the name {path!r}")
            names[path] = objects.get(path)
        if lock is None or not (isinstance(lock, flags_t) if bit else hasattr(type(lock), "spins")):
            hint = f"; did you mean {'.' + guard!r}, of the struct itself?" if hasattr(owner, guard.partition("#")[0]) else ""
            raise ProgramError(f"{error}, which is no {'word of flags' if bit else 'lock'} of this program{hint}")
        if bit and not bit.isdigit():
            number = getattr(sys.modules.get(type(owner).__module__), bit, None)
            if not isinstance(number, int) or names.get(bit, number) != number:
                raise ProgramError(f"{error}, and {bit!r} is no number of a bit in {type(owner).__module__}")
            names[bit] = number
    return names


def _guards(created: list[KernelObject]) -> Iterator[tuple[str, Any, str]]:
    """Yield each guard of each object: the name of what it guards, the object that it is relative to, the guard."""
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


def _inner(owner: object, path: str) -> Any:
    """Return the object at `path` of `owner`, or None."""
    try:
        return operator.attrgetter(path)(owner)
    except AttributeError:
        return None
