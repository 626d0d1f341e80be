# SPDX-License-Identifier: MIT
"""The lines and branches of a variant's kernel source that runs reach, and the reasons on file for those they do not reach.

The runs are a replay of the corpus on the variant and then shards of a campaign, in this process. coverage.py's C tracer observes
them: linked code is compiled from the real files, line by line, and the tracer supports greenlets. A test holds that every block marked
by the linker's probes is among the lines that it reports.

Lines and branches are counted inside functions of the variant's own modules (for a variant without any, of the base), except functions
that a later module of the variant defines again. A reason is an item of the list "## Never reached" in the README of the family, of the
form "- `function`, `function`: reason". It holds for all lines of these functions, in all variants. A BUG_ON is one line and no branch.
A line that is only a BUG() needs no reason: a run that reaches it is a finding.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import re
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.measure.coverage_files import CAMPAIGN, REPLAY, write_reports
from vmrace.fuzz.measure.functions_of import CHECK, own_functions
from vmrace.fuzz.text.terminal import COLUMNS as PAGE_WIDTH
from vmrace.fuzz.text.terminal import clock
from vmrace.fuzz.text.wording import count
from vmrace.variants.family import FAMILIES, Family

if TYPE_CHECKING:
    import coverage

SECTION = "## Never reached"
REASON = re.compile(r"- (`\w+`(?:, `\w+`)*): (.+)")
SHARD_SECONDS, SHARD_RUNS = 3.0, 2_000


@dataclass
class Missing:
    """The lines of one function that no run reached, and the reason on file, or an empty text. `reached`: the lines that were reached."""

    function: str
    file: str
    lines: list[int]
    reason: str = ""
    reached: list[int] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The file and its lines, as `file.py:3-5,9`. A range may contain comments and empty lines, and no line that was reached."""
        return f"{self.file}:{ranges(self.lines, self.reached)}"


@dataclass
class Part:
    """The counts of one file: lines and branches inside functions, all of them and those reached."""

    file: str
    lines: int = 0
    lines_reached: int = 0
    branches: int = 0
    branches_reached: int = 0


@dataclass
class Reached:
    """The coverage of one variant, after `runs` runs, with the replays of `entries` entries among them. `wrote`: coverage.py's reports."""

    variant: str
    entries: int
    runs: int
    parts: list[Part] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)

    @property
    def unexplained(self) -> list[Missing]:
        """The functions with lines that were not reached and have no reason on file."""
        return [one for one in self.missing if not one.reason]


# ---- the reasons -------------------------------------------------------------------------------------------------------

def readme(family: Family) -> pathlib.Path:
    """Return the path of a family's README."""
    origin = importlib.import_module(FAMILIES[family.name]).__file__
    assert origin is not None, f"{FAMILIES[family.name]} has no file"
    return pathlib.Path(origin).with_name("README.md")


def reasons(text: str) -> dict[str, str]:
    """Read the reasons of a README: map each function to the reasons that its lines are never reached, joined if there are several."""
    out: dict[str, str] = {}
    section = text.partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    items: list[str] = []
    for line in section.splitlines():
        if line.startswith("- "):
            items.append(line.strip())
        elif items and line.startswith("  ") and line.strip():
            items[-1] += " " + line.strip()
    for found in filter(None, map(REASON.fullmatch, items)):
        for name in re.findall(r"\w+", found[1]):
            out[name] = f"{out[name]} {found[2]}" if name in out else found[2]
    return out


# ---- running -----------------------------------------------------------------------------------------------------------

def reach(family: Family, variant: str, corpus: Sequence[Entry], seconds: float, runs: int, seed: int,
          say: Callable[[str], None] = lambda text: None, into: pathlib.Path | None = None) -> Reached:
    """Replay the entries and run a campaign, for `seconds` or, unless `runs` is 0, at most that many runs. Returns the coverage.

    `say` is called with lines of progress. `into`: a directory for coverage.py's own reports (coverage_files.py). Raises OSError, with the
    name of the file, if one of these cannot be written.
    """
    import coverage
    from vmrace.fuzz.replay.replay import Options
    from vmrace.fuzz.replay.table import Table
    functions = own_functions(family, variant)
    tracer = coverage.Coverage(data_file=None, branch=True, concurrency=["greenlet"], config_file=False,
                               include=[str(path) for path in functions])
    entries = [entry for entry in corpus if entry.family == family.name]
    tracer.start()
    try:
        tracer.switch_context(REPLAY)
        table = Table(entries, Options(only=variant))       # in this process, which is traced
        table.replay(lambda line: say(f"  {family.name}/{variant}: {line.strip()}"))
        tracer.switch_context(CAMPAIGN)
        made = _campaign(family.name, variant, seconds, runs, seed, say)
    finally:
        tracer.stop()
    out = Reached(f"{family.name}/{variant}", len(entries), table.runs + made)
    measured = _measured(tracer)
    explained = reasons(readme(family).read_text()) if readme(family).exists() else {}
    for path, inside in functions.items():
        _file(out, path, inside, measured.get(path.resolve(), {}), explained)
    if into is not None:
        out.wrote = write_reports(tracer, out.variant, functions, into)
    return out


