# SPDX-License-Identifier: MIT
"""What every command shares with the terminal and the disk: wording, exit codes, files that are read and written whole."""
