# SPDX-License-Identifier: MIT
"""Places in kernel source: of a stack of frames, and of the traceback of an exception; and the object of a place in memory."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from vmrace.harness.finding import Site

if TYPE_CHECKING:
    from vmrace.harness.link.image import Image


def sites(image: Image, frame: FrameType | None) -> tuple[Site, ...]:
    """Return the kernel functions on the stack that ends in `frame`, outermost first."""
    origin, out = image.origin, []
    while frame is not None:
        known = origin.get(frame.f_code)
        if known is not None:
            out.append(Site(known.function, known.path, frame.f_lineno, known.kernel_file))
        frame = frame.f_back
    return tuple(reversed(out))


def functions(image: Image, frame: FrameType | None) -> tuple[str, ...]:
    """Return the names of the kernel functions on that stack that are no accessors, outermost first; ("user_space",) if there is none."""
    names = [site.function for site in sites(image, frame) if not site.kernel_file.startswith("include/")]
    return tuple(names) or (where(image, frame),)


def where(image: Image, frame: FrameType | None, helpers: Sequence[str] = ()) -> str:
    """Return the name of the innermost kernel function on that stack that is no accessor: the function that a title names.

    Functions of include/ and `helpers` are accessors; one is named only if there is nothing else. "user_space" if there is no kernel
    function.
    """
    return innermost(image, frame, helpers) or "user_space"


def innermost(image: Image, frame: FrameType | None, helpers: Sequence[str] = ()) -> str:
    """Return the same name, or "" if there is no kernel function. Traces ask at every point, so no Site is made."""
    function, _ = _innermost(image, frame, helpers)
    return function


def line(image: Image, frame: FrameType | None) -> str:
    """Return that function with its line, as `zap_pte_range:41`."""
    function, number = _innermost(image, frame, ())
    return f"{function}:{number}"


def _innermost(image: Image, frame: FrameType | None, helpers: Sequence[str]) -> tuple[str, int]:
    origin, accessor = image.origin, ("", 0)
    while frame is not None:
        known = origin.get(frame.f_code)
        if known is not None:
            if not known.kernel_file.startswith("include/") and known.function not in helpers:
                return known.function, frame.f_lineno
            accessor = accessor if accessor[0] else (known.function, frame.f_lineno)
        frame = frame.f_back
    return accessor


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


def outermost(obj: Any) -> str:
    """Return the name of the outermost struct that contains `obj`; the name of `obj` if it stands alone, "" for None."""
    while getattr(obj, "struct", None) is not None:
        obj = obj.struct
    return "" if obj is None else obj if isinstance(obj, str) else str(getattr(obj, "name", obj))
