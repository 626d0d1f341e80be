# SPDX-License-Identifier: MIT
"""The replay of a record as text: its verdict, the story of a failure, and the command to type next."""

from __future__ import annotations

import pathlib
import shlex
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.functions import allowed
from vmrace.fuzz.functions.judge import JudgedRun
from vmrace.fuzz.functions.run_file import Record
from vmrace.fuzz.run.target import TargetError
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT


@dataclass
class Replayed:
    """A record that was replayed, and its verdict. `wrote`: the verdict was accepted, and is in the file."""

    path: pathlib.Path
    kept: Record
    judged: JudgedRun
    wrote: bool = False

    @property
    def as_expected(self) -> bool:
        return self.wrote or self.judged.as_expected(self.kept.expected)

    @property
    def code(self) -> int:
        """Its exit code: 0 as expected, 1 not, 3 undecided."""
        return 0 if self.as_expected else CHANGED if self.judged.verdict.decided else COULD_NOT

    def as_json(self, times: int) -> dict[str, Any]:
        kept, judged = self.kept, self.judged
        return {"path": str(self.path), "functions": kept.functions, "args": list(kept.args), "title": kept.title,
                "expected": str(kept.expected), "verdict": str(judged.verdict), "as_expected": self.as_expected, "detail": judged.detail,
                "replays": times, "digest": judged.digest, "story": judged.story}


def lines_of_replay(done: Replayed) -> list[str]:
    """Return the verdict of a record: one line and a detail if it is as expected, else with the story and the command to type next."""
    path, kept, judged = done.path, done.kept, done.judged
    if done.as_expected:
        trace = f", trace {judged.digest}" if judged.digest else ""
        return [f"{path}: {judged.verdict}", f"  {judged.detail}{trace}, {'accepted' if done.wrote else 'as expected'}   (exit 0)"]
    accepted = judged.accepted
    if judged.verdict.word in (Word.LOST, Word.DIVERGED):
        out = [f"{path}: {judged.detail}   (exit {done.code})"]
        if accepted is not None:
            out.append(f"  if you fixed the race:         {accept_command(path, kept, accepted.word.value)}")
        if judged.verdict.word is Word.DIVERGED or judged.elsewhere:
            out.append(f"  if a point has another name:   vmrace fuzz {_again(kept)}")
        return out
    out = [f"{path}: {judged.verdict}", f"  {judged.detail}, and expected is {kept.expected}   (exit {done.code})"]
    if judged.story:
        out += ["", *judged.story, ""]
    if accepted is not None:
        out.append(f"  if that is right: {accept_command(path, kept, accepted.word.value)}")
    return out


def accept_command(path: pathlib.Path, kept: Record, word: str) -> str:
    """Return the command that accepts a verdict with that word. It leaves out a function that the project allows."""
    try:
        names = [] if allowed.by_project(path, kept.functions) else [kept.functions]
    except TargetError:
        names = [kept.functions]
    return shlex.join(["vmrace", "corpus", "accept", str(path), *names, "--verdict", word])


def _again(kept: Record) -> str:
    return " ".join([kept.functions, *(f"--arg {shlex.quote(arg)}" for arg in kept.args)])
