# SPDX-License-Identifier: MIT
"""The start of libFuzzer, and the check before it.

If anything imports `atheris.core_with_libfuzzer` before `atheris.Fuzz()`, libFuzzer silently runs without the custom mutator, and would
change the bytes of inputs instead of programs. A child process, which is a fork of this one, therefore asks libFuzzer for its help first:
libFuzzer reports there which functions it found.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence

REPORT = b"INFO: found LLVMFuzzerCustomMutator"
CROSSOVER = b"INFO: found LLVMFuzzerCustomCrossOver"

Callback = Callable[[bytes], None]
Mutate = Callable[[bytes, int, int], bytes]
Cross = Callable[[bytes, bytes, int, int], bytes]


class CannotStart(Exception):
    """The error of a machine without Atheris, or of a libFuzzer that does not call our mutator. Its text is one line."""


def fuzz(arguments: Sequence[str], call: Callback, mutate: Mutate, cross: Cross) -> None:
    """Give the process to libFuzzer, which calls `call` for each input. `arguments[0]` is a command of the shell that starts the same
    target again: libFuzzer does so for -merge, -fork, -jobs and -minimize_crash. Returns only with -atheris_runs. CannotStart."""
    check(mutate, cross)
    _give(arguments, call, mutate, cross)


def check(mutate: Mutate = lambda data, size_max, seed: data, cross: Cross = lambda data, other, size_max, seed: data) -> None:
    """Raise CannotStart unless libFuzzer, started from this state of the process, reports the custom mutator."""
    if importlib.util.find_spec("atheris") is None:
        raise CannotStart("Atheris is not installed: pip install 'vmrace[atheris]'")
    import atheris  # noqa: F401     # once, for the child and for this process
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            _ask(output.fileno(), mutate, cross)
        os.waitpid(child, 0)
        output.seek(0)
        text = output.read()
    if REPORT not in text:
        last = text.strip().splitlines()[-1:] or [b"nothing"]
        raise CannotStart("libFuzzer does not report the custom mutator, so it would change bytes instead of programs; is "
                          f"atheris.core_with_libfuzzer imported early? It printed last: {last[0].decode(errors='replace')}")


def _ask(output: int, mutate: Mutate, cross: Cross) -> None:
    """Have libFuzzer print its help into a file, and end this process."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        _give(["vmrace", "-help=1"], lambda data: None, mutate, cross)
    finally:
        os._exit(1)


def _give(arguments: Sequence[str], call: Callback, mutate: Mutate, cross: Cross) -> None:
    import atheris
    sys.stdout.flush()
    atheris.Setup(list(arguments), call, custom_mutator=mutate, custom_crossover=cross)
    atheris.Fuzz()
