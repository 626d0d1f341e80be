# SPDX-License-Identifier: MIT
"""Inputs of libFuzzer, the runs of an input, and libFuzzer's start, through Atheris."""
