# SPDX-License-Identifier: MIT
"""A second interpreter of kernel primitives, which shares nothing with the machine, and its comparison with `verify`.

language.py     programs as plain data
primitives.py   each statement as the atomic steps that the kernel takes, and the effect of each step
interpreter.py  every reachable state of a program, breadth first, and the outcomes
generate.py     random legal programs
build.py        the same program for the machine: with faults.py, the one file here that imports the harness
compare.py      both sets of outcomes, and the smallest program in which they differ
faults.py       faults in primitives of the machine, each of which the comparison has to find
"""
