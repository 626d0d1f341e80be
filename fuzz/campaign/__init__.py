# SPDX-License-Identifier: MIT
"""Campaigns: random programs and schedules run on worker processes until the time is up."""
