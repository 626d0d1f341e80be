# SPDX-License-Identifier: GPL-2.0-only
"""A file page that stays mapped after it has left the page cache: Linux 2.6.12 to 2.6.15, and the patches that were to end it
(seed 002).

`types` holds the data and what was left out of the model, `pre_2_6_15` the kernel as it was, one module per kernel file, and
each further module one patch, linked over it.
"""
