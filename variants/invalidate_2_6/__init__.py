# SPDX-License-Identifier: GPL-2.0-only
"""A file page that stays mapped after it has left the page cache: Linux 2.6.15, and the patches that were to end this race
(seed 002).

`types` holds the data, and lists the parts of the kernel that the model leaves out. `pre_2_6_15` holds the kernel as it was, one module
for each kernel file. Each further module holds one patch, which is linked over it.
"""
