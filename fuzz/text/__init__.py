# SPDX-License-Identifier: MIT
"""Text that every command shares: wording, the terminal, exit codes, files that are read and written whole."""
