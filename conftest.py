# SPDX-License-Identifier: MIT
"""Tiers of tests. Each corpus entry on each variant of its family is one test of the plugin in fuzz/testing: `pytest -n auto corpus`."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from vmrace.fuzz.testing.items import EntryItem

# A shell's background job hears no Ctrl-C, and one under nohup no SIGHUP; what the tests start has to hear both.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--tier", choices=["short", "long", "all"], default="short",
                     help="short: what covers every room in minutes. long: the tests marked `long`, and no others.")
    parser.addoption("--moments", type=int, default=1, help="How often each command is interrupted in tests/fuzz/test_interrupts.py.")


def pytest_configure(config: Any) -> None:
    if not config.pluginmanager.has_plugin("vmrace"):
        raise pytest.UsageError("the pytest plugin of vmrace is not installed, so no entry of corpus/ would run: pip install -e '.[test]'")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Deselect the tests of the other tier, and count them as deselected. An entry is long if its verdict takes more than twenty runs."""
    for item in items:
        if isinstance(item, EntryItem) and not item.quick:
            item.add_marker(pytest.mark.long)
    tier = config.getoption("--tier")
    if tier != "all":
        kept = [item for item in items if (item.get_closest_marker("long") is not None) == (tier == "long")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


@pytest.fixture
def moments(request: Any) -> int:
    return int(request.config.getoption("--moments"))
