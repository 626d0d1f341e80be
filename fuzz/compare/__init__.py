# SPDX-License-Identifier: MIT
"""Comparison of variants, program by program, by the outcomes that they can reach."""
