# SPDX-License-Identifier: MIT
"""The schedules that a campaign tries, and its memory of them."""
