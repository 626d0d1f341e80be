# SPDX-License-Identifier: MIT
"""Programs of plain functions: found by name, sampled, shrunk, kept as `.run` files."""
