"""`typing.NamedTuple` for the records of a short run; type checkers see the original.

That of the standard library needs `typing`, and compiles a constructor for every class: a third of a short run, which makes one
record of most classes. Here all classes share one constructor.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Self
else:
    _new = tuple.__new__
    _field = type(namedtuple("_One", "field").field)  # noqa: PYI024 - the descriptor that reads a field by its number, in C

    class _Record(tuple):
        """What the records of all classes do."""

        __slots__ = ()

        def __new__(cls, *values: object, **named: object) -> Self:
            fields = cls._fields
            if named or len(values) != len(fields):
                known = {**cls._field_defaults, **named}
                try:
                    values = (*values, *map(known.pop, fields[len(values) :]))
                except KeyError as missing:
                    raise TypeError(f"{cls.__name__}() lacks {missing}") from None
                if len(values) > len(fields) or not named.keys().isdisjoint(known):
                    raise TypeError(f"{cls.__name__}() takes {', '.join(fields)}, each once")
            return _new(cls, values)

        def _replace(self, **named: object) -> _Record:
            replaced = _new(type(self), map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"{type(self).__name__}() has no {', '.join(named)}")
            return replaced

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            fields = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self) -> tuple[object, ...]:
            return tuple(self)

    class _Declaration(type):
        """Turns the body of a class whose base is NamedTuple into a class of records."""

        def __new__(cls, name: str, _bases: tuple[type, ...], body: dict[str, object]) -> type:
            fields = tuple(body["__annotations__"])
            body["_field_defaults"] = {field: body.pop(field) for field in fields if field in body}
            body.update((field, _field(number, None)) for number, field in enumerate(fields))
            return type(name, (_Record,), {**body, "_fields": fields, "__match_args__": fields, "__slots__": ()})

    NamedTuple = type.__new__(_Declaration, "NamedTuple", (), {})
