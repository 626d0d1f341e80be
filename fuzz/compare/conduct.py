# SPDX-License-Identifier: MIT
"""A differential search from its options to its exit code."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Sequence

from vmrace.fuzz.compare.decide import RUNS_EACH, Setting
from vmrace.fuzz.compare.found import Decided
from vmrace.fuzz.compare.outcomes import contenders
from vmrace.fuzz.compare.search import Search, SearchOptions
from vmrace.fuzz.compare.search_report import SearchText, difference_json, exit_code, summary_json
from vmrace.fuzz.compare.search_state import SearchState, header
from vmrace.fuzz.compare.stream import Stream
from vmrace.fuzz.run.state_file import default_state
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.terminal import working
from vmrace.harness import stop
from vmrace.variants.family import Family

Said = Callable[[str], None]


class NothingInCommon(Exception):
    """The error of variants that have no operation in common. Its text is one line."""


class Quiet:
    """The view of a search that prints nothing before its end."""

    def found(self, search: Search, number: int, one: Decided, path: pathlib.Path | None) -> None:
        pass

    def tick(self, search: Search) -> None:
        pass


def search(chosen: Sequence[tuple[Family, str]], options: SearchOptions, state: pathlib.Path | None, counts: bool, runs_each: int | None,
           as_json: bool, echo: Said, complain: Said) -> int:
    """Search for programs that tell the variants apart, and print the report. Returns the exit code.

    `state` is the state file, None for one in .vmrace/. Raises StateError if it cannot be used, NothingInCommon.
    """
    made = contenders(chosen, counts)
    names = [one.name for one in made]
    common = set.intersection(*(set(one.executor.operations()) for one in made))
    operations = [name for name in made[0].executor.operations() if name in common]
    if not operations:
        raise NothingInCommon(f"{' and '.join(names)} have no operation in common")
    with working() as say:
        say("  listing the programs")
        setting = Setting(chosen, Stream(operations, len(chosen), options.seed), counts, runs_each or RUNS_EACH)
        stop.look()
    head = header(chosen, options.seed, counts, setting.runs_each)
    with contextlib.closing(SearchState(state or default_state("diff", head["key"]), head)) as kept:
        for line in kept.file.damaged:
            complain(f"vmrace: {line}")
        text = SearchText(names, echo)
        one = Search(setting, options, kept, Quiet() if as_json else text)
        if not as_json:
            text.begin(one, len(operations), kept.file.path)
        one.conduct()
        interrupted = stop.asked()
        code = exit_code(one, interrupted)
        if one.failed:
            complain(f"vmrace: {one.failed}")
        if as_json:
            found = [difference_json(number, decided, names, path)
                     for number, (decided, path) in enumerate(zip(one.totals.kept, one.paths, strict=True), 1)]
            echo(document("diff", code, found=found, summary=summary_json(one, names, interrupted)))
        else:
            text.end(one, code)
    return code
