"""Markers are read and written as Flux does, and what Flux does not read is said."""


import pytest
import yaml

from krmfn.errors import InputError
from krmfn.yamledit import markers, scalars
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Edit, Text, apply
from tests.tables import rows, table
from tests.waiting import thrifty

ROWS = [
    row
    for kind in sorted({row["kind"] for row in table("flux_markers")["cases"]})
    for row in rows("flux_markers", kind)
]
MARK = '# {"$imagepolicy": "ns:p"}'


def read(text: str) -> list[tuple[str, str, str]]:
    return [
        (marker.scalar.path, marker.scalar.value, marker.setter)
        for block in documents(Text(text.encode()))
        for marker in markers.read(block)
    ]


def ignored(text: str) -> list[tuple[str, str]]:
    return [(one.setter, one.code) for block in documents(Text(text.encode())) for one in markers.ignored(block)]


def update(data: bytes, setters: dict[str, str]) -> tuple[bytes, list[tuple[str, str, str]]]:
    """Apply markers as a run does: what is up to date or names no policy stays."""
    text, edits, changes = Text(data), [], []
    for block in documents(text):
        for marker in markers.read(block):
            value = setters.get(marker.setter)
            if value is not None and value != marker.scalar.value:
                edit = scalars.render(text, marker.scalar, value)
                assert isinstance(edit, Edit), edit
                edits.append(edit)
                changes.append((marker.scalar.value, value, marker.setter))
    return apply(data, edits), changes


def run(row):
    """Update the files of a row; a file that is no YAML is left alone, as Flux does it."""
    outputs, changes = {}, []
    for name, content in row["files"].items():
        try:
            outputs[name], made = update(content.encode(), row["setters"])
        except InputError:
            outputs[name], made = content.encode(), []
        changes += made
    return outputs, changes


def test_the_table_has_rows_that_change_and_rows_that_do_not():
    assert len(ROWS) > 100
    assert {bool(row["expected_changes"]) for row in ROWS} == {True, False}


def values(text: bytes) -> list[object]:
    """Read every document as nested tuples of texts, keys of any shape included."""

    def plain(node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return tuple((plain(key), plain(value)) for key, value in node.value)
        return tuple(map(plain, node.value)) if isinstance(node, yaml.SequenceNode) else node.value

    return [plain(root) for root in yaml.compose_all(text, yaml.CBaseLoader) if root.value]


OBEYED = {"mrk-057": "a comment with its own setter writes what it says", "mrk-132": "empty annotations are dropped"}
"""Rows whose other bytes Flux changes in ways that krmfn does not."""
WRITTEN = [row for row in ROWS if set(row["expected_changed_files"]) <= set(row["files"]) and row["id"] not in OBEYED]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['id']}-{row['label']}")
def test_the_same_values_change_as_in_flux(row):
    outputs, changes = run(row)
    assert sorted(changes) == sorted((one["old"], one["new"], one["setter"]) for one in row["expected_changes"])
    if not row["expected_changes"]:
        assert outputs == {name: content.encode() for name, content in row["files"].items()}


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row["id"])
def test_the_files_hold_the_values_that_flux_writes(row):
    outputs, _ = run(row)
    for name, expected in row["expected_changed_files"].items():
        assert values(outputs[name]) == values(expected.encode())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_second_run_changes_nothing(row):
    outputs, _ = run(row)
    again, changes = run({**row, "files": {name: data.decode() for name, data in outputs.items()}})
    assert again == outputs
    assert changes == []


READ = {
    "behind a value": (f"a: x {MARK}\n", "a"),
    "behind an item": (f"a:\n- x {MARK}\n", "a[0]"),
    "behind a nested value": (f"a:\n- b:\n    c.d: x {MARK}\n", "a[0].b['c.d']"),
    "above the first item": (f"a:\n{MARK}\n- x\n", "a[0]"),
    "above a later item": (f"a:\n- z\n{MARK}\n- x\n", "a[1]"),
    "behind the dash": (f"a:\n- {MARK}\n  x\n", "a[0]"),
    "on its own line between key and value": (f"a:\n  {MARK}\n  x\n", "a"),
    "behind an anchor": (f"a: &b {MARK}\n  x\n", "a"),
    "behind a comma": (f"a: [\n  x, {MARK}\n  y]\n", "a[0]"),
    "before the closing bracket": (f"a: [y,\n  x {MARK}\n]\n", "a[1]"),
    "above an entry in flow": (f"a: [y,\n  {MARK}\n  x]\n", "a[1]"),
    "behind a block scalar's header": (f"a: |- {MARK}\n  x\n", "a"),
    "with carriage returns": (f"a: x {MARK}\r\nb: y\r\n", "a"),
    "after letters that are more than a byte": (f"ä: ö # ü\na: x {MARK}\n", "a"),
    "in a second document": (f"b: y\n---\na: x {MARK}\n", "a"),
    "right behind a quote": (f'a: "x"{MARK}\n', "a"),
    "behind a value with a hash in it": (f"a: y\nb: ng#x {MARK}\n".replace("ng#x", "'x'"), "b"),
    "at the end of the text": (f"a: x {MARK}", "a"),
    "after a next line character": (f"a: x {MARK}\x85b: y\n", "a"),
    "behind a tab": (f"a: x\t{MARK}\n", "a"),
    "behind a complex key's value": (f"? k\n: x {MARK}\n", "k"),
}


@pytest.mark.parametrize(("text", "path"), READ.values(), ids=READ.keys())
def test_a_marker_is_read(text, path):
    assert read(text) == [(path, "x", "ns:p")]
    assert ignored(text) == []


