# SPDX-License-Identifier: MIT
"""Schedules by the names of their points, and the columns in which a run is shown."""
