"""The same comment decides about the same scalar as in kyaml, for texts that no person would write."""

import pytest

from krmfn.errors import InputError
from krmfn.yamledit import markers
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.tables import table

TABLE = table("markers_kyaml")
KNOWN = {"ns:p", "ns:q", "ns:p:tag", "ns:p:name"}
DIFFERS = {
    "text-21": "an unknown setter in the short form hides the long form beside it",
    "text-45": "kyaml reads the comment as a schema too, and a type that is no string spoils that",
}
"""Rows whose answer is another one, and why."""
REFUSED = {"place-349": "libyaml takes no tab behind the colon of an explicit key"}


def test_the_tables_have_rows():
    assert len(TABLE["placements"]) > 400
    assert sum(bool(row["markers"]) for row in TABLE["placements"]) > 200
    assert len(TABLE["decoded"]) > 50
    assert DIFFERS.keys() <= {row["id"] for row in TABLE["decoded"]}


@pytest.mark.parametrize("row", [row for row in TABLE["placements"] if row["id"] in REFUSED], ids=lambda row: row["id"])
def test_what_only_one_parser_reads_is_refused(row):
    with pytest.raises(InputError):
        documents(Text(row["text"].encode()))


@pytest.mark.parametrize(
    "row", [row for row in TABLE["placements"] if row["id"] not in REFUSED], ids=lambda row: row["id"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_comment_decides_about_the_same_scalar(row, newline):
    text = Text(row["text"].replace("\n", newline).encode())
    found = [marker for block in documents(text) for marker in markers.read(block)]
    assert [[one.scalar.value, one.setter] for one in found if one.setter in KNOWN] == [
        answer[1:] for answer in row["markers"]
    ]


@pytest.mark.parametrize(("column", "values"), [(0, []), (1, ["a"])])
def test_dedented_comments_run_together_in_one_column_alone(column, values):
    """yaml.v3 makes a foot of what stands above a comment in another column left of the indentation."""
    text = Text(f'  k:\n{" " * column}# x\n# {{"$imagepolicy": "ns:p"}}\n   a\n'.encode())
    assert [marker.scalar.value for block in documents(text) for marker in markers.read(block)] == values


@pytest.mark.parametrize("row", TABLE["decoded"], ids=lambda row: row["id"])
def test_a_comment_names_the_same_setter(row):
    setter = markers.setter_of(row["comment"])
    assert ((setter if setter in KNOWN else None) == row["setter"]) is (row["id"] not in DIFFERS)
