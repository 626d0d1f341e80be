# SPDX-License-Identifier: MIT
"""The lesson "in your tests" works as it is written: in an empty folder, with vmrace from a wheel, with two workers and a report."""

from __future__ import annotations

import os
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "tutorial" / "in_your_tests.md"
CODE = "  # exit code "


@pytest.mark.long
def test_the_lesson_works_from_an_empty_folder(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A block of Python or TOML whose first line is the name of a file is that file; each line of a block of sh is run."""
    environment = {**os.environ, "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    told: list[str] = []
    for block in blocks(PAGE):
        first = block.text.partition("\n")[0]
        if block.language in ("python", "toml") and first.startswith("# ") and first != "# test_lru.py":
            (tmp_path / first.removeprefix("# ")).write_text(block.text)
        for line in block.text.splitlines() if block.language == "sh" and not block.text.startswith("pip ") else ():
            command, _, code = line.partition(CODE)
            done = subprocess.run(command.split(), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == int(code or 0), f"{command}\n{done.stdout}{done.stderr}"
            told.append(done.stdout)
    first, second, lost, accepted, last = told
    shown = next(block.text for block in blocks(PAGE) if block.language == "text").splitlines()
    assert set(shown) <= set(first.splitlines()), first
    assert "1 failed" in first and "1 failed, 1 passed" in second and "2 passed" in last
    assert "LOST: expected CHECK: the program's own check fails, found nothing" in lost
    assert "proved in 6" in accepted and 'expect = "proved in 6"' in next(tmp_path.glob("races/*.run")).read_text()
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase")}
    properties = {name: {one.get("name"): one.get("value") for one in case.iter("property")} for name, case in cases.items()}
    assert properties["replay"]["vmrace_verdict"] == "proved in 6"
    assert properties["test_no_deposit_is_lost"]["vmrace_runs"] == "1000"
