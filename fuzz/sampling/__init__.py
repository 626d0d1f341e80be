# SPDX-License-Identifier: MIT
"""Sampling of schedules: the order in which a campaign tries them, and the coverage that it remembers."""
