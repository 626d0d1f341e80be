# SPDX-License-Identifier: MIT
"""The exit codes of all commands. 0 says that all is as it should be."""

CHANGED = 1             # a finding, a difference, or another verdict than was expected
USAGE = 2               # the command line asks for something that there is not
COULD_NOT = 3           # undecided, or something was lost, or could not be read or written
NOTHING = 4             # nothing was run
INTERRUPTED = 130       # by Ctrl-C, SIGHUP or SIGTERM
