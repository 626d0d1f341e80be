# SPDX-License-Identifier: GPL-2.0-only
"""Andrea Arcangeli, 13 Dec 2005, against 2.6.15-rc: a fault looks whether a page was invalidated meanwhile, with a lock of its own.

`seqschedlock_h` is the new primitive, `patch` the hunks that use it. As posted, slips included: `andrea_seqschedlock_2` tells of them.
"""
