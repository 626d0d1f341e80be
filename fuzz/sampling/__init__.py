# SPDX-License-Identifier: MIT
"""Which schedules a campaign tries, and what it remembers of them."""
