"""The order in which diagnostics are told, and that each is told once."""

from __future__ import annotations

from itertools import permutations

from krmfn.diagnostics import in_order
from krmfn.model import Diagnostic, Field, File, Location


def test_the_order_is_severity_then_place_whatever_came_first():
    error = Diagnostic("error", "not-chosen", "z", Location(file=File("b.yaml", 3)))
    warning = Diagnostic("warning", "source", "a")
    first = Diagnostic("info", "changed", "m", Location(field=Field("spec.a"), file=File("a.yaml", 1)))
    second = Diagnostic("info", "changed", "m", Location(field=Field("spec.b"), file=File("a.yaml", 1)))
    for some in permutations([error, warning, first, second]):
        assert in_order(some) == (error, warning, first, second)


def test_a_repeat_is_dropped_and_what_differs_in_code_alone_is_none():
    one = Diagnostic("warning", "source", "a helper broke")
    other = Diagnostic("warning", "choice", "a helper broke")
    assert in_order([one, other, one, other, one]) == (one, other)
