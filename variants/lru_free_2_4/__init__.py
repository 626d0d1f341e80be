# SPDX-License-Identifier: GPL-2.0-only
"""A page freed while it is still on the LRU: Linux 2.4.20, and the patches that were to end this race (seeds 000, 003).

`types` holds the data, and lists the parts of the kernel that the model leaves out. `pre_patch` holds the kernel as it was, one module
for each kernel file. Each further module holds one patch, which is linked over it.
"""
