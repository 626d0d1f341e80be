# SPDX-License-Identifier: MIT
"""Which lines and branches of a variant's kernel source are reached, and whether each that is not has a reason on file.

What runs is the replay of the corpus on the variant, then shards of a campaign, in this process. What is seen is what coverage.py's
C tracer sees: linked code is compiled from the real files, line by line, and the tracer knows greenlets. Every block that
the linker's probes mark is among the lines it reports, which a test holds.

Counted are lines and branches inside functions, in the modules that are the variant's own (for one that has none, the base's), of
functions that no later module of the variant defines again. A reason stands in the README of the family, in the section
"## Never reached": a list of "- `function`, `function`: reason", each for all lines of these functions, in all variants.
A BUG_ON is one line and no branch. A line that is only a BUG() needs no reason: a run that comes to it is a finding.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import pathlib
import re
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.text.terminal import COLUMNS as PAGE_WIDTH
from vmrace.fuzz.text.wording import count
from vmrace.variants.family import FAMILIES, Family

SECTION = "## Never reached"
REASON = re.compile(r"- (`\w+`(?:, `\w+`)*): (.+)")
CHECK = re.compile(r"\s*BUG\(")
SHARD_SECONDS, SHARD_RUNS = 3.0, 2_000


@dataclass
class Missing:
    """The lines of one function that were never reached."""

    function: str
    file: str
    lines: list[int]
    reason: str = ""

    @property
    def place(self) -> str:
        return f"{self.file}:{ranges(self.lines)}"


@dataclass
class Part:
    """One file: lines and branches of functions, how many there are and how many were reached."""

    file: str
    lines: int = 0
    lines_reached: int = 0
    branches: int = 0
    branches_reached: int = 0


@dataclass
class Reached:
    """What was reached of one variant."""

    variant: str
    entries: int
    runs: int
    parts: list[Part] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @property
    def unexplained(self) -> list[Missing]:
        return [one for one in self.missing if not one.reason]


# ---- the reasons -------------------------------------------------------------------------------------------------------

def readme(family: Family) -> pathlib.Path:
    origin = importlib.import_module(FAMILIES[family.name]).__file__
    assert origin is not None
    return pathlib.Path(origin).with_name("README.md")


def reasons(text: str) -> dict[str, str]:
    """function -> why lines of it are never reached, from a README: all that is said of it."""
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


# ---- the source --------------------------------------------------------------------------------------------------------

def files_of(modules: Sequence[str]) -> Iterator[pathlib.Path]:
    """The files of kernel source modules, in the order in which they are linked."""
    for name in modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, name
        path = pathlib.Path(spec.origin)
        yield from sorted(one for one in path.parent.glob("*.py") if one != path) if path.name == "__init__.py" else (path,)


def functions_in(path: pathlib.Path) -> dict[str, range]:
    """Each function of a file: the lines of its body. Of two with one name, the later."""
    tree = ast.parse(path.read_text())
    return {node.name: range(node.body[0].lineno, (node.end_lineno or 0) + 1) for node in tree.body if isinstance(node, ast.FunctionDef)}


def own_functions(family: Family, variant: str) -> dict[pathlib.Path, dict[str, range]]:
    """The files that are the variant's own, and of each the functions that nobody defines again."""
    modules = family.variants[variant].modules
    last = {name: path for path in files_of((*family.base, *modules, *family.tail)) for name in functions_in(path)}
    return {path: {name: lines for name, lines in functions_in(path).items() if last[name] == path}
            for path in files_of(modules or family.base)}


# ---- running -----------------------------------------------------------------------------------------------------------

