# SPDX-License-Identifier: MIT
"""Running every schedule of a small program that differs from the others, and knowing when all have been run."""
