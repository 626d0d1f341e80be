# SPDX-License-Identifier: MIT
"""Declared structs: each field names the lock that guards it, or has none.

    guarded(default, LOCK, ...)   needs one of these locks at every access. An access is no point; without a lock it is a finding.
    racy(default, LOCK, ...)      needs one of these locks at every store. Stores are points, and so are loads without a lock.
    racy(default)                 needs no lock. Every access is a point.
    device(default, LOCK, ...)    as racy, but hardware stores it without the lock, so every load is a point, too.
    plain(default)                belongs to one owner, or is constant. An access is neither a point nor a check.
    embed(type, ...)              an atomic_t, flags_t, list_head, lock, wait queue or other struct inside this one.

LOCK is "name" (a global of the image; in a program of plain functions the lock of that name), ".field" (in the same object),
".path.to.field", or ".flags#PG_locked", which is held while that bit is set.

The core that an image is linked for decides how a field is kept: in a plain slot if nothing is watched, else as a property that
is a point, a check, or both. The stored slot of a watched field is `_field`.

A struct of a slab cache may say `lives_while = "FIELD"`: a plain field that is true while the object is allocated. The core "checked" then
reports each access to another field of an object that is not (see lifetime). On other cores this costs nothing.

For plain functions no linker vouches for a declaration. A plain field is then a point as well, and so is an access to a guarded field
without its lock. In a program that frees memory every access is a point, because memory can be freed whichever lock is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.registry import Core, core_now, register
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.run_log import touched
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers.lifetime import in_the_slab
from vmrace.harness.sanitizers.lockset import check_guard

if TYPE_CHECKING:
    from vmrace.harness.sanitizers.lifetime import Freed


class Field:
    """A scalar field: its `kind` (one of the four words in the module's table), its default, and the locks that guard it."""

    def __init__(self, kind: str, default: Any, guards: tuple[str, ...]):
        assert kind in ("guarded", "racy", "device", "plain"), kind
        assert kind != "guarded" or guards, "a guarded field must name its lock"
        self.kind = kind
        self.default = default
        self.guards = guards


class Embedded:
    """A field that is an object of its own: `cls(name, *args, **kwargs)` makes it for each struct."""

    def __init__(self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.cls = cls
        self.args = args
        self.kwargs = kwargs


# These return Any, for a field is used as a value of the type of its default.
def guarded(default: Any, *guards: str) -> Any:
    return Field("guarded", default, guards)


def racy(default: Any, *guards: str) -> Any:
    return Field("racy", default, guards)


def device(default: Any, *guards: str) -> Any:
    return Field("device", default, guards)


def plain(default: Any) -> Any:
    return Field("plain", default, ())


def embed(cls: type, *args: Any, **kwargs: Any) -> Any:
    return Embedded(cls, args, kwargs)


class StructMeta(type):
    """The type of declared structs: it builds slots and properties from the fields, for the core that is being linked."""

    slot_of: dict[str, str]
    state_slots: tuple[str, ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **kwargs: Any) -> StructMeta:
        if not bases:
            return super().__new__(mcs, name, bases, body)
        core = core_now()
        alive = body.get("lives_while", getattr(bases[0], "lives_while", ""))
        fields: dict[str, Field] = {}
        embedded: dict[str, Embedded] = {}
        for base in bases:
            fields |= getattr(base, "fields", {})
            embedded |= getattr(base, "embedded", {})
        own: dict[str, Any] = {}
        slots = []
        for key, value in body.items():
            if isinstance(value, Field):
                fields[key] = value
                source = (_source_for_functions(key, value) if core.name == "functions" else
                          _property_source(key, value, core.name, alive if key != alive else ""))
                slots.append("_" + key if source else key)
                if source:
                    own[key] = _property(source, key, value, core)
            elif isinstance(value, Embedded):
                embedded[key] = value
                slots.append(key)
            else:
                own[key] = value
        own["__slots__"] = tuple(slots)
        own["fields"] = fields
        own["embedded"] = embedded
        cls = super().__new__(mcs, name, bases, own)
        for key in fields:
            if not hasattr(cls, "_" + key):
                setattr(cls, "_" + key, getattr(cls, key))      # `_field` is the stored slot in every core
        cls.slot_of = {key: "_" + key if isinstance(getattr(cls, key, None), property) else key for key in fields}
        linked = any(inner.cls is list_head for inner in embedded.values())
        may_be_free = linked or core.frees or core.name == "functions"          # see lifetime
        cls.state_slots = (*cls.slot_of.values(), "allocated") if may_be_free else tuple(cls.slot_of.values())
        return cls


class struct(metaclass=StructMeta):
    """The base of declared structs.

    `struct(name, field=value, ...)` makes one; AssertionError if it has no such field. `struct` is the struct that embeds it, if any.
    `allocated` belongs to the sanitizer lifetime: True, or a false value that says where the struct was freed.
    """

    __slots__ = ("allocated", "name", "struct")
    lives_while = ""
    fields: dict[str, Field] = {}
    embedded: dict[str, Embedded] = {}
    slot_of: dict[str, str] = {}
    state_slots: tuple[str, ...] = ()

    def __init__(self, name: str, struct: struct | None = None, **initial: Any):
        self.name = name
        self.struct = struct
        self.allocated: bool | Freed = True
        for key, field in self.fields.items():
            setattr(self, self.slot_of[key], initial.pop(key, field.default))
        for key, inner in self.embedded.items():
            setattr(self, key, self._embed(key, inner))
        assert not initial, f"{type(self).__name__} has no field {', '.join(initial)}"
        register(self)

    def _embed(self, key: str, inner: Embedded) -> Any:
        kwargs = dict(inner.kwargs)
        if "cls" in getattr(inner.cls, "__slots__", ()):
            kwargs["cls"] = f"{type(self).__name__}.{key}"
        return inner.cls(f"{self.name}.{key}", *inner.args, struct=self, **kwargs)

    def __repr__(self) -> str:
        return self.name


class array:
    """An array of fixed length. The items of a `guarded_array` or a `racy_array` are watched as fields of that kind are."""

    __slots__ = ("items", "name", "struct")
    state_slots = ("items[:]",)
    guards: tuple[str, ...] = ()            # of each item, relative to the array

    def __init__(self, name: str, length: int, default: Any, *guards: str, struct: struct | None = None):
        self.name = name
        self.items = [default] * length
        self.struct = struct
        register(self)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return self.name


def _array_class(kind: str) -> type[array]:
    """Return a class that makes, when it is called, an array of the class for the core that is being linked."""

    class chosen(array):
        __slots__ = ()

        def __new__(cls, name: str, length: int, default: Any, *guards: str, struct: struct | None = None) -> Any:
            core = core_now()
            made: Any = array.__new__(_array_for(kind, guards, core))
            made.__init__(name, length, default, *guards, struct=struct)
            return made

    chosen.__name__ = f"{kind}_array"
    return chosen


guarded_array = _array_class("guarded")
racy_array = _array_class("racy")


# ---- code for watched fields -------------------------------------------------------------------------------------------

_POINT = """
    m.step = s = m.step + 1
    if s >= m.stop: m.sched({kind}, {obj}, {arg})"""


# Checks of the family read fields, too, while no task runs. These reads belong to no event.
_ALIVE = """
    if m.current.id != -1:
        if m.explorer is not None or m.log is not None: touched(m, (self, '{alive}'), READ)
        if not self.{alive}: in_the_slab(m, self, '{key}')"""


def guard_test(guards: tuple[str, ...], up: bool, me: str = "me", loads: bool = False, named: str = "{}") -> str:
    """Return Python source that is true if the task `me` holds one of `guards` of the object `self`; "" if there are no guards.

    `loads`: the access is a load, so the lock may be shared with other readers. `up`: ask the task only, as a lock of a kernel for
    one cpu has no owner. `named`: a format that turns the name of a global into source.
    """
    tests = []
    holds = "shares" if loads else "holds"
    for guard in guards:
        path, _, bit = guard.partition("#")
        where = f"self{path}" if path.startswith(".") else named.format(path)
        bit = bit if bit.isdigit() else named.format(bit) if bit else ""
        if bit:
            tests.append(f"({where}.word >> {bit} & 1)")
        elif up:
            tests.append(f"{me}.held.{holds}({where})")
        else:
            tests.append(f"({where}.owner is {me} or {me}.held.{holds}({where}))")
    return " or ".join(tests)


def _property_source(key: str, field: Field, core: str, alive: str = "") -> str:
    """Return the source of `get` and `put` for a field, or "" if a plain slot is enough. `alive`: see the docstring of the module."""
    life = _ALIVE.format(alive=alive, key=key) if alive and core == "checked" else ""
    if core == "floor" or (field.kind == "plain" and not life) or (core == "fast" and field.kind == "guarded"):
        return ""
    up = core == "up"
    load_check, check = (
        f"\n    me = m.current\n    if not ({test}): check_guard(m, self, None, {key!r})" if test and core != "fast" else ""
        for test in (guard_test(field.guards, up, loads=True), guard_test(field.guards, up)))
    read = _POINT.format(kind="READ", obj="self", arg=repr(key))
    write = _POINT.format(kind="WRITE", obj="self", arg=repr(key))
    if field.kind == "plain":
        get = put = ""
    elif field.kind == "guarded":
        read = write = read if up else ""
        get = read + load_check
        put = (_POINT.format(kind="WRITE", obj="self", arg=repr(key)) if up else "") + check
    else:
        exclusive = [guard for guard in field.guards if "#" not in guard]
        if exclusive and not up and field.kind == "racy":
            owned = " or ".join(
                (f"self{guard}" if guard.startswith(".") else guard) + ".owner is m.current" for guard in exclusive)
            get = f"\n    if not ({owned}):" + read.replace("\n", "\n    ")
        else:
            get = read
        put = write + check
    return f"def get(self, m=m):{get}{life}\n    return self._{key}\ndef put(self, value, m=m):{put}{life}\n    self._{key} = value\n"


GLOBAL = "m.image.namespace['{}']"          # plain functions share no globals: see names_of in harness/link/guards.py


def _source_for_functions(key: str, field: Field) -> str:
    """Return the same for plain functions. The check comes after the access, which reports free memory: that is the worse finding."""
    def tests(loads: bool) -> str:
        return guard_test(field.guards, True, loads=loads, named=GLOBAL)

    owned = " or ".join(f"me.held.holds({f'self{guard}' if guard.startswith('.') else GLOBAL.format(guard)})"
                        for guard in field.guards if "#" not in guard)
    bits = any("#" in guard for guard in field.guards)          # another task may set the bit, so a set bit proves no holder
    quiet_get = {"guarded": "" if bits else tests(True), "racy": owned}.get(field.kind, "")
    quiet_put = tests(False) if field.kind == "guarded" and not bits else ""

    def accessor(name: str, kind: str, quiet: str, access: str, test: str) -> str:
        point = _POINT.format(kind=kind, obj="self", arg=repr(key)).replace("\n", "\n    ")
        seen = f"me.id != -1 and (m.image.frees or not ({quiet}))" if quiet else "me.id != -1"
        looks = "".join(f"\n        if m.explorer is not None or m.log is not None: touched(m, ({word}, {bit}), READ)"
                        for word, bit in _bits(field.guards))
        check = f"\n        if not ({test}): check_guard(m, self, None, {key!r})" if test else ""
        return (f"def {name}, m=m):\n    me = m.current\n    if {seen}:{point}{looks}\n        {access}{check}"
                f"\n    else:\n        {access}\n")

    get = accessor("get(self", "READ", quiet_get, f"value = self._{key}", tests(True) if field.kind == "guarded" else "")
    put = accessor("put(self, value", "WRITE", quiet_put, f"self._{key} = value", tests(False))
    return f"{get}    return value\n{put}"


def _bits(guards: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return, as source, the words and bits that a test of `guards` reads."""
    parts = [guard.partition("#") for guard in guards if "#" in guard]
    return [(f"self{path}" if path.startswith(".") else GLOBAL.format(path), bit if bit.isdigit() else GLOBAL.format(bit))
            for path, _, bit in parts]


def _property(source: str, key: str, field: Field, core: Core) -> property:
    scope: dict[str, Any] = {}
    globals_ = core.namespace
    globals_.update(m=m, touched=touched, READ=READ, WRITE=WRITE, RMW=RMW, check_guard=check_guard, in_the_slab=in_the_slab)
    exec(compile(source, f"<field {key}>", "exec"), globals_, scope)
    return property(scope["get"], scope["put"])


def _array_for(kind: str, guards: tuple[str, ...], core: Core) -> type[array]:
    inner = tuple(guard.replace(".", ".struct.", 1) if guard.startswith(".") else guard for guard in guards)
    if core.name == "floor" or (core.name == "fast" and kind == "guarded"):
        source = "def get(self, i, m=m):\n    return self.items[i]\ndef put(self, i, value, m=m):\n    self.items[i] = value\n"
    else:
        field = Field(kind, None, inner)
        source = _source_for_functions("x", field) if core.name == "functions" else _property_source("x", field, core.name)
        source = source.replace("(self, value, m=m)", "(self, i, value, m=m)").replace("(self, m=m)", "(self, i, m=m)")
        source = source.replace("self, 'x')", "self, i)").replace("self._x", "self.items[i]").replace("self, None, 'x'", "self, None, i")
    if source not in core.classes:
        scope: dict[str, Any] = {}
        core.namespace.update(m=m, touched=touched, READ=READ, WRITE=WRITE, RMW=RMW, check_guard=check_guard)
        exec(compile(source, "<array>", "exec"), core.namespace, scope)
        body = {"__slots__": (), "__getitem__": scope["get"], "__setitem__": scope["put"], "guards": inner}
        core.classes[source] = type(f"{kind}_array", (array,), body)
    return core.classes[source]
