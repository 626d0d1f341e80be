# SPDX-License-Identifier: MIT
"""The events of a campaign, as calls of a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib

    from vmrace.fuzz.campaign.status import Status
    from vmrace.fuzz.run.hit import Hit
    from vmrace.fuzz.shrink.confirm import Confirmed


class View:
    """A listener to a campaign. This one ignores every event; TextView and JsonView print them (see report.py)."""

    def start(self, status: Status) -> None:
        """Report the start of the campaign. `status` has the titles that its corpus knows."""

    def tick(self, status: Status) -> None:
        """Report progress. The driver calls this after each wait for its workers, which takes at most half a second."""

    def finding(self, confirmed: Confirmed, hit: Hit, path: pathlib.Path | None) -> None:
        """Report a confirmed hit. `path` is its entry, or None if no file could be written."""

    def known(self, hit: Hit, path: pathlib.Path) -> None:
        """Report a hit whose title the entry `path` expects."""

    def raw(self, hit: Hit, why: str, path: pathlib.Path | None, text: str) -> None:
        """Report a hit that was not confirmed, for the reason `why`. `path` is its hit file, or None; `text` is the file's contents."""

    def lost(self, text: str) -> None:
        """Report a job whose worker was lost."""

    def error(self, text: str) -> None:
        """Report a file that could not be read or written, or an error of vmrace."""

    def stopping(self) -> None:
        """Report that the campaign is asked to stop, and waits for its workers."""

    def listens(self) -> bool:
        """True if the output can still be written. If not, the campaign ends as if its time were up."""
        return True
