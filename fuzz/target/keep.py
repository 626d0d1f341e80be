# SPDX-License-Identifier: MIT
"""A finding of libFuzzer's, kept as a campaign keeps it: the hit in a file, then confirmed and shrunk, then an entry in its place."""

from __future__ import annotations

import pathlib
import time

from vmrace.fuzz.campaign.hits import NOT_ASKED
from vmrace.fuzz.campaign.report import TextView
from vmrace.fuzz.campaign.status import Options, known_titles
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import EntryError, save
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.shrink.confirm import confirm
from vmrace.fuzz.text import writing
from vmrace.harness.errors import HarnessError

SHRINK_SECONDS = 60.0


class Keeper:
    """The findings of one target, on their way to the corpus. `options` are those of the campaign that this target is, in effect."""

    def __init__(self, options: Options, view: TextView):
        self.options, self.view = options, view
        self.started = time.monotonic()
        self.found_on = f"{options.family}/{options.variant}"

    def begin(self) -> dict[str, pathlib.Path]:
        """Return the known titles, and report the files of the corpus that are no entries. EntryError if the corpus cannot be written."""
        try:
            writing.check_writable(self.options.corpus)
        except OSError as error:
            raise EntryError(f"{self.options.corpus}: cannot be written: {writing.why(error)}") from None
        known, bad = known_titles(self.options)
        for error_of in bad:
            self.view.error(str(error_of))
        return known

    def keep(self, hit: Hit) -> bool:
        """Keep a hit as an entry, unless the corpus knows its title. True if its title is new, and it was confirmed."""
        hit.seconds -= self.started
        known, _ = known_titles(self.options)           # read again: another process may have added some
        if hit.title in known:
            self.view.known(hit, known[hit.title])
            return False
        raw = hit_file.save(hit, self.found_on, self.options.corpus)
        try:
            confirmed = confirm(self.options.family, self.options.variant, hit, self.options.seed,
                                "" if self.options.shrink else NOT_ASKED, time.monotonic() + SHRINK_SECONDS)
        except HarnessError as error:
            self.view.raw(hit, f"{str(error).splitlines()[0]} (this is our bug)", raw, "")
            return False
        path = None
        try:
            path = save(confirmed.entry, self.options.corpus)
            hit_file.remove(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.view.error(str(error))
        self.view.finding(confirmed, hit, path)
        return True