def reach(family: Family, variant: str, corpus: Sequence[Entry], seconds: float, runs: int, seed: int) -> Reached:
    """Replay and campaign under the tracer: `seconds` of campaign, or `runs` if that is not 0 and comes first."""
    import coverage
    from vmrace.fuzz.corpus.replay import Table
    functions = own_functions(family, variant)
    tracer = coverage.Coverage(data_file=None, branch=True, concurrency=["greenlet"], config_file=False,
                               include=[str(path) for path in functions])
    entries = [entry for entry in corpus if entry.family == family.name]
    tracer.start()
    try:
        table = Table(entries, only=variant)
        table.replay()
        made = _campaign(family.name, variant, seconds, runs, seed)
    finally:
        tracer.stop()
    out = Reached(f"{family.name}/{variant}", len(entries), table.runs + made)
    told = _told(tracer)
    explained = reasons(readme(family).read_text()) if readme(family).exists() else {}
    for path, inside in functions.items():
        _file(out, path, inside, told.get(path.resolve(), {}), explained)
    return out


def _campaign(family: str, variant: str, seconds: float, runs: int, seed: int) -> int:
    from vmrace.fuzz.campaign.messages import ShardTask
    from vmrace.fuzz.campaign.shard import run_shard
    made = number = 0
    known: frozenset[str] = frozenset()
    started = time.monotonic()
    while (not runs or made < runs) and time.monotonic() - started < seconds:
        some = min(SHARD_RUNS, runs - made) if runs else SHARD_RUNS
        limit = min(SHARD_SECONDS, seconds - (time.monotonic() - started)) if not runs else seconds
        result = run_shard(ShardTask(family, variant, seed, number, some, max(0.2, limit), known))
        known |= result.titles.keys()
        made += result.runs
        number += 1
    return made


def _told(tracer: Any) -> dict[pathlib.Path, dict[str, Any]]:
    """What coverage.py says of each file."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "coverage.json"
        tracer.json_report(outfile=str(report), ignore_errors=False)
        files = json.loads(report.read_text())["files"]
    return {pathlib.Path(name).resolve(): told for name, told in files.items()}


def _file(out: Reached, path: pathlib.Path, functions: dict[str, range], told: dict[str, Any], explained: dict[str, str]) -> None:
    part = Part(path.name)
    text = path.read_text().splitlines()
    for name, body in functions.items():
        reached = [line for line in told.get("executed_lines", ()) if line in body]
        missing = [line for line in told.get("missing_lines", ()) if line in body]
        part.lines += len(reached) + len(missing)
        part.lines_reached += len(reached)
        taken = sum(abs(branch[0]) in body for branch in told.get("executed_branches", ()))
        part.branches += taken + sum(abs(branch[0]) in body for branch in told.get("missing_branches", ()))
        part.branches_reached += taken
        missing = [line for line in missing if not CHECK.match(text[line - 1])]
        if missing:
            out.missing.append(Missing(name, path.name, missing, explained.get(name, "")))
    if part.lines:
        out.parts.append(part)


# ---- telling -----------------------------------------------------------------------------------------------------------

def ranges(lines: Sequence[int]) -> str:
    """`3-5,9`"""
    out: list[list[int]] = []
    for line in lines:
        if out and line == out[-1][1] + 1:
            out[-1][1] = line
        else:
            out.append([line, line])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in out)


def _share(reached: int, of: int) -> str:
    return f"{reached:>5} of {of:>5}  {100 * reached // of if of else 100:>3} %"


def lines(reached: Reached, seed: int) -> Iterator[str]:
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
    places: dict[str, list[str]] = {}           # a reason -> where: told once
    for one in reached.missing:
        if one.reason:
            places.setdefault(one.reason, []).append(f"{one.function}  {one.place}")
    document = f"variants/{reached.variant.partition('/')[0]}/README.md"
    for titles, some in (
            (["not reached in these runs (BUG()s are not counted), and the reason on file:",
              f"as written in {document}; counts of runs in a reason are of the runs it was written from"],
             [f"{'; '.join(those)}: {reason}" for reason, those in places.items()]),
            (["not reached in these runs, and no reason on file"], [f"{one.function}  {one.place}" for one in reached.unexplained])):
        if some:
            yield from (f"  {title}" for title in titles)
            for text in some:
                yield from textwrap.wrap(text, PAGE_WIDTH, initial_indent="    ", subsequent_indent="        ", break_long_words=False,
                                         break_on_hyphens=False)


def as_json(reached: Reached) -> dict[str, Any]:
    return {**asdict(reached), "unexplained": [one.function for one in reached.unexplained]}