IGNORED = {
    "above a key": (f"{MARK}\na: x\n", "above"),
    "above a key, below another": (f"b: y\n{MARK}\na: x\n", "above"),
    "above an item that is a mapping": (f"a:\n{MARK}\n- b: x\n", "above"),
    "above an item, with a blank line between": (f"a:\n- y\n{MARK}\n\n- x\n", "above"),
    "above a note above an item": (f"a:\n- y\n{MARK}\n# note\n- x\n", "above"),
    "below the last item": (f"a:\n- x\n{MARK}\n", "above"),
    "on a key with a mapping": (f"a: {MARK}\n  b: x\n", "key"),
    "on a key with a list": (f"a: {MARK}\n- x\n", "key"),
    "on a key with its value below": (f"a: {MARK}\n  x\n", "key"),
    "behind a flow mapping": (f"a: {{b: x}} {MARK}\n", "flow"),
    "behind a flow list": (f"a: [x] {MARK}\n", "flow"),
    "behind nothing": (f"a: {MARK}\nb: x\n", "empty"),
    "behind an alias": (f"b: &b x\na: *b {MARK}\n", "alias"),
    "with text before it": ('a: x # see {"$imagepolicy": "ns:p"}\n', "text"),
    "with text behind it": (f"a: x {MARK} see\n", "text"),
    "with a value that is no string": ('a: x # {"$imagepolicy": "ns:p", "b": 1}\n', "values"),
    "with a note above it and a line comment": (f"a:\n- y\n{MARK}\n- x # note\n", "above"),
}


@pytest.mark.parametrize(("text", "code"), IGNORED.values(), ids=IGNORED.keys())
def test_what_flux_does_not_read_is_reported(text, code):
    assert read(text) == []
    assert ignored(text) == [("ns:p", code)]


SILENT = {
    "in a literal": f"a: |\n  b: x {MARK}\n",
    "in a literal's own comment line": f"a: |\n  b\n  {MARK}\n",
    "in double quotes": 'a: "x # {\\"$imagepolicy\\": \\"ns:p\\"}"\n',
    "in single quotes over lines": f"a: 'x\n  b: y {MARK}\n  '\n",
    "part of a plain value": 'a: x#{"$imagepolicy":"ns:p"}\n',
    "a root that is a scalar": f"x {MARK}\n",
    "a root that is a list": f"- x {MARK}\n",
    "another word": 'a: x # {"$setter": "ns:p"}\n',
    "no document": f"{MARK}\n",
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT.keys())
def test_what_is_no_comment_or_no_marker_is_passed_over(text):
    assert read(text) == []
    assert ignored(text) == []


@pytest.mark.parametrize(
    ("comment", "setter"),
    [
        ('# {"$imagepolicy": "ns:p"}', "ns:p"),
        ('##{"$imagepolicy":"ns:p:tag"}  ', "ns:p:tag"),
        ('# {"\\u0024imagepolicy": "ns:p"}', "ns:p"),
        ('# {"$imagepolicy": "ns%3Ap"}', "ns:p"),
        ('# {"$imagepolicy": "ns:p", "note": "kept"}', "ns:p"),
        ('# {"$imagepolicy": "ns:p", "note": null}', "ns:p"),
        ('# {"$imagepolicy": "ns:q", "$imagepolicy": "ns:p"}', "ns:p"),
        ('# {"$ref": "#/definitions/io.k8s.cli.setters.ns:p"}', "ns:p"),
        ('# {"$imagepolicy": 1, "$ref": "#/definitions/io.k8s.cli.setters.ns:p"}', "ns:p"),
        ('# {"$ref": "#/definitions/io.k8s.cli.setters.ns:p~01"}', "ns:p~1"),
        ('# {"$imagepolicy": " ns:p"}', " ns:p"),
        ('# # {"$imagepolicy": "ns:p"}', None),
        ('# {"$imagepolicy": "ns/p"}', None),
        ('# {"$imagepolicy": "ns%3"}', None),
        ('# {"$imagepolicy": ""}', None),
        ('# {"$imagepolicy": "ns:p", "n": NaN}', None),
        ('# {"$imagepolicy": "ns:p"} {}', None),
        ("# {'$imagepolicy': 'ns:p'}", None),
        ('# {"x-k8s-cli":{"setter":{"name":"a","value":"evil"}}}', None),
        ("# []", None),
        ("# " + "[" * 100_000, None),
        ("#", None),
    ],
)
def test_a_comment_is_decoded_as_kyaml_does(comment, setter):
    assert markers.setter_of(comment) == setter


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a: x # " + '{"$imagepolicy": "ns:p"} ' * 200_000,
        "a: '" + MARK * 100_000 + "'\n",
        "a:\n- x\n" + f"{MARK}\n" * 50_000 + "- y\n",
        "a: x\n" + f"{MARK}\n" * 20_000,
        "a:\n" + f"- x {MARK}\n" * 20_000,
        "a: {" + ", ".join(f'k{i}: "x # {{\\u0024"' for i in range(20_000)) + "}\n",
        "ä:\n" + f"- ö {MARK}\n" * 20_000,
    ],
    ids=["fakes on one line", "one quoted scalar", "comments in a row", "comments at the end", "a long list", "one flow line", "not ASCII"],
)
def test_reading_takes_time_in_proportion_to_the_text(text):
    block = documents(Text(text.encode()))[0]
    assert block.root is not None
    with thrifty():
        list(markers.read(block))
        list(markers.ignored(block))
