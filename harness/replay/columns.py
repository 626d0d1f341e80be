# SPDX-License-Identifier: MIT
"""The text of a failure: the oops, then the accesses in columns, one for each cpu, as kernel developers draw races.

Every value is from the trace. An access is shown if another task touches its object, too. The step that first breaks an invariant
has a mark of its own, apart from the step at which a sanitizer detects it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from vmrace.harness import points
from vmrace.harness.finding import Finding, Kind
from vmrace.harness.watchers.trace import Event

WIDTH = 100
ROWS_MAX = 60
COLUMNS_MAX = 4     # with more, a column is too narrow for the name of an access


def oops(finding: Finding, notes: Sequence[Finding], variant: str, digest: str, tasks: Sequence[str]) -> list[str]:
    """Return the block that a kernel would print. `tasks`: the name of each task; `digest`: of the trace."""
    out = ["------------[ cut here ]------------"]
    word = "kernel" if finding.kind in (Kind.BUG, Kind.WARN, Kind.OOPS) else "kernel BUG"
    out.append(f"{word}: {finding.title}")
    if finding.detail:
        out += finding.detail.split("\n")
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


def columns(events: Sequence[Event], finding: Finding, notes: Sequence[Finding], ops: dict[tuple[int, int], str],
            cpus: int) -> list[str]:
    """Return the accesses, in one column for each cpu. `ops` maps (task, number) to the text of an operation.

    With more than COLUMNS_MAX cpus, only those with an access to show have a column. If these are more than COLUMNS_MAX as well, all share
    one column, and each row names its cpu.
    """
    shown = _shared(events)
    watched = _watched(events, finding)
    rows: list[_Row] = []
    last_task: int | None = None
    value = ""
    bug = next((event for event in reversed(events) if event.step == finding.step and event.kind != points.LOCAL
                and finding.task in ("", _task(event))), None)
    for event in events:
        if event.kind == points.LOCAL:
            text = ops.get((event.task, int(event.arg[3:]))) if event.arg.startswith("op ") else None
            if text is None:
                continue
            rows.append(_Row("", event.cpu, text, ""))
            last_task = event.task
            continue
        if id(event) not in shown and event.step != finding.step:
            continue
        if last_task is not None and event.task != last_task:
            rows.append(_Row("", event.cpu, f"> {event.function}", ""))
        last_task = event.task
        now = event.after.get(watched, "") if watched else ""
        change = now if now != value else ""
        value = now or value
        mark = "!!" if any(note.step == event.step and note.task == f"task{event.task}" for note in notes) else ""
        if event is bug:
            mark = "BUG"
        indent = "  " + "  " * bool(event.irq_depth)
        rows.append(_Row(str(event.step), event.cpu, indent + event.label, f"{change} {mark}".strip()))
    return _drawn(rows, cpus, watched)


@dataclass(frozen=True)
class _Row:
    step: str
    cpu: int
    text: str
    after: str


def _drawn(rows: list[_Row], cpus: int, watched: str) -> list[str]:
    """Return the table of the rows. `watched`: the object whose state is in the last column, or ""."""
    room = WIDTH - 6 - (26 if watched else 0)
    places = {cpu: cpu for cpu in range(cpus)} if cpus <= COLUMNS_MAX else {
        cpu: place for place, cpu in enumerate(sorted({row.cpu for row in rows}))}
    together = len(places) > COLUMNS_MAX
    count = 1 if together else max(len(places), 1)
    wide = room // count - 3
    heads = ["all cpus"] if together else [f"cpu{cpu}" for cpu in places]
    out = ["step  " + " | ".join(f"{head:<{wide}}" for head in heads) + (f"  {watched}" if watched else ""),
           "----  " + "-+-".join("-" * wide for _ in range(count)) + ("  " + "-" * 22 if watched else "")]
    lines = []
    for row in rows:
        cells = [" " * wide] * count
        text = f"cpu{row.cpu:<4}{row.text}" if together else row.text
        cells[0 if together else places[row.cpu]] = f"{text[:wide]:<{wide}}"
        lines.append(f"{row.step:>4}  " + " | ".join(cells) + (f"  {row.after}" if row.after else ""))
    return [out[0].rstrip(), out[1], *_elided(lines)]


def _task(event: Event) -> str:
    """Return the name of the task as in `Finding.task`."""
    return f"task{event.task}" if event.task >= 0 else f"idle{-2 - event.task}"


def _elided(rows: list[str]) -> list[str]:
    rows = [row.rstrip() for row in rows]
    if len(rows) <= ROWS_MAX:
        return rows
    head = ROWS_MAX // 3
    return [*rows[:head], f"      ... {len(rows) - ROWS_MAX} more ...", *rows[-(ROWS_MAX - head):]]


def _shared(events: Sequence[Event]) -> set[int]:
    """Return the ids of the events on objects that several tasks touch and at least one changes, and of interrupts."""
    by: dict[str, set[int]] = {}
    written: set[str] = set()
    for event in events:
        by.setdefault(event.obj, set()).add(event.task)
        if event.kind not in (points.READ, points.BARRIER, points.MASK):
            written.add(event.obj)
    return {id(event) for event in events
            if event.kind == points.IRQ or (event.kind not in (points.BARRIER, points.LOCAL, points.MASK)
                                            and len(by[event.obj]) > 1 and event.obj in written)}


def _watched(events: Sequence[Event], finding: Finding) -> str:
    """Return the object whose state is shown beside the accesses: the one that the finding names, else the one touched most."""
    names = {name for event in events for name in event.after}
    for word in finding.detail.replace(".", " ").split():
        if word in names:
            return word
    touched: dict[str, int] = {}
    for event in events:
        owner = event.obj.partition(".")[0]
        if owner in names:
            touched[owner] = touched.get(owner, 0) + 1
    return max(sorted(touched), key=lambda name: touched[name], default="")
