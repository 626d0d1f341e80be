# SPDX-License-Identifier: MIT
"""Many programs and schedules on worker processes, until the time is over."""
