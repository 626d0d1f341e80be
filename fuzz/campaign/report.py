# SPDX-License-Identifier: MIT
"""The output of a campaign: each finding once it is confirmed, a line of progress, and a summary. Plain text, or JSON."""

from __future__ import annotations

import pathlib
import shlex
import sys
import textwrap
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.terminal import COLUMNS, LINE_EVERY, Voice, clock, rule_of_three
from vmrace.fuzz.text.wording import are, count
from vmrace.harness.printable import printable

if TYPE_CHECKING:
    from rich.live import Live
    from vmrace.fuzz.campaign.status import Options, Status
    from vmrace.fuzz.run.hit import Hit
    from vmrace.fuzz.sampling.portfolio import Tally
    from vmrace.fuzz.shrink.confirm import Confirmed
    from vmrace.variants.family import Family


def progress(status: Status) -> str:
    """Write the line of progress."""
    rate = status.runs / max(status.seconds, 0.001)
    return (f"  {clock(status.seconds)}   {count(status.runs, 'run')}   {rate:,.0f}/s   {status.distinct:,} classes"
            f"   features {status.features:,}   corpus {status.kept:,}   last new {status.seconds - status.last_new:.0f} s ago")


class TextView(View):
    """A campaign's output for people. The line of progress is live on a terminal, else printed every LINE_EVERY seconds."""

    def __init__(self, options: Options):
        self.options = options
        self.voice = Voice()
        self.last = time.monotonic()
        self.found = 0
        self.live: Live | None = None

    def listens(self) -> bool:
        return self.voice.listens()

    def stopping(self) -> None:
        self._print("vmrace: interrupted; the findings are being kept (interrupt again to end at once)")

    def lost(self, text: str) -> None:
        self._print(f"vmrace: {text}")

    def error(self, text: str) -> None:
        self._print(f"vmrace: {text}")

    def start(self, status: Status) -> None:
        options = self.options
        stop = "keeps going" if options.keep_going else "stops at the first new title other than a RACE"
        self.voice.say(f"campaign {options.family}/{options.variant}   seed {options.seed}   {count(options.workers, 'worker')}   {stop}")
        if status.known:
            self.voice.say(f"{options.corpus}/ knows {count(len(status.known), 'title')} of this variant: runs that show "
                           f"{them(len(status.known))} again are counted, but do not stop the campaign")
        if sys.stdout.isatty():
            from rich.live import Live
            self.live = Live(refresh_per_second=2, transient=True)
            self.live.start()

    def _print(self, *lines: str) -> None:
        for line in lines:
            if self.live is not None:
                self.live.console.print(printable(line), markup=False, highlight=False)
            else:
                self.voice.say(line)

    def tick(self, status: Status) -> None:
        if self.live is not None:
            self.live.update(progress(status))
        elif time.monotonic() - self.last >= LINE_EVERY and not self.voice.broken:
            self.last = time.monotonic()
            self.voice.say(progress(status))

    def known(self, hit: Hit, path: pathlib.Path) -> None:
        self._print(f"known     {hit.title}", f"          run {hit.run:,} ({hit.scheduler}), after {hit.seconds:.1f} s; kept as {path}")

    def finding(self, confirmed: Confirmed, hit: Hit, path: pathlib.Path | None) -> None:
        self.found += 1
        whole = f"{confirmed.before}  ->  {confirmed.after}" if confirmed.runs else f"{confirmed.after}, as it was found"
        lines = [
            "",
            f"FINDING {self.found}   {confirmed.title}   run {hit.run:,} ({hit.scheduler}), after {hit.seconds:.1f} s",
            f"  shrunk    {whole}   ({count(confirmed.runs, 'run')}, {confirmed.seconds:.1f} s)",
            f"  minimal   {confirmed.minimal}",
            f"  confirmed {confirmed.replays} of {confirmed.replays} replays, trace {confirmed.digest}",
            *(f"  composed  {line}" for line in hit.composed),
            "",
            *confirmed.story,
            "",
        ]
        if path is None:
            lines += ["no file could be written; this is its entry:", "", *entry_text(confirmed).splitlines()]
        else:
            lines += [f"wrote {path}", f"next: {shlex.join(['vmrace', 'replay', str(path)])}"]
            if confirmed.cut:
                lines.append(f"      {shlex.join(['vmrace', 'shrink', str(path)])}")
        self._print(*lines)

    def raw(self, hit: Hit, why: str, path: pathlib.Path | None, text: str) -> None:
        kept = (f"the run is kept; to try again:\n      vmrace shrink {path}" if path is not None else
                f"no file could be written; this is its hit file:\n\n{text}")
        self._print(f"NOT CONFIRMED   {hit.title}   run {hit.run:,} ({hit.scheduler}), after {hit.seconds:.1f} s\n  {why}; {kept}")

    def end(self, status: Status, code: int) -> None:
        """Print the summary. `code` is the exit code, which its last line leaves out."""
        if self.live is not None:
            self.live.stop()
        for line in summary(status):
            self.voice.say(line)


