# SPDX-License-Identifier: GPL-2.0-only
"""A page freed while it is still on the LRU: Linux 2.4.20-pre7, and the patches that were to end it (seeds 000, 003).

`types` holds the data and what was left out of the model, `pre_patch` the kernel as it was, one module per kernel file,
and each further module one patch, linked over it.
"""
