# SPDX-License-Identifier: MIT
"""The exit codes of all commands. 0 means that every result is as expected."""

CHANGED = 1             # a finding, a difference between variants, or a verdict that is not the expected one
USAGE = 2               # the command line names a variant, an entry or an option that does not exist
COULD_NOT = 3           # a verdict is inconclusive, a worker was lost, or a file could not be read or written
NOTHING = 4             # the command ran no program
INTERRUPTED = 130       # Ctrl-C, SIGHUP or SIGTERM stopped the command
