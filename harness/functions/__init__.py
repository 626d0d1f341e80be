# SPDX-License-Identifier: MIT
"""Programs of plain functions on the machine."""
