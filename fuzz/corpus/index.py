# SPDX-License-Identifier: MIT
"""The corpus as people use it: entries by name, the list of them, and verdicts accepted one by one."""

from __future__ import annotations

import pathlib
import textwrap
from dataclasses import dataclass
from typing import Any

import msgspec
from vmrace.fuzz.corpus.entry import Entry, EntryError, expect, find, load
from vmrace.fuzz.corpus.judge import PROVE_MAX, judge_entry
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop
from vmrace.variants.family import family
from vmrace.variants.spelling import did_you_mean

CORPUS = pathlib.Path("corpus")
NAME_WORDS = 2


class NoSuchEntry(EntryError):
    """A name that no entry has, or more than one."""


def short_name(entry: Entry) -> str:
    """Return the name of an entry on the command line: two words of its title and its identity, if its file is named by these. The whole
    name, if there is another file beside it with the same words: two titles of one run have one identity."""
    assert entry.path is not None
    stem = entry.path.stem
    alike = [path for path in entry.path.parent.glob(f"*-{entry.identity}.toml") if _brief(path.stem) == _brief(stem)]
    return _brief(stem) if stem.endswith(f"-{entry.identity}") and len(alike) == 1 else stem


def _brief(stem: str) -> str:
    words = stem.split("-")
    return "-".join([*words[:NAME_WORDS], words[-1]]) if len(words) > NAME_WORDS else stem


def handle(entry: Entry) -> str:
    """Return the argument that names an entry to a command: its short name, if it is in corpus/; else its file."""
    assert entry.path is not None
    return short_name(entry) if CORPUS in entry.path.parents else str(entry.path)


def named(name: str, directory: pathlib.Path = CORPUS) -> pathlib.Path:
    """Find the file of an entry: by its path, or by a part of its name in the corpus (`double-free-13024daf`, `13024daf`). NoSuchEntry if
    no entry or more than one fits. A path need not exist: reading it gives the error."""
    if not name:
        raise NoSuchEntry("an empty text names no entry")
    path = pathlib.Path(name)
    if path.exists() or path.suffix == ".toml":
        return path
    known = {str(one.relative_to(directory).with_suffix("")): one for one in find(directory)} if directory.is_dir() else {}
    fitting = [key for key in known if _fits(name, key)]
    exact = [key for key in fitting if name in (key, key.rpartition("/")[2])]
    if len(exact or fitting) == 1:
        return known[(exact or fitting)[0]]
    if fitting:
        more = f" and {len(fitting) - 3} more" if len(fitting) > 3 else ""
        told = [key.rpartition("/")[2] for key in fitting]
        brief = list(map(_brief, told))
        told = brief if len(set(brief)) == len(brief) else told
        raise NoSuchEntry(f"{name!r} fits {len(fitting)} entries: {', '.join(told[:3])}{more}")
    guess = did_you_mean(name, [key.rpartition("/")[2] for key in known])
    raise NoSuchEntry(f"no entry {name!r} in {directory}/{guess or '. See: vmrace corpus'}")


def _fits(name: str, key: str) -> bool:
    """True if `name` is a part of the key; or its beginning and its identity, with words of the title left out between them."""
    head, _, identity = name.rpartition("-")
    stem = key.rpartition("/")[2]
    return name in key or bool(head and stem.startswith(f"{head}-") and stem.endswith(f"-{identity}"))


# ---- the list ------------------------------------------------------------------------------------------------------------

def listing(entries: list[Entry]) -> list[str]:
    """Return the list of `vmrace corpus`: of each entry its name, title, question, and who fails, in a few lines."""
    out: list[str] = []
    families = list(dict.fromkeys(entry.family for entry in entries))
    for name in families:
        mine = [entry for entry in entries if entry.family == name]
        out += [f"{name}   {count(len(mine), 'entry')}", ""]
        for entry in mine:
            out.append(f"  {short_name(entry)}")
            for text in (entry.title, entry.asks, verdicts_text(entry)):
                out += textwrap.wrap(text, COLUMNS, initial_indent="      ", subsequent_indent="      ", break_long_words=False,
                                     break_on_hyphens=False)
            out.append("")
    out.append(f"{count(len(entries), 'entry')}; vmrace show NAME tells one, vmrace replay runs them all")
    return out


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry for a JSON document, without its program."""
    return {"path": str(entry.path or ""), "name": entry.name, "title": entry.title, "asks": entry.asks, "source": entry.source,
            "found_on": entry.found_on, "expect": {name: str(verdict) for name, verdict in entry.expect.items()}}


def verdicts_text(entry: Entry) -> str:
    """Return the variants by verdict: `BUG: pre_patch   ok: daniel_lru_count, ...`"""
    kinds: dict[str, list[str]] = {}
    for variant, verdict in entry.expect.items():
        kinds.setdefault(verdict.word.value, []).append(variant)
    return "   ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()) or "no verdict yet: vmrace replay --accept"


# ---- accepting a verdict ---------------------------------------------------------------------------------------------------

class NotAccepted(Exception):
    """A verdict that was to be accepted, and is not what was found."""


class Undecided(NotAccepted):
    """A verdict that was to be accepted, where nothing can be said: the budget ran out, or we erred."""


@dataclass
class Accepted:
    """One verdict of an entry, before and now."""

    variant: str
    before: Verdict | None
    now: Verdict


def accept(path: pathlib.Path, wanted: list[tuple[str, str]], runs: int = PROVE_MAX) -> list[Accepted]:
    """Judge an entry on variants and write the verdicts found as those expected.

    `wanted`: the variants, each with the word or the whole verdict that it must have ("" for any); all variants if there are none.
    `runs`: the limit of a proof. NotAccepted, with nothing written, if a verdict is another one, or cannot be accepted.
    """
    entry = load(path)
    out = []
    for variant, word in wanted or [(name, "") for name in family(entry.family).variants]:
        asked = msgspec.structs.replace(entry, expect={}) if word == Word.OK.value else entry       # who says ok does not ask for a proof
        judged = judge_entry(asked, Executor(family(entry.family), variant, checked=True), prove=runs)
        now = judged.accepted
        if not judged.verdict.decided:
            raise Undecided(f"{path}: {variant} is {judged.verdict}; nothing was written")
        if now is None:
            raise NotAccepted(f"{path}: {variant} is {judged.verdict}: {judged.detail}; that cannot be accepted")
        if word not in ("", str(now), now.word.value):
            raise NotAccepted(f"{path}: {variant} is {str(now)!r}, not {word!r}; nothing was written")
        out.append(Accepted(variant, entry.expect.get(variant), now))
    stop.look()                     # from here on it is written, whatever comes
    expect(path, {one.variant: one.now for one in out})
    return out
