# SPDX-License-Identifier: MIT
"""Places in kernel source: of a stack of frames, and of the traceback of an exception."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from vmrace.harness.finding import Site

if TYPE_CHECKING:
    from vmrace.harness.link.image import Image


def sites(image: Image, frame: FrameType | None) -> tuple[Site, ...]:
    """Return the kernel functions on the stack that ends in `frame`, outermost first."""
    return tuple(_innermost_first(image, frame))[::-1]


def _innermost_first(image: Image, frame: FrameType | None) -> Iterator[Site]:
    origin = image.origin
    while frame is not None:
        known = origin.get(frame.f_code)
        if known is not None:
            yield Site(known.function, known.path, frame.f_lineno, known.kernel_file)
        frame = frame.f_back


def where(image: Image, frame: FrameType | None) -> str:
    """Return the name of the innermost kernel function on that stack that is no accessor: the function that a title names.

    Functions of include/ are accessors; one is named only if there is nothing else. "user_space" if there is no kernel function.
    """
    accessor = None
    for site in _innermost_first(image, frame):
        if not site.kernel_file.startswith("include/"):
            return site.function
        accessor = accessor or site.function
    return accessor or "user_space"


def sites_of_traceback(image: Image, error: BaseException) -> tuple[Site, ...]:
    """Return the kernel functions that an exception went through, outermost first."""
    out = []
    trace = error.__traceback__
    while trace is not None:
        known = image.origin.get(trace.tb_frame.f_code)
        if known is not None:
            out.append(Site(known.function, known.path, trace.tb_lineno, known.kernel_file))
        trace = trace.tb_next
    return tuple(out)


def is_null_dereference(error: BaseException) -> bool:
    """True if the exception comes of an attribute or a call of None."""
    return "'NoneType' object" in str(error)        # `obj` of an AttributeError is None, too, where nobody has set it
