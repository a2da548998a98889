"""Frozen records with slots, as `dataclasses` makes them, at a fraction of its start-up time.

Importing `dataclasses` pulls `inspect` in, and every class that it makes compiles half a dozen methods: together a
third of a short run. Here one method is compiled per class, when its first value is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, dataclass_transform

_MISSING: Any = object()
Made = TypeVar("Made")


class Spec(NamedTuple):
    """What is known about one field."""

    default: Any = _MISSING
    factory: Any = _MISSING
    repr: bool = True
    compare: bool = True


def field(*, default: Any = _MISSING, default_factory: Any = _MISSING, repr: bool = True, compare: bool = True) -> Any:  # noqa: A002 - the words of `dataclasses`
    """Return more of a field than its type, as `dataclasses.field` does."""
    return Spec(default, default_factory, repr, compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Made]) -> type[Made]:
    """Make a class of annotated names a frozen record: equality, hash and repr by fields, slots.

    >>> @frozen
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1), Point(1) == Point(1, 0), replace(Point(1), y=2)
    (Point(x=1, y=0), True, Point(x=1, y=2))
    """
    named = dict(cls.__dict__)
    given = {name: named.pop(name, _MISSING) for name in named.get("__annotations__", ())}
    fields = {name: one if isinstance(one, Spec) else Spec(one) for name, one in given.items()}
    for name in ("__dict__", "__weakref__"):
        named.pop(name, None)
    named |= _METHODS
    named |= {"__slots__": tuple(fields), "__match_args__": tuple(fields), "__value_fields__": fields}
    kind: Any = type(cls)
    made: Any = kind(cls.__name__, cls.__bases__, named)
    made.__qualname__ = cls.__qualname__
    made.__init__ = _first(made)
    found: type[Made] = made
    return found


def replace(given: Made, **changes: Any) -> Made:
    """Return the same record with some fields changed."""
    kind: Any = type(given)
    return kind(**{name: getattr(given, name) for name in kind.__slots__} | changes)  # type: ignore[no-any-return]


def _first(cls: Any) -> Callable[..., None]:
    """Return an initialiser that compiles the real one in its place."""

    def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: N807 - the class shows it under this name
        cls.__init__ = made = _initialiser(cls)
        made(self, *args, **named)

    return __init__


def _initialiser(cls: Any) -> Callable[..., None]:
    """Compile `__init__`: each value goes straight into its slot."""
    scope: dict[str, Any] = {"_MISSING": _MISSING}
    heads, lines = [], []
    for name, spec in cls.__value_fields__.items():
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        given = name
        if spec.factory is not _MISSING:
            scope[f"_make_{name}"] = spec.factory
            given = f"_make_{name}() if {name} is _MISSING else {name}"
            heads.append(f"{name}=_MISSING")
        elif spec.default is not _MISSING:
            scope[f"_default_{name}"] = spec.default
            heads.append(f"{name}=_default_{name}")
        else:
            heads.append(name)
        lines.append(f"    _set_{name}(self, {given})\n")
    exec(f"def __init__(self, {', '.join(heads)}):\n{''.join(lines)}", scope)  # noqa: S102 - the names are those of the class
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _compared(given: Any) -> tuple[Any, ...]:
    return tuple(getattr(given, name) for name, spec in given.__value_fields__.items() if spec.compare)


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, spec in self.__value_fields__.items() if spec.repr)
    return f"{type(self).__qualname__}({shown})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), tuple(getattr(self, name) for name in self.__slots__)


def _refuse(self: Any, name: str, *_: object) -> None:
    raise AttributeError(f"{type(self).__qualname__} is frozen: {name} cannot be set")


class _Fields:
    """The fields as `dataclasses` knows them, made when its functions ask for them."""

    def __get__(self, given: object, cls: Any) -> dict[str, Any]:
        import dataclasses

        fields = []
        for name, spec in cls.__value_fields__.items():
            more: dict[str, Any] = {"repr": spec.repr, "compare": spec.compare, "kw_only": True}
            more |= {} if spec.default is _MISSING else {"default": spec.default}
            more |= {} if spec.factory is _MISSING else {"default_factory": spec.factory}
            fields.append((name, object, dataclasses.field(**more)))
        made: Any = dataclasses.make_dataclass(cls.__name__, fields)
        found: dict[str, Any] = made.__dataclass_fields__
        return found


_METHODS = {
    "__eq__": _eq, "__hash__": _hash, "__repr__": _repr, "__reduce__": _reduce,
    "__setattr__": _refuse, "__delattr__": _refuse, "__dataclass_fields__": _Fields(),
}  # fmt: skip
