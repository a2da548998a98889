"""Globs of repositories, policies and URIs: what they match, and that no glob takes long."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from krmfn.globs import matches


@given(st.text("ab/\n*", max_size=9), st.text("ab/\n", max_size=9))
def test_a_glob_means_the_expression_that_is_written_for_it(glob: str, name: str):
    parts = re.split(r"(\*+)", glob)
    expression = "".join("[^/]*" if part == "*" else ".*" if part.startswith("**") else re.escape(part) for part in parts)
    assert matches(glob, name) == (re.fullmatch(expression, name, re.DOTALL) is not None)


def test_a_glob_of_many_stars_takes_no_time():
    """As a regular expression twelve stars take longer than anybody waits; the name may be any repository's."""
    assert not matches("*a" * 60 + "*b", "a" * 2000)
    assert matches("**a*" * 60 + "**", "a/" * 1000)