def entry_text(confirmed: Confirmed) -> str:
    """Return the text of a finding's entry."""
    from vmrace.fuzz.corpus.entry import emit
    return emit(confirmed.entry)


def schedulers_table(tallies: dict[str, Tally]) -> list[str]:
    """Write what each kind of schedule has shown. A kind that made no run and found nothing is left out; the kind `checked` makes none of
    its own, as it runs schedules of the others again."""
    out = [f"{'scheduler':<12}{'runs':>10}{'classes':>10}{'new features':>14}{'findings':>10}"]
    for name, tally in sorted(tallies.items()):
        if tally.runs:
            out.append(f"{name:<12}{tally.runs:>10,}{tally.distinct:>10,}{tally.features:>14,}{tally.findings:>10,}")
        elif tally.findings:
            out.append(f"{name:<12}{'-':>10}{'-':>10}{'-':>14}{tally.findings:>10,}")
    return out


def summary(status: Status) -> list[str]:
    """Write the last lines: the counts of each kind of schedule, the titles, and the bound that remains if nothing was found."""
    out = ["", *schedulers_table(status.tallies)]
    if status.titles:
        out += ["", f"{'title':<86}{'runs':>8}{'first':>10}"]
        for title, seen in sorted(status.titles.items(), key=lambda item: status.first_run.get(item[0], 0)):
            mark = " (known)" if title in status.known else ""
            out.append(f"{(title + mark)[:85]:<86}{seen:>8,}{status.first_run.get(title, 0):>10,}")
    out.append("")
    if status.ended_by == "time" or status.late:
        out.append("vmrace: the time limit ended the campaign, so its end depends on the machine; --runs N instead can be repeated")
    where = (f"{count(status.runs, 'run')} ({status.distinct:,} classes) of {count(status.programs, 'program')} in "
             f"{status.seconds:.0f} s, {status.checked:,} of them also checked for locks and leaks, {status.replays:,} replayed")
    if status.limit_runs:
        where += f"; {count(status.limit_runs, 'run')} hit the step limit"
    if status.lost:
        where += f"; {count(status.lost, 'shard')} lost" + (f", {status.given_up:,} not run again" if status.given_up else " and run again")
    new, again = len(status.new), len(status.titles.keys() & status.known.keys())
    if new:
        out.append(f"vmrace: {count(new, 'new title')}{f' and {again} known' if again else ''} in {where}")
    elif again:
        out.append(f"vmrace: no new title, and {count(again, 'known title')} again, in {where}")
    elif rule_of_three(status.runs):
        out.append(f"vmrace: no finding in {where}: at 95 % confidence fewer than 1 run in {rule_of_three(status.runs):,} fails")
    else:
        out.append(f"vmrace: no finding in {where}, which says nothing")
    if status.states:
        out.append(f"vmrace: swept {count(status.swept, 'pair of operations')} that conflict in {count(status.states, 'state of pages')}; "
                   f"{status.unswept:,} {are(status.unswept)} left")
    if status.left_open:
        runs = "; ".join(f"{why} ({count(times, 'run')})" for why, times in sorted(status.left_open.items()))
        out += textwrap.wrap(f"vmrace: not judged: {runs}", COLUMNS, subsequent_indent="  ")
    if status.unshrunk:
        out.append(f"vmrace: {count(len(status.unshrunk), 'title')} not shrunk to the end; vmrace shrink ENTRY continues")
    if status.raw:
        out.append(f"vmrace: {count(len(status.raw), 'title')} seen and not confirmed")
    if status.unread:
        out.append(f"vmrace: {count(len(status.unread), 'file')} of the corpus cannot be read; titles known only there count as new")
    if status.errors:
        out.append(f"vmrace: {count(len(status.errors), 'internal error')}: please report {them(len(status.errors))}")
    if status.interrupted:
        out.append("vmrace: interrupted; the findings are kept")
    elif again and not new:
        out.append("vmrace: to see them found as new titles, name an empty corpus: --corpus found")
    return out


