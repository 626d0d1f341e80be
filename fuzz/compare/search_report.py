# SPDX-License-Identifier: MIT
"""The report of a differential search: each difference as it is found, a line of progress, the table of inclusions, and the totals."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from vmrace.fuzz.compare.found import Decided, Reaches
from vmrace.fuzz.compare.report import Labels, program_text, wrapped
from vmrace.fuzz.compare.search import Search
from vmrace.fuzz.compare.totals import Pair, Row, Totals
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING
from vmrace.fuzz.text.terminal import LINE_EVERY, clock
from vmrace.fuzz.text.wording import count

FIRST_SECONDS = 3.0             # until the first line of progress


def exit_code(search: Search, interrupted: bool) -> int:
    """Return the exit code: 130 interrupted, 1 a difference, 3 inconclusive or something was lost, 4 nothing was compared, else 0."""
    totals = search.totals
    if interrupted:
        return INTERRUPTED
    if totals.kept:
        return CHANGED
    if search.failed or totals.errors or totals.open:
        return COULD_NOT
    return 0 if totals.programs or totals.hunts else NOTHING


class SearchText:
    """The view of a search for people. `names` are those of the variants, `echo` prints a line."""

    def __init__(self, names: Sequence[str], echo: Callable[[str], None]):
        self.names, self.echo = list(names), echo
        self.last = time.monotonic() - LINE_EVERY + FIRST_SECONDS

    def begin(self, search: Search, operations: int, path: pathlib.Path) -> None:
        """Print the variants and the extent of the search."""
        options = search.options
        for line in [*wrapped(", ".join(self.names), "  ", "search: "),
                     f"  seed {options.seed}, {count(options.workers, 'worker')}, {count(operations, 'common operation')}; "
                     f"{count(len(search.setting.stream.forms), 'program')} of at most 2, then random ones",
                     f"  state in {path}" + (f"; {count(search.before, 'result')} done before" if search.before else "")]:
            self.echo(line)

    def found(self, search: Search, number: int, one: Decided, path: pathlib.Path | None) -> None:
        """Print a difference that is kept."""
        for line in ["", *difference_lines(number, one, self.names, search, path)]:
            self.echo(line)

    def tick(self, search: Search) -> None:
        """Print a line of progress, if it is time for one."""
        if time.monotonic() - self.last < LINE_EVERY:
            return
        self.last = time.monotonic()
        waits = "; looking into one" if search.wanted is not None else ""
        self.echo(f"  {clock(search.seconds)}   {extent(search.totals)}   {count(len(search.totals.kept), 'difference')}{waits}")

    def end(self, search: Search, code: int) -> None:
        """Print the table of inclusions and the totals."""
        for line in [*inclusion_lines(search.totals, self.names), *open_lines(search.totals, self.names), *_lost_lines(search)]:
            self.echo(line)
        if code == INTERRUPTED or search.wanted is not None:
            found = "; one more difference was seen, and is not confirmed yet" if search.wanted is not None else ""
            self.echo(f"vmrace: {'interrupted' if code == INTERRUPTED else 'stopped'}{found}; the same command continues from "
                      f"{search.state.file.path}")
        for line in [*wrapped(conclusion(search.totals), "  "), f"searched for {search.seconds:.1f} s   (exit {code})"]:
            self.echo(line)


def extent(totals: Totals) -> str:
    """Write the number of programs and of runs so far."""
    return (f"{count(totals.programs, 'program')}: {totals.exhausted:,} exhausted, {totals.sampled:,} sampled; "
            f"{count(totals.hunts, 'hunt')}; {count(totals.runs, 'run')}")


def conclusion(totals: Totals) -> str:
    """Write the conclusion, with the programs and runs that it rests on."""
    kinds = sum(bool(row.kept) for row in totals.rows.values())
    if totals.kept:
        text = f"{count(len(totals.kept), 'difference')} of {count(kinds, 'kind')}"
    else:
        text = "no difference for certain" if totals.open else "no difference"
    more = f"; inconclusive: {count(len(totals.open), 'kind')} seen on one side only" if totals.open else ""
    return f"{text} in {extent(totals)}{more}"


def _of(names: Sequence[str], numbers: Sequence[int]) -> str:
    return ", ".join(names[number] for number in numbers)


def difference_lines(number: int, one: Decided, names: Sequence[str], search: Search, path: pathlib.Path | None) -> list[str]:
    """Write a difference: its kind, the variants that can and cannot, its smallest program and its witness."""
    assert one.program is not None
    out = wrapped(f"{one.kind}", " " * 6, f"DIFFERENCE {number}   ")
    out.append(f"  found after {count(search.totals.runs, 'run')}, {search.seconds:.1f} s")
    sides = {side.variant: side for side in one.sides}
    for variant in one.can:
        out += wrapped(f"{names[variant]}: {_share(sides[variant])}", " " * 11, "  can      ")
    for variant in one.cannot:
        out += wrapped(f"{names[variant]}: in none of all {count(sides[variant].schedules, 'class of schedules')}", " " * 11, "  cannot   ")
    for variant in one.not_seen:
        out += wrapped(f"{names[variant]}: in none of {count(sides[variant].schedules, 'schedule')}, not all", " " * 11, "  not seen ")
    if one.outcome != one.kind.text:
        out += wrapped(one.outcome, " " * 11, "  outcome  ")
    out += wrapped(program_text(one.program), " " * 11, "  program  ")
    least = "" if one.least else "at most "
    if one.schedule:
        out.append(f"  witness on {names[one.on]}, {least}{count(one.preemptions, 'preemption')}:")
        out += [f"     {line}" for line in one.schedule]
    else:
        out.append(f"  witness on {names[one.on]}: the setup alone")
    out += [line for variant, end in one.elsewhere for line in wrapped(f"on {names[variant]}: {end}", " " * 7, "  the same ")]
    if path is not None:
        out += [f"  wrote {path}", f"  next: vmrace show {path}"]
    return out


def _share(side: Reaches) -> str:
    if not side.count:
        return "in the setup alone"
    return f"in {side.count:,} of {'all ' * side.every}{count(side.schedules, 'class of schedules' if side.every else 'schedule')}"


def inclusion_lines(totals: Totals, names: Sequence[str]) -> list[str]:
    """Write a table with a row and a column for each variant: whether the column's variant can do all that the row's does."""
    if not totals.programs:
        return []
    labels = Labels(names)
    out = ["", *labels.legend(), *labels.row("", "what it can do, can these too?", labels.of)]
    for left, name in enumerate(names):
        cells = {other: "." if right == left else inclusion(totals, (left, right)) for right, other in enumerate(names)}
        out += labels.row("", labels.of[name], cells)
    pairs = [(one, other) for one in range(len(names)) for other in range(len(names)) if one != other]
    least = min(totals.exhausted_on[pair] for pair in pairs)
    out += ["", *wrapped("no N #D: in N programs it surely cannot; difference D is the first of them that was kept", "  ", "  "),
            *wrapped(f"yes: in every program that ran all schedules on both ({count(least, 'program')} or more), it can", "  ", "  "),
            ""]
    return out


def inclusion(totals: Totals, pair: Pair) -> str:
    """Write `no 37 #2`: in 37 programs the second variant surely lacks an outcome of the first, and the kept difference 2 shows it."""
    if totals.lacks[pair]:
        witness = totals.witness(pair)
        return f"no {totals.lacks[pair]:,}" + (f" #{witness}" if witness else "")
    return "yes" if totals.exhausted_on[pair] else "?"


def open_lines(totals: Totals, names: Sequence[str]) -> list[str]:
    """Write the kinds that were seen on one side only: no variant surely lacks them."""
    out = []
    for row in totals.open:
        out += wrapped(f"seen only on {_of(names, row.undecided[0].can)}, inconclusive: {row.kind}", "    ", "  ")
    return out


def _lost_lines(search: Search) -> list[str]:
    out = [f"  not done: {line}" for line in search.totals.errors]
    if search.lost:
        out.append(f"  {count(search.lost, 'worker process')} died")
    return out


# ---- JSON --------------------------------------------------------------------------------------------------------------------------

def summary_json(search: Search, names: Sequence[str], interrupted: bool) -> dict[str, Any]:
    """Return the totals as a JSON object. Only `seconds`, `lost_workers` and `interrupted` depend on time."""
    totals = search.totals
    return {"seed": search.options.seed, "variants": list(names), "units": totals.units, "programs": totals.programs,
            "exhausted": totals.exhausted, "sampled": totals.sampled, "not_compared": totals.not_compared, "hunts": totals.hunts,
            "runs": totals.runs, "kinds": [_row_json(row, names) for row in totals.rows.values()],
            "inclusions": [{"of": names[one], "in": names[other], "lacks": totals.lacks[one, other],
                            "exhausted": totals.exhausted_on[one, other], "witness": totals.witness((one, other)) or None}
                           for one in range(len(names)) for other in range(len(names)) if one != other],
            "errors": totals.errors, "failed": search.failed, "lost_workers": search.lost, "interrupted": interrupted,
            "seconds": round(search.seconds, 1)}


def _row_json(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {"part": row.kind.part, "kind": row.kind.text, "programs": row.programs, "kept": len(row.kept), "alike": row.alike,
            "seen_only_on": [[names[number] for number in one.can] for one in row.undecided]}


def difference_json(number: int, one: Decided, names: Sequence[str], path: pathlib.Path | None) -> dict[str, Any]:
    """Return a kept difference as a JSON object."""
    assert one.program is not None
    return {"number": number, "part": one.kind.part, "kind": one.kind.text, "outcome": one.outcome, "unit": one.number,
            "program": program_text(one.program), "can": [names[variant] for variant in one.can],
            "cannot": [names[variant] for variant in one.cannot], "not_seen": [names[variant] for variant in one.not_seen],
            "sides": [{"variant": names[side.variant], "count": side.count, "schedules": side.schedules, "every_schedule": side.every}
                      for side in one.sides],
            "witness": {"on": names[one.on], "preemptions": one.preemptions, "least": one.least, "schedule": one.schedule,
                        "elsewhere": {names[variant]: end for variant, end in one.elsewhere}, "path": str(path) if path else None}}
