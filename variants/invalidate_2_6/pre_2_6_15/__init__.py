# SPDX-License-Identifier: GPL-2.0-only
"""Linux 2.6.15 as it was, one module for each kernel file."""