def them(count: int) -> str:
    """Return `it` for 1, else `them`."""
    return "it" if count == 1 else "them"


def variants_table(families: list[Family], operations: dict[tuple[str, str], int], sanitizers: int) -> list[str]:
    """Write the table of families and variants, with the number of operations and sanitizers of each, in at most 100 columns."""
    out = []
    wide = max(len(name) for one in families for name in one.variants) + 1
    for one in families:
        facts = "   ".join(fact for fact in (one.summary, one.era, one.seeds) if fact)
        out += textwrap.wrap(facts, COLUMNS, initial_indent=f"{one.name:<16} ", subsequent_indent=" " * 17, break_on_hyphens=False)
        for variant in one.variants.values():
            has = f"{operations[one.name, variant.name]:>2} operations  {count(sanitizers, 'sanitizer')}"
            first, *more = textwrap.wrap(variant.summary, COLUMNS - 4 - wide - len(has), break_on_hyphens=False)
            out.append(f"  {variant.name:<{wide}} {first:<{COLUMNS - 4 - wide - len(has)}} {has}")
            out += [f"  {'':<{wide}} {line}" for line in more]
    return out


class JsonView(View):
    """A campaign's output for programs: one JSON document, printed at the end. `events` holds what happened, in order."""

    def __init__(self, options: Options):
        self.options = options
        self.voice = Voice()
        self.events: list[dict[str, Any]] = []

    def listens(self) -> bool:
        return self.voice.listens()

    def finding(self, confirmed: Confirmed, hit: Hit, path: pathlib.Path | None) -> None:
        self.events.append({
            "type": "finding", "title": confirmed.title, "variant": f"{self.options.family}/{self.options.variant}",
            "run": hit.run, "seconds": round(hit.seconds, 3), "scheduler": hit.scheduler,
            "before": asdict(confirmed.before), "after": asdict(confirmed.after), "shrink_runs": confirmed.runs,
            "cut": confirmed.cut or None,
            "least_preemptions_proved": confirmed.least_proved, "operations_proved": confirmed.operations_proved,
            "replays": confirmed.replays, "digest": confirmed.digest, "composed": hit.composed, "path": str(path) if path else None,
            **({} if path else {"entry": entry_text(confirmed)}),
        })

    def lost(self, text: str) -> None:
        self.events.append({"type": "lost", "text": text})

    def error(self, text: str) -> None:
        self.events.append({"type": "error", "text": text})

    def raw(self, hit: Hit, why: str, path: pathlib.Path | None, text: str) -> None:
        self.events.append({"type": "raw", "title": hit.title, "why": why, "run": hit.run, "path": str(path) if path else None,
                            **({} if path else {"hit": text})})

    def known(self, hit: Hit, path: pathlib.Path) -> None:
        self.events.append({"type": "known", "title": hit.title, "run": hit.run, "seconds": round(hit.seconds, 3), "path": str(path)})

    def end(self, status: Status, code: int) -> None:
        """Print the document. `code` is the exit code."""
        self.voice.say(document("fuzz", code, events=self.events, summary={
            "variant": f"{self.options.family}/{self.options.variant}", "seed": self.options.seed,
            "runs": status.runs, "distinct": status.distinct, "replays": status.replays, "programs": status.programs,
            "checked_runs": status.checked, "limit_runs": status.limit_runs,
            "seconds": round(status.seconds, 1), "features": status.features,
            "swept": {"states": status.states, "pairs": status.swept, "left": status.unswept},
            "not_judged": [{"why": why, "runs": times} for why, times in sorted(status.left_open.items())],
            "titles": status.titles, "new": status.new, "unshrunk": status.unshrunk,
            "known": sorted(status.known.keys() & status.titles.keys()),
            "first_run": status.first_run, "lost_shards": status.lost, "given_up_shards": status.given_up,
            "ended_by": status.ended_by, "late_shards": status.late, "interrupted": status.interrupted, "errors": status.errors,
            "unread": status.unread,
            "raw": {title: str(path) if path else None for title, path in status.raw.items()},
            "upper_bound_95": None if status.titles or not rule_of_three(status.runs) else 1 / rule_of_three(status.runs),
        }))
