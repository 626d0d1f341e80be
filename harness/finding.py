# SPDX-License-Identifier: MIT
"""What a sanitizer says when it has seen something: a finding and the closed grammar of its title.

A title is the finding's identity: no addresses, no numbers that vary. Its forms:

    BUG at mm/page_alloc.c:95 in __free_pages_ok        the kernel's own check
    WARN at mm/filemap.c:12 in F   PRINTK: text in F       the kernel's own complaints, when nothing worse follows
    OOPS: NULL pointer dereference in shrink_cache      the kernel's own fault
    double free in F   use after free in F   allocation of a linked page in F      lifetime
    REFCOUNT: ... in F     LIST: ... in F     LOCKDEP: ...     SLEEP: ... in F     LOCKSET: ... in F
    RACE: store page.index in F and load in G     RACE: load page.flags in F and atomic store
    DEADLOCK: ...     LIVELOCK: ...     LEAK: ...     INVARIANT: ...     DATA: ...
    CHECK: ...                                          what a program of plain functions says itself
"""

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The kinds of finding, each with the words that its titles begin with."""

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
    DATA = "DATA:"
    CHECK = "CHECK:"

    def title(self, text: str) -> str:
        """The title of a finding of this kind."""
        return f"{self.value} {text}"


_TEXTS = {Kind.BUG: r"at [\w./-]+:\d+ in \w+", Kind.WARN: r"at [\w./-]+:\d+ in \w+", Kind.DOUBLE_FREE: r"in \w+",
          Kind.USE_AFTER_FREE: r"in \w+", Kind.LINKED: r"in \w+"}
_ANY = r"\S.*"
_TITLE = re.compile("|".join(f"(?P<{kind.name}>{kind.value} {_TEXTS.get(kind, _ANY)})" for kind in Kind),
                    re.DOTALL)      # the name of a user's exception may have a newline: whoever prints a title escapes it


def kind_of(title: str) -> Kind | None:
    """The kind of finding that has this title. None if no finding can have it."""
    found = _TITLE.fullmatch(title)
    return Kind[found.lastgroup] if found is not None and found.lastgroup is not None else None


def is_only_told(title: str) -> bool:
    """True if nothing has come of it in the run that it was seen in: it is reported, and no reason to stop looking for what is
    broken."""
    return kind_of(title) is Kind.RACE


def is_of_one_run(title: str) -> bool:
    """True if single runs are searched for it, and an exploration of all schedules does not look."""
    return kind_of(title) in (Kind.LEAK, Kind.RACE)


@dataclass(frozen=True)
class Site:
    """A place in kernel source: `function` of `path`:`line` (our file), told in `kernel_file` of the real tree."""

    function: str
    path: str
    line: int
    kernel_file: str


@dataclass
class Finding:
    """One thing a sanitizer saw in one run.

    `step` counts points from the start of the run; `stack` runs from the outermost kernel function to the innermost;
    `breaks` is set for a finding that only says which invariant was broken first: it is reported when nothing worse follows.
    """

    title: str
    sanitizer: str
    step: int = 0
    task: str = ""
    cpu: int = 0
    detail: str = ""
    stack: tuple[Site, ...] = ()
    breaks: bool = False

    def __post_init__(self) -> None:
        assert kind_of(self.title), f"title outside the grammar: {self.title!r}"

    @property
    def kind(self) -> Kind:
        kind = kind_of(self.title)
        assert kind is not None
        return kind


@dataclass(slots=True)
class Found:
    """The findings of one run; an empty list says that nothing was found."""

    findings: list[Finding]

    @property
    def titles(self) -> list[str]:
        return [finding.title for finding in self.findings]

    @property
    def title(self) -> str | None:
        return self.findings[0].title if self.findings else None
