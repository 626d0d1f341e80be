# SPDX-License-Identifier: MIT
"""Entries, their verdicts, and the replay of all of them."""
