# SPDX-License-Identifier: MIT
"""Two variants against each other, program by program."""
