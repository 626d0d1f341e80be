# SPDX-License-Identifier: MIT
"""Replay of the corpus: each entry on each variant, on worker processes, and the table of verdicts."""
