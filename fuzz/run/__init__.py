# SPDX-License-Identifier: MIT
"""One program on one variant: run, run in every schedule, told as a story; worker processes; requests to stop."""
