# SPDX-License-Identifier: MIT
"""Running one program on one variant: once, in every schedule, and with a story; worker processes; requests to stop."""
