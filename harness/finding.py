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

TITLE = re.compile(
    r"((BUG|WARN) at [\w./-]+:\d+ in \w+"
    r"|(double free|use after free|allocation of a linked object) in \w+"
    r"|(OOPS|PRINTK|REFCOUNT|LIST|LOCKDEP|SLEEP|LOCKSET|RACE|DEADLOCK|LIVELOCK|LEAK|INVARIANT|DATA|CHECK): \S.*)",
    re.DOTALL,          # the name of a user's exception may have a newline: whoever prints a title escapes it
)


def only_told(title: str) -> bool:
    """Nothing has come of it in the run that it was seen in: it is reported, and no reason to stop looking for what is broken."""
    return title.startswith("RACE: ")


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
        assert TITLE.fullmatch(self.title), f"title outside the grammar: {self.title!r}"
