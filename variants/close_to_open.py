# SPDX-License-Identifier: GPL-2.0-only
"""Close-to-open consistency: what a client may read of a file that its server changes.

A client that opens a file sees what other clients had written when they closed it. Between the change on the server and the end of the
revalidation, a load may return either value, as during a store. The change is judged as a store that lasts until then. The readers of the
client share its page cache: after one has seen the new value, none sees the old one.

If this client has written to the page, too, the outcome is open. Its own write may reach the server before or after the other one, and
revalidation may drop it. A write that is over and has been flushed does no harm; it is counted all the same, because only the kernel
knows. The word is unknown then, until it is stored to again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Entry = tuple[Any, ...]

WRITES = frozenset(("store", "mapped store", "direct store", "may", "unknown", "rewrite"))
REASON = "a load after a server and its client have both written a page"


def settled(history: Sequence[Entry]) -> Sequence[Entry]:
    """Replace each ("server", file, word, value, since, until) by a store to the file and its disk, or by an unknown value.

    `since` is the step at which the server begins to change, `until` the end of the revalidation. A client writes with each store to
    the word but the first, which is its content at boot, and with each "rewrite": the page becomes dirty without a new value.
    """
    served = [entry for entry in history if entry[0] == "server"]
    if not served:
        return history
    kept = [entry for entry in history if entry[0] != "server"]
    first: dict[tuple[Any, Any], Entry] = {}
    begun: dict[tuple[Any, Any], int] = {}          # word -> the first step of the first write of the client
    for entry in history:
        kind, who, where, _, since, _ = entry
        if kind in WRITES and (kind == "rewrite" or first.setdefault((who, where), entry) is not entry):
            begun[who, where] = min(since, begun.get((who, where), since))
    for _, file, where, value, since, until in served:
        opened = begun.get((file, where), until + 1) <= until
        kept.append(("unknown", file, where, REASON, since, until) if opened else ("direct store", file, where, value, since, until))
    return kept
