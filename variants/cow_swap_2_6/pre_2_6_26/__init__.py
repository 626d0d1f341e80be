# SPDX-License-Identifier: GPL-2.0-only
"""Linux 2.6.26, one module per kernel file."""
