"""Records of `krmfn.namedtuple` do what those of `typing.NamedTuple` do."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from krmfn.namedtuple import NamedTuple


class Whole(typing.NamedTuple):
    """A record."""

    name: str
    size: int = 1
    parts: tuple[str, ...] = ()

    @property
    def is_big(self) -> bool:
        return self.size > 10


class Spare(NamedTuple):
    """A record."""

    name: str
    size: int = 1
    parts: tuple[str, ...] = ()

    @property
    def is_big(self) -> bool:
        return self.size > 10


CALLS = [
    (("a",), {}),
    (("a", 20), {}),
    (("a", 20, ("b",)), {}),
    (("a",), {"parts": ("b",)}),
    ((), {"parts": ("b",), "name": "a"}),
    ((), {}),
    ((), {"size": 2}),
    (("a", 2, (), 4), {}),
    (("a",), {"name": "b"}),
    (("a", 2, ()), {"size": 2}),
    (("a",), {"colour": 2}),
]


@pytest.mark.parametrize(("values", "named"), CALLS)
def test_a_record_is_constructed_as_one_of_the_standard_library(values, named):
    try:
        expected = Whole(*values, **named)
    except TypeError:
        with pytest.raises(TypeError, match="Spare"):
            Spare(*values, **named)
        return
    record = Spare(*values, **named)
    assert (tuple(record), hash(record)) == (tuple(expected), hash(expected))
    assert (record.name, record.size, record.parts, record.is_big) == (expected.name, expected.size, expected.parts, expected.is_big)
    assert (repr(record), record._asdict()) == (repr(expected).replace("Whole", "Spare"), expected._asdict())


def test_a_record_can_be_replaced_matched_and_copied():
    record = Spare("a", 2)
    assert (record._replace(size=3), type(record._replace(size=3))) == (("a", 3, ()), Spare)
    with pytest.raises(TypeError, match="colour"):
        record._replace(colour=1)  # type: ignore[call-arg]
    match record:
        case Spare(name, size=size):
            assert (name, size) == ("a", 2)
    for other in (copy.deepcopy(record), copy.copy(record), pickle.loads(pickle.dumps(record))):
        assert (other, type(other)) == (record, Spare)


def test_a_record_cannot_be_changed_and_has_no_dictionary():
    record = Spare("a")
    with pytest.raises(AttributeError):
        record.name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        record.other = "b"  # type: ignore[attr-defined]
    assert not hasattr(record, "__dict__")


def test_a_class_tells_of_itself_as_one_of_the_standard_library():
    told = ("_fields", "_field_defaults", "__match_args__", "__doc__", "__module__", "__slots__")
    assert [getattr(Spare, name) for name in told] == [getattr(Whole, name) for name in told]
    assert issubclass(Spare, tuple)
    assert type(Spare) is type
    assert typing.get_type_hints(Spare) == typing.get_type_hints(Whole)
