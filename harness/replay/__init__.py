# SPDX-License-Identifier: MIT
"""Schedules by the names of their points, and the columns that a run is told in."""
