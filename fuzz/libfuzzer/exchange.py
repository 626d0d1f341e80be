# SPDX-License-Identifier: MIT
"""A directory of inputs, which libFuzzer calls a corpus: campaigns of either engine read and write it, and so does libFuzzer itself."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable

from vmrace.fuzz.corpus.entry import EntryError
from vmrace.fuzz.libfuzzer.inputs import Input, decode, encode
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text import writing
from vmrace.variants.family import family
from vmrace.variants.program import Program

SIZE_MAX = 1 << 20          # bytes of a file; larger ones are no inputs, and are left out


def read(directory: pathlib.Path, family_name: str, variant: str) -> list[Program]:
    """Return the different programs of the inputs in a directory, of operations that the variant has. None if there is no directory.

    EntryError if it cannot be read.
    """
    if not directory.exists():
        return []
    operations = Executor(family(family_name), variant).operations()
    try:
        files = sorted(path for path in directory.iterdir() if path.is_file() and path.stat().st_size <= SIZE_MAX)
        programs = [decode(path.read_bytes(), operations).program for path in files if not path.name.endswith(writing.PARTIAL)]
    except OSError as error:
        raise EntryError(f"{error.filename or directory}: cannot be read: {writing.why(error)}") from None
    return list(dict.fromkeys(programs))


def write(directory: pathlib.Path, programs: Iterable[Program]) -> None:
    """Add programs to a directory, under the names that libFuzzer gives its inputs. EntryError if that fails."""
    for program in programs:
        text = encode(Input(program))
        path = directory / hashlib.sha1(text, usedforsecurity=False).hexdigest()
        try:
            if not path.exists():
                writing.write(path, text.decode())
        except OSError as error:
            raise EntryError(f"{path}: cannot be written: {writing.why(error)}") from None
