# SPDX-License-Identifier: MIT
"""A finding, which is the report of a sanitizer, and the closed grammar of its title.

The title is the identity of a finding, so it has no addresses and no numbers that vary between runs. Its forms:

    BUG at mm/page_alloc.c:95 in __free_pages_ok        the kernel's own check
    WARN at mm/filemap.c:12 in F   PRINTK: text in F       the kernel's own complaints, when nothing worse follows
    OOPS: NULL pointer dereference in shrink_cache      the kernel's own fault
    double free in F   use after free in F   allocation of a linked page in F      lifetime
    REFCOUNT: ... in F     LIST: ... in F     LOCKDEP: ...     SLEEP: ... in F     LOCKSET: ... in F
    RACE: store page.index in F and load in G     RACE: load page.flags in F and atomic store
    DEADLOCK: ...     LIVELOCK: ...     LEAK: ...     INVARIANT: ...     DATA: ...
    BETWEEN OPERATIONS: INVARIANT: ...                  broken while no task is in an operation; the end of the run may be sound
    USER: SIGBUS in load, the file is long enough       an operation fails, and its user gave no cause
    CHECK: ...                                          a program of plain functions fails its own check
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """The kinds of finding. The value is the beginning of each title of that kind."""

    BUG = "BUG"
    WARN = "WARN"
    DOUBLE_FREE = "double free"
    USE_AFTER_FREE = "use after free"
    LINKED = "allocation of a linked object"
    OOPS = "OOPS:"
    PRINTK = "PRINTK:"
    REFCOUNT = "REFCOUNT:"
    LIST = "LIST:"
    LOCKDEP = "LOCKDEP:"
    SLEEP = "SLEEP:"
    LOCKSET = "LOCKSET:"
    RACE = "RACE:"
    DEADLOCK = "DEADLOCK:"
    LIVELOCK = "LIVELOCK:"
    LEAK = "LEAK:"
    INVARIANT = "INVARIANT:"
    BETWEEN = "BETWEEN OPERATIONS:"
    DATA = "DATA:"
    USER = "USER:"
    CHECK = "CHECK:"

    def title(self, text: str) -> str:
        """Return the title of a finding of this kind."""
        return f"{self.value} {text}"


_TEXTS = {Kind.BUG: r"at [\w./-]+:\d+ in \w+", Kind.WARN: r"at [\w./-]+:\d+ in \w+", Kind.DOUBLE_FREE: r"in \w+",
          Kind.USE_AFTER_FREE: r"in \w+", Kind.LINKED: r"in \w+"}
_ANY = r"\S.*"
_TITLE = re.compile("|".join(f"(?P<{kind.name}>{kind.value} {_TEXTS.get(kind, _ANY)})" for kind in Kind),
                    re.DOTALL)      # the name of a user's exception may have a newline; each place that prints a title escapes it


def kind_of(title: str) -> Kind | None:
    """Return the kind of a title, or None if the title is outside the grammar."""
    found = _TITLE.fullmatch(title)
    return Kind[found.lastgroup] if found is not None and found.lastgroup is not None else None


def is_only_told(title: str) -> bool:
    """True for a race. It is reported, but the run that shows it breaks nothing, so a campaign that stops at a finding goes on."""
    return kind_of(title) is Kind.RACE


def is_of_one_run(title: str) -> bool:
    """True if only single runs are searched for this finding, and an exploration of all schedules does not look for it."""
    return kind_of(title) in (Kind.LEAK, Kind.RACE, Kind.BETWEEN)


Failure = tuple[str, str] | tuple[str, str, Any]       # of a check at rest: the title, the detail, and the object that fails, if one does


@dataclass(frozen=True)
class Site:
    """A place in kernel source: `function` at `path`:`line` in our file, and the file of the historical tree that it is from."""

    function: str
    path: str
    line: int
    kernel_file: str


@dataclass
class Finding:
    """One report of one sanitizer in one run.

    `step` counts points from the start of the run. `stack` has the kernel functions from the outermost to the innermost. `breaks` is
    true for a note, which only says that an invariant is broken; it is reported if nothing worse follows in the run. `about` is the name of
    the object that fails, or "" if the sanitizer knows none.
    """

    title: str
    sanitizer: str
    step: int = 0
    task: str = ""
    cpu: int = 0
    detail: str = ""
    stack: tuple[Site, ...] = ()
    breaks: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        assert kind_of(self.title), f"title outside the grammar: {self.title!r}"

    @property
    def kind(self) -> Kind:
        kind = kind_of(self.title)
        assert kind is not None
        return kind


@dataclass(slots=True)
class Found:
    """The findings of one run; the list is empty if there were none."""

    findings: list[Finding]

    @property
    def titles(self) -> list[str]:
        return [finding.title for finding in self.findings]

    @property
    def title(self) -> str | None:
        return self.findings[0].title if self.findings else None
