# SPDX-License-Identifier: MIT
"""Find, shrink, keep and explain races, in historical Linux VM patches and in plain Python functions that run on the same machine.

A program of plain functions imports its names from here: `from vmrace import Program, cell, fuzz, verify`, and the kernel toolkit by the
kernel's names. The rooms are `vmrace.harness` (the machine and its watchers), `vmrace.variants` (the kernel code) and `vmrace.fuzz`
(campaigns, corpus, commands); each is a folder of that name at the top of the repository.
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
if (_CLONE / "pyproject.toml").is_file() and (_CLONE / "harness").is_dir():     # in a clone, the rooms are beside this folder
    __path__.append(str(_CLONE))    # noqa: F405

_PLACES = {"Program": "vmrace.harness.functions.program", "verify": "vmrace.harness.functions.verify",
           "cell": "vmrace.harness.kernel.cell"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that the command starts quickly. Raises AttributeError if there is no such name.

    `from vmrace import *` asks for `__all__`: the toolkit, and the names in _PLACES.
    """
    if name == "__all__":
        return [*_PLACES, "fuzz", *importlib.import_module("vmrace.harness.kernel").__all__]
    if name.startswith("_") and (name.endswith("__") or not name.startswith("__")):     # the kernel has names like __set_bit
        raise AttributeError(name)
    if name in ("fuzz", "harness", "variants"):
        return importlib.import_module(f"vmrace.{name}")        # the room `fuzz` can be called: see fuzz/__init__.py
    return getattr(importlib.import_module(_PLACES.get(name, "vmrace.harness.kernel")), name)