def _campaign(family: str, variant: str, seconds: float, runs: int, seed: int, say: Callable[[str], None]) -> int:
    from vmrace.fuzz.campaign.messages import Lesson, ShardTask
    from vmrace.fuzz.campaign.shard import run_shard
    made = number = 0
    lesson = Lesson()
    started = time.monotonic()
    while (not runs or made < runs) and time.monotonic() - started < seconds:
        some = min(SHARD_RUNS, runs - made) if runs else SHARD_RUNS
        limit = min(SHARD_SECONDS, seconds - (time.monotonic() - started)) if not runs else seconds
        result = run_shard(ShardTask(family, variant, seed, number, some, max(0.2, limit), lesson=lesson))
        lesson = Lesson(number, None, [result.learnt])
        made += result.runs
        number += 1
        of = f"of {count(runs, 'run')}" if runs else f"runs, {clock(time.monotonic() - started)} of {clock(seconds)}"
        say(f"  {family}/{variant}: campaign: {made:,} {of}")
    return made


def _measured(tracer: coverage.Coverage) -> dict[pathlib.Path, dict[str, Any]]:
    """Map each file to coverage.py's report on it."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "coverage.json"
        tracer.json_report(outfile=str(report), ignore_errors=False)
        files = json.loads(report.read_text())["files"]
    return {pathlib.Path(name).resolve(): report for name, report in files.items()}


def _file(out: Reached, path: pathlib.Path, functions: dict[str, range], report: dict[str, Any], explained: dict[str, str]) -> None:
    """Add the counts of one file, and its functions with lines that were not reached."""
    part = Part(path.name)
    text = path.read_text().splitlines()
    for name, body in functions.items():
        reached = [line for line in report.get("executed_lines", ()) if line in body]
        missing = [line for line in report.get("missing_lines", ()) if line in body]
        part.lines += len(reached) + len(missing)
        part.lines_reached += len(reached)
        taken = sum(abs(branch[0]) in body for branch in report.get("executed_branches", ()))
        part.branches += taken + sum(abs(branch[0]) in body for branch in report.get("missing_branches", ()))
        part.branches_reached += taken
        missing = [line for line in missing if not CHECK.match(text[line - 1])]
        if missing:
            out.missing.append(Missing(name, path.name, missing, explained.get(name, ""), reached))
    if part.lines:
        out.parts.append(part)


# ---- the report --------------------------------------------------------------------------------------------------------

def ranges(lines: Sequence[int], others: Sequence[int] | None = None) -> str:
    """Write line numbers, which are sorted, as ranges: `3-5,9`. A range ends where one of the lines `others` comes between; if that is
    None, at each gap."""
    out: list[list[int]] = []
    for line in lines:
        if out and (not any(out[-1][1] < other < line for other in others) if others is not None else line == out[-1][1] + 1):
            out[-1][1] = line
        else:
            out.append([line, line])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in out)


def _share(reached: int, of: int) -> str:
    return f"{reached:>5} of {of:>5}  {100 * reached // of if of else 100:>3} %"


def lines(reached: Reached, seed: int) -> Iterator[str]:
    """Yield the lines of the report."""
    yield (f"{reached.variant}: {count(reached.entries, 'entry')} replayed and a campaign with seed {seed}, "
           f"{count(reached.runs, 'run')} in all; by coverage.py")
    yield f"  {'file':<28}{'lines reached':<24}branches taken"
    total = Part("all")
    for part in reached.parts:
        yield f"  {part.file:<28}{_share(part.lines_reached, part.lines):<24}{_share(part.branches_reached, part.branches)}"
        for name in ("lines", "lines_reached", "branches", "branches_reached"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
    if len(reached.parts) > 1:
        yield f"  {'all':<28}{_share(total.lines_reached, total.lines):<24}{_share(total.branches_reached, total.branches)}"
    yield from _missing_lines(reached)
    yield from (f"wrote {path}" for path in reached.wrote)


def _missing_lines(reached: Reached) -> Iterator[str]:
    """Name the lines that were not reached, by function: first those without a reason on file, then the others by their reason."""
    if not reached.missing:
        return
    yield (f"  not reached in these runs: {count(sum(len(one.lines) for one in reached.missing), 'line')} in "
           f"{count(len(reached.missing), 'function')}; BUG()s are not counted")
    if reached.unexplained:
        yield "  no reason on file:"
        for one in reached.unexplained:
            yield from _places(one)
    reasons: dict[str, list[Missing]] = {}      # each reason is printed once
    for one in reached.missing:
        if one.reason:
            reasons.setdefault(one.reason, []).append(one)
    if reasons:
        yield f"  with a reason in variants/{reached.variant.partition('/')[0]}/README.md; its counts of runs are from the time of writing:"
    for reason, some in reasons.items():
        for one in some:
            yield from _places(one)
        yield from textwrap.wrap(reason, PAGE_WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)


def _places(one: Missing) -> Iterator[str]:
    """Write a function and its lines; a long list continues on the next lines."""
    text = f"{one.function}  {one.place}" + ("  (never entered)" if not one.reached else "")
    lines = textwrap.wrap(text.replace(",", ", "), PAGE_WIDTH, initial_indent="    ", subsequent_indent=" " * 8, break_on_hyphens=False)
    yield from (line.replace(", ", ",") for line in lines)


def reached_as_json(reached: Reached) -> dict[str, Any]:
    """Return the report as a JSON object."""
    out = {**asdict(reached), "unexplained": [one.function for one in reached.unexplained]}
    out["missing"] = [{"function": one.function, "file": one.file, "lines": one.lines, "ranges": ranges(one.lines, one.reached),
                       "entered": bool(one.reached), "reason": one.reason} for one in reached.missing]
    return out
