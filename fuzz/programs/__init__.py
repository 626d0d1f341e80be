# SPDX-License-Identifier: MIT
"""Programs of operations: generated, enumerated, drawn by Hypothesis."""
