# SPDX-License-Identifier: MIT
"""Campaigns, shrinking, the corpus and the command line: the only room that imports hypothesis, click, rich and their like."""
