# SPDX-License-Identifier: GPL-2.0-only
"""2.4.20-pre7 as it was: one module per kernel file, and `hardware` for what the kernel runs on."""
