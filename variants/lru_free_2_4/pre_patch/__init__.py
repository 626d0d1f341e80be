# SPDX-License-Identifier: GPL-2.0-only
"""2.4.20, without the patch: one module for each kernel file, and `hardware` for the MMU, the disk, DMA and the slab."""
