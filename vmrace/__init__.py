# SPDX-License-Identifier: MIT
"""Find, shrink, keep and explain races: in historical Linux VM patches, and in any functions put behind the machine.

What a program of plain functions needs is here, by the kernel's names: `from vmrace import Program, cell, fuzz, verify`. The rooms are
`vmrace.harness` (the machine and its watchers), `vmrace.variants` (the kernel code) and `vmrace.fuzz` (campaigns, corpus, commands);
each is a folder of that name at the top of the repository.
"""

import importlib
import pathlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmrace.fuzz.functions.sample import fuzz as fuzz
    from vmrace.harness.functions.program import Program as Program
    from vmrace.harness.functions.verify import verify as verify
    from vmrace.harness.kernel import *  # noqa: F403
    from vmrace.harness.kernel.cell import cell as cell

_CLONE = pathlib.Path(__file__).parents[1]
if (_CLONE / "pyproject.toml").is_file() and (_CLONE / "harness").is_dir():     # a clone that is not installed
    __path__.append(str(_CLONE))    # noqa: F405

_PLACES = {"Program": "vmrace.harness.functions.program", "verify": "vmrace.harness.functions.verify",
           "cell": "vmrace.harness.kernel.cell"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command starts quickly."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in ("fuzz", "harness", "variants"):
        return importlib.import_module(f"vmrace.{name}")        # `fuzz` can be called: see there
    return getattr(importlib.import_module(_PLACES.get(name, "vmrace.harness.kernel")), name)
