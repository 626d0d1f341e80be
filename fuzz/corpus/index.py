# SPDX-License-Identifier: MIT
"""The corpus as people handle it: entries by name, the list of them, and verdicts accepted one by one."""

from __future__ import annotations

import pathlib
import textwrap
from dataclasses import dataclass

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
    """What an entry is called on the command line: two words of its title and its identity, if that is how its file is named."""
    assert entry.path is not None
    return _brief(entry.path.stem) if entry.path.stem.endswith(f"-{entry.identity}") else entry.path.stem


def _brief(stem: str) -> str:
    words = stem.split("-")
    return "-".join([*words[:NAME_WORDS], words[-1]]) if len(words) > NAME_WORDS else stem


def handle(entry: Entry) -> str:
    """What to give a command for it: its name where it is found by that, else the file."""
    assert entry.path is not None
    return short_name(entry) if CORPUS in entry.path.parents else str(entry.path)


def named(name: str, directory: pathlib.Path = CORPUS) -> pathlib.Path:
    """The file that is meant: a path, or an entry of the corpus by a part of its name (`double-free-13024daf`, `13024daf`).
    NoSuchEntry if no entry or more than one fits; a path that is not there is left to whoever reads it."""
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
        raise NoSuchEntry(f"{name!r} fits {len(fitting)} entries: {', '.join(_brief(key.rpartition('/')[2]) for key in fitting[:3])}{more}")
    guess = did_you_mean(name, [key.rpartition("/")[2] for key in known])
    raise NoSuchEntry(f"no entry {name!r} in {directory}/{guess or '. See: vmrace corpus'}")


def _fits(name: str, key: str) -> bool:
    """Part of it; or its beginning and its identity, with words of the title left out between them."""
    head, _, identity = name.rpartition("-")
    stem = key.rpartition("/")[2]
    return name in key or bool(head and stem.startswith(f"{head}-") and stem.endswith(f"-{identity}"))


# ---- the list ------------------------------------------------------------------------------------------------------------

def listing(entries: list[Entry]) -> list[str]:
    """A few lines an entry: its name and title, what it asks, who fails."""
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


def verdicts_text(entry: Entry) -> str:
    """`BUG: pre_patch   ok: daniel_lru_count, ...`"""
    kinds: dict[str, list[str]] = {}
    for variant, verdict in entry.expect.items():
        kinds.setdefault(verdict.word.value, []).append(variant)
    return "   ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()) or "no verdict yet: vmrace replay --accept"


# ---- accepting a verdict ---------------------------------------------------------------------------------------------------

class NotAccepted(Exception):
    """What was to be accepted is not what is so."""


class Undecided(NotAccepted):
    """Nothing can be said of it: the budget ran out, or we erred."""


@dataclass
class Accepted:
    """One verdict of an entry, before and now."""

    variant: str
    before: Verdict | None
    now: Verdict


def accept(path: pathlib.Path, wanted: list[tuple[str, str]], runs: int = PROVE_MAX) -> list[Accepted]:
    """Judge an entry on variants and write down what is found; each with the word or the whole verdict that it has to be ("" for
    any); on all variants if none is named. `runs`: what a proof may take. NotAccepted, with nothing written, if one is something
    else, or cannot be accepted."""
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
