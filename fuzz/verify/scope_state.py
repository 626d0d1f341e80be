# SPDX-License-Identifier: MIT
"""The state file of a scope: its results, one line for each program (see fuzz/run/state_file.py)."""

from __future__ import annotations

import pathlib
from dataclasses import asdict
from typing import Any

import msgspec
from vmrace.fuzz.programs.enumerate import Scope
from vmrace.fuzz.run.code_hash import code_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.state_file import Damaged, StateFile, decoded, with_key
from vmrace.fuzz.verify.scope_result import Result
from vmrace.variants.family import Family

FORMAT = 4                  # of a state file; 1 had no checksums, 2 had sentences for reasons, 3 had other names for size and operations


def header(family: Family, variant: str, scope: Scope) -> dict[str, Any]:
    """Identify a proof: hashes of the linked kernel and of the code that explores and judges, the scope, and a key over all these."""
    image = Executor(family, variant, checked=True).image(scope.cpus).digest
    fields = asdict(scope) | {"operations": sorted(scope.operations)}
    head = {"scope_proof": FORMAT, "variant": f"{family.name}/{variant}", "scope": fields, "image": image, "vmrace": code_hash(family)}
    return with_key(head)


class State:
    """The results so far, in memory and in a state file. `results` maps a program's number to its result."""

    def __init__(self, path: pathlib.Path, head: dict[str, Any]):
        self.results: dict[int, Result] = {}
        self.file = StateFile(path, head, result_of, self._take)

    @property
    def path(self) -> pathlib.Path:
        return self.file.path

    @property
    def damaged(self) -> list[str]:
        """An error for each line of the file that was damaged."""
        return self.file.damaged

    def _take(self, result: Result) -> None:
        self.results[result.number] = result

    def add(self, result: Result) -> None:
        """Add a result, in memory and in the file. Raises Unwritable."""
        wrong = result.wrong()
        assert not wrong, f"{result.program}: {wrong}"
        self.results[result.number] = result
        self.file.append(result)

    def close(self) -> None:
        """Close and unlock the file."""
        self.file.close()


def result_of(line: bytes, key: str) -> Result:
    """Read a line of a state file. Raises Damaged if it was changed, or has the key of another proof."""
    result = decoded(line, key, READER)
    if wrong := result.wrong():
        raise Damaged(f"not a result: {wrong}")
    return result


READER = msgspec.json.Decoder(Result)
