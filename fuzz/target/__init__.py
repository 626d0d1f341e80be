# SPDX-License-Identifier: MIT
"""A variant as a fuzz target of libFuzzer, through Atheris: `python -m vmrace.fuzz.target VARIANT`."""
