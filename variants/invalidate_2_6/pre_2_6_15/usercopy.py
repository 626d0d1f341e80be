# SPDX-License-Identifier: GPL-2.0-only
"""arch/i386/lib/usercopy.c and include/asm-i386/uaccess.h: copying a page from user memory, a word at a time.

Where user memory cannot be loaded from, the exception table leads on. The copy then fills the rest of the page with zeros and
says how much that is. So does, until 2.6.18, the one that must not fault: until it is tried again whoever looks sees the zeros (which, as
mm/filemap.h says from then on, has happened).
"""
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import copy_word_from_user, load_from_user
from vmrace.variants.invalidate_2_6.types import PAGE_SIZE
from vmrace.variants.mmu import MMU_FAULT, write_word_of


__FILE__ = "arch/i386/lib/usercopy.c"


def __copy_from_user_ll(to, buf):
    """__copy_user_zeroing(). Returns the bytes that are not copied, and zero now."""
    for word in (0, 1):
        if copy_word_from_user(to, buf, word):
            for rest in range(word, 2):
                write_word_of(to, rest, 0)
            return (2 - word) * (PAGE_SIZE // 2)
    return 0


__FILE__ = "include/asm-i386/uaccess.h"


def __get_user(buf, word):
    """Assembler. Returns whether it cannot be loaded; the value is not looked at."""
    return load_from_user(buf, word) is MMU_FAULT


def __copy_from_user_inatomic(to, buf):
    return __copy_from_user_ll(to, buf)


def __copy_from_user(to, buf):
    return __copy_from_user_inatomic(to, buf)
