# SPDX-License-Identifier: MIT
"""Text that every command shares: wording, the terminal, exit codes, and reading and writing whole files."""
