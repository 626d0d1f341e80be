# SPDX-License-Identifier: MIT
"""The backends, which carry the stacks of tasks. A backend has `main()`, the caller's own stack, and `stack(body, task)`, a new one.

A stack has one method, `switch()`: it runs this stack, and returns when another stack switches back to the caller. `pool` keeps tasks
with such stacks by their id, for later runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vmrace.harness.backends.greenlets import Greenlets
from vmrace.harness.backends.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmrace.harness.machine.task import Task


class Stack(Protocol):
    """A stack that a task runs on."""

    def switch(self) -> object:
        """Run this stack, until another stack switches back to the caller's."""


class Backend(Protocol):
    """A maker of stacks."""

    @property
    def pool(self) -> dict[int, Task]:
        """The tasks that have stacks, by id."""

    def main(self) -> Stack:
        """Return the stack of the caller."""

    def stack(self, body: Callable[[Task], None], task: Task) -> Stack:
        """Return a new stack, on which `body(task)` runs when a stack switches to it."""


BACKENDS: dict[str, type[Greenlets] | type[Threads]] = {
    "greenlets": Greenlets,
    "threads": Threads,
}
