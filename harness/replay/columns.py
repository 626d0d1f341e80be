# SPDX-License-Identifier: MIT
"""The text of a failure: the oops, then its story in columns, one for each cpu, as kernel developers draw races.

Every value is from the trace. The step that first breaks an invariant has a mark of its own, apart from the step at which a sanitizer
detects it.
"""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vmrace.harness.finding import Finding, Kind
from vmrace.harness.replay.rows import Row, Story

WIDTH = 100
COLUMNS_MAX = 4     # with more, a column is too narrow for the name of an access
STATE_MAX = 40      # width of the last column
NARROW = 14, 9      # the least width of the others: of two, of more


@dataclass(frozen=True)
class Cell:
    """The text of a row: the number of its column, the text, the function that it begins, and a value at the right."""

    place: int
    text: str
    function: str
    value: str

    @property
    def inline(self) -> str:
        """The text, with the function before it."""
        indent = self.text[:len(self.text) - len(self.text.lstrip())]
        return f"{indent}{self.function}: {self.text.strip()}" if self.function else self.text


def oops(finding: Finding, notes: Sequence[Finding], variant: str, digest: str, tasks: Sequence[str]) -> list[str]:
    """Return the block that a kernel would print. `tasks`: the name of each task; `digest`: of the trace."""
    out = ["------------[ cut here ]------------"]
    word = "kernel" if finding.kind in (Kind.BUG, Kind.WARN, Kind.OOPS) else "kernel BUG"
    out.append(f"{word}: {finding.title}")
    for line in finding.detail.split("\n") if finding.detail else ():
        out += textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]
    who = tasks[int(finding.task[4:])] if finding.task.startswith("task") and finding.task[4:].isdigit() else finding.task
    out.append(f"CPU: {finding.cpu}   task: {who or 'none, at rest'}   variant: {variant}")
    if finding.stack:
        out.append("Call trace:")
        sites = [(site.function, f"{pathlib.Path(site.path).name}:{site.line}", site.kernel_file) for site in reversed(finding.stack)]
        wide = max(len(function) for function, _, _ in sites)
        out += [f"  {function:<{wide}}  {place:<22} {kernel_file}".rstrip() for function, place, kernel_file in sites]
    for note in notes:
        if note is not finding:
            out.append(f'Invariant first broken at step {note.step}: {note.title}')
    out.append(f"---[ end trace {digest} ]---")
    return out


def columns(story: Story, cpus: int) -> list[str]:
    """Return the rows of a story, in one column for each cpu, and a line that explains them.

    With more than COLUMNS_MAX cpus, only those with a row have a column. If these are more than COLUMNS_MAX as well, all share one column,
    and each row names its cpu.
    """
    rows = story.rows()
    shown = sum((row.times or 1) for row in rows if row.step is not None)
    legend = "= 1: it loaded 1; 0 -> 1: it changed 0 to 1"
    if story.whole or shown >= story.accesses:
        return [*_drawn(rows, cpus, story.watched), f"      {legend}"]
    return [*_drawn(rows, cpus, story.watched), f"      {legend}", f"      {shown} of {story.accesses} steps: those on which the "
            "failure depends. vmrace show --all: every step"]


def _drawn(rows: Sequence[Row], cpus: int, watched: str) -> list[str]:
    """Return the table of the rows. `watched`: the object whose state is in the last column, or ""."""
    places = {cpu: cpu for cpu in range(cpus)} if cpus <= COLUMNS_MAX else {
        cpu: place for place, cpu in enumerate(sorted({row.cpu for row in rows if row.cpu is not None}))}
    together = len(places) > COLUMNS_MAX
    heads = ["all cpus"] if together else [f"cpu{cpu}" for cpu in places] or ["cpu0"]
    state = max((len(_state(row)) for row in rows), default=0)
    state = min(max(state, len(watched)), STATE_MAX) if watched or state else 0
    cells = [Cell(0 if together else places.get(row.cpu or 0, 0), _text(row, together), row.function, _value(row)) for row in rows]
    wide = _widths(cells, len(heads), WIDTH - 6 - (state + 2 if state else 0))
    out = ["step  " + " | ".join(f"{head:<{width}}" for head, width in zip(heads, wide, strict=True)) + (f"  {watched}" if state else ""),
           "----  " + "-+-".join("-" * width for width in wide) + ("  " + "-" * state if state else "")]
    for row, cell in zip(rows, cells, strict=True):
        above, lines = _lines(cell, wide)
        out += [f"      {line}".rstrip() for line in above]
        for number, line in enumerate(lines):
            step = row.step if row.step is not None and not number else ""
            out.append(f"{step:>4}  {line}  {_cut(_state(row), state) if number == len(lines) - 1 else ''}".rstrip())
    return [out[0].rstrip(), *out[1:]]


def _text(row: Row, together: bool) -> str:
    if row.rows:
        return f"  ... these {row.rows} rows {row.times} more times"
    return f"cpu{row.cpu:<4}{row.text}" if together and row.cpu is not None else row.text


def _widths(cells: Sequence[Cell], count: int, room: int) -> list[int]:
    """Return the widths of the columns. If all cannot have what they need, the last one comes first: in the others a text may go on to the
    right, where its row is empty."""
    room -= 3 * (count - 1)
    narrow = NARROW[count > 2]
    need = [narrow] * count
    for cell in cells:
        need[cell.place] = max(need[cell.place], len(cell.inline) + len(cell.value) + 2 * bool(cell.value))
    if sum(need) <= room:
        return need
    last = min(need[-1], room - narrow * (count - 1))
    return [*([min(max(need[:-1], default=0), (room - last) // (count - 1))] * (count - 1) if count > 1 else []), last]


def _lines(cell: Cell, wide: Sequence[int]) -> tuple[list[str], list[str]]:
    """Draw one row: its cell in its column, and the other columns empty. A text that is too long takes more than one line, and a function
    that does not fit before it stands above them, in the first list."""
    place, text, value = cell.place, cell.inline, cell.value
    left = "".join(" " * width + " | " for width in wide[:place])
    after = wide[place + 1:]
    reach = sum(wide[place:]) + 3 * len(after)
    if len(text) + len(value) + 2 * bool(value) <= wide[place]:
        return [], [f"{left}{text:<{wide[place] - len(value)}}{value}" + "".join(" | " + " " * width for width in after)]
    if cell.function and len(text) + len(value) + 2 * bool(value) > reach:
        above = _lines(replace(cell, text=f"{cell.text[:1]}{cell.function}:", function="", value=""), wide)[1]
        return above, _lines(replace(cell, function=""), wide)[1]
    if not value and len(text) > reach:
        indent = text[:len(text) - len(text.lstrip())]
        parts = textwrap.wrap(text.strip(), reach, initial_indent=indent, subsequent_indent=indent + " ")
        return [], [f"{left}{part:<{reach}}" for part in parts]
    text = f"{_cut(text, reach - len(value) - 2)}  {value}" if value else text
    return [], [f"{left}{text:<{reach}}"]


def _value(row: Row) -> str:
    return f"{row.value}  x {row.times}".strip() if row.times and not row.rows else row.value


def _state(row: Row) -> str:
    return f"{row.after} {row.mark}".strip()


def _cut(text: str, wide: int) -> str:
    return text if len(text) <= wide else f"{text[:max(wide - 2, 0)]}.."
