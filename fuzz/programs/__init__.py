# SPDX-License-Identifier: MIT
"""Programs of operations: random ones, all of a small scope, and those that Hypothesis draws."""
