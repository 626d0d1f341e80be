# SPDX-License-Identifier: MIT
"""Measures how many runs a search takes to the first failure. Not part of the test line.

    python -m tests.quality.search                  writes the tables of docs/explanation/search_results.md
    python -m tests.quality.search --seeds 3 --programs reorder_20,twostage

`plain.py` measures programs of plain functions, `families.py` campaigns of families.
"""
