# SPDX-License-Identifier: MIT
"""get_user_pages() of 2.6.26 that says nothing is mapped there."""


def get_user_pages(tsk, mm, start, len, write, force, pages):
    return -EFAULT
