# SPDX-License-Identifier: MIT
"""Programs of plain Python functions, run and verified on the machine."""
