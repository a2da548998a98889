"""A value is written so that every reader gets that string back, in the style that was there."""

import io

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from krmfn.yamledit.documents import documents
from krmfn.yamledit.scalars import Refusal, is_plain, is_string, quoted, render, single_quoted
from krmfn.yamledit.text import Edit, Text, apply
from tests.lists import scalars

TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True)
TYPED = [
    "1.10", "1.", ".5", "-1", "+1", "00", "089", "0777", "0o17", "017", "08", "0x1F", "0b11", "1_000", "1e3", "1E+3",
    "12e5678", "6e7", "20230101", "1:30", "190:20:30", "190:20:30.15", "2024-01-02", "2001-12-14t21:59:43.10-05:00",
    "on", "Off", "YES", "no", "y", "N", "true", "False", "null", "Null", "~", "", ".inf", "-.INF", ".nan", ".NaN", "=", "<<",
]  # fmt: skip
STRINGS = [
    "1.2.3",
    "v1.0",
    "latest",
    "nan",
    "inf",
    "6e7f4c8",
    "1.2-rc1",
    "sha256:0123",
    "a/b:1.10",
    "0x",
    "0xg",
    "1.2.3e4",
    "on-1",
]


@pytest.mark.parametrize("text", TYPED)
def test_what_some_reader_types_is_no_plain_string(text):
    assert not is_string(text)


@pytest.mark.parametrize("text", STRINGS)
def test_what_no_reader_types_is_a_plain_string(text):
    assert is_string(text)
    assert is_plain(text, in_flow=False)


def readings(text: str) -> list[object]:
    """Read `a: TEXT` by YAML 1.1 and by YAML 1.2."""
    newer = YAML(typ="safe", pure=True)
    return [yaml.safe_load(text)["a"], yaml.load(text, yaml.CSafeLoader)["a"], newer.load(io.StringIO(text))["a"]]


@given(TAGS)
@example("1e3")
@example("12e5678")
@example("0o7")
@example("1_0")
@example("2024-1-2")
def test_a_plain_value_is_the_same_string_to_every_reader(value):
    if is_plain(value, in_flow=False):
        assert readings(f"a: {value}\n") == [value] * 3
    if is_plain(value, in_flow=True):
        assert readings(f"{{a: {value}}}\n") == [value] * 3
        assert readings(f"{{a: {value}, b: c}}\n") == [value] * 3


@given(st.from_regex(r"[0-9a-fA-FxXoO_+.:-]{1,10}", fullmatch=True))
def test_a_plain_value_made_of_number_signs_is_the_same_string_to_every_reader(value):
    if is_plain(value, in_flow=False):
        assert readings(f"a: {value}\n") == [value] * 3


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_double_quotes_hold_any_text(value):
    assert yaml.load(f"a: {quoted(value)}", yaml.CSafeLoader) == {"a": value}


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"), max_size=20
    )
)
def test_single_quotes_hold_any_printable_text(value):
    if value.isprintable():
        assert yaml.load(f"a: {single_quoted(value)}", yaml.CSafeLoader) == {"a": value}


def write(text: str, path: str, value: str) -> str | Refusal:
    source = Text(text.encode())
    found = [one for block in documents(source) for one in scalars(block) if one.path == path]
    assert len(found) == 1, [one.path for block in documents(source) for one in scalars(block)]
    edit = render(source, found[0], value)
    return apply(source.data, [edit]).decode() if isinstance(edit, Edit) else edit


STYLES = {
    "plain stays plain": ("a: x\n", "v1.2", "a: v1.2\n"),
    "plain is quoted for a number": ("a: x\n", "1.10", 'a: "1.10"\n'),
    "a number becomes a plain string": ("a: 1.0\n", "v1.0.1", "a: v1.0.1\n"),
    "a boolean becomes a plain string": ("a: true # c\n", "v1", "a: v1 # c\n"),
    "a null word is replaced": ("a: ~\n", "v1", "a: v1\n"),
    "double quotes stay": ('a: "x"\n', "1.10", 'a: "1.10"\n'),
    "single quotes stay": ("a: 'x'\n", "1.10", "a: '1.10'\n"),
    "a single quote is doubled": ("a: 'x'\n", "it's", "a: 'it''s'\n"),
    "single quotes give way to escapes": ("a: 'x'\n", "a\x07b", 'a: "a\\u0007b"\n'),
    "plain is quoted for signs": ("a: x\n", "b: c", 'a: "b: c"\n'),
    "plain is quoted for a hash": ("a: x\n", "b #c", 'a: "b #c"\n'),
    "plain is quoted for nothing": ("a: x\n", "", 'a: ""\n'),
    "a reference in flow gets quotes": ("{a: x}\n", "r/i:v1", "{a: 'r/i:v1'}\n"),
    "a reference in flow that was plain stays plain": ("{a: r/i:v1, b: y}\n", "r/i:v2", "{a: r/i:v2, b: y}\n"),
    "a word in flow stays plain": ("{a: x, b: y}\n", "v1", "{a: v1, b: y}\n"),
    "JSON stays JSON": ('{"a": "x"}\n', "v1", '{"a": "v1"}\n'),
    "a number in JSON becomes a JSON string": ('{"a": 1.0}\n', "v1", '{"a": "v1"}\n'),
    "an anchor stays": ("a: &b x\nc: *b\n", "v1", "a: &b v1\nc: *b\n"),
    "a string tag stays": ("a: !!str x\n", "1.10", 'a: !!str "1.10"\n'),
    "anchor, tag and comment stay": ("a: &b !!str # c\n  'x'\n", "v1", "a: &b !!str # c\n  'v1'\n"),
    "lines of plain text become one": ("a: x\n  y\nb: c\n", "v1", "a: v1\nb: c\n"),
    "lines of quoted text become one": ('a: "x\n  y"\nb: c\n', "v1", 'a: "v1"\nb: c\n'),
    "nothing behind a colon": ("a:\nb: c\n", "v1", "a: v1\nb: c\n"),
    "nothing before a comment": ("a: # c\nb: c\n", "v1", "a: v1 # c\nb: c\n"),
    "nothing in flow": ("{a: , b: c}\n", "v1", "{a: v1, b: c}\n"),
    "nothing behind an anchor": ("a: &b\nc: *b\n", "v1", "a: &b v1\nc: *b\n"),
    "a literal becomes one line and is stripped": ("a: | # c\n  x\n  y\nb: c\n", "v1", "a: |- # c\n  v1\nb: c\n"),
    "a folded block keeps its style": ("a: >-\n   x\nb: c\n", "1.10", "a: >-\n   1.10\nb: c\n"),
    "an indented literal keeps its indentation": ("a: |2\n    x\nb: c\n", "v1", "a: |-\n    v1\nb: c\n"),
    "blank lines below a literal stay": ("a: |+\n  x\n\n\nb: c\n", "v1", "a: |-\n  v1\n\n\nb: c\n"),
    "a literal at the end without a break": ("a: |\n  x", "v1", "a: |-\n  v1"),
    "a literal without text": ("a: |\nb: c\n", "v1", "a: |-\n  v1\nb: c\n"),
    "a literal with carriage returns": ("a: |\r\n  x\r\nb: c\r\n", "v1", "a: |-\r\n  v1\r\nb: c\r\n"),
    "text before it in other alphabets": ("ä: ö\na: x\n", "v1", "ä: ö\na: v1\n"),
}


@pytest.mark.parametrize(("text", "value", "expected"), STYLES.values(), ids=STYLES.keys())
def test_the_style_is_kept(text, value, expected):
    assert write(text, "a", value) == expected
    assert yaml.load(expected, yaml.CSafeLoader)["a"] == value


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("a: !!float 1.0\n", "v1", "!!float"),
        ("a: !local x\n", "v1", "!local"),
        ("{a}\n", "v1", "no colon"),
        ("a: |\n  x\n", "", "one line"),
        ("a: |\n  x\n", "b\nc", "one line"),
        ("a: >\n  x\n", " b", "one line"),
    ],
)
def test_what_cannot_be_written_safely_is_refused(text, value, why):
    answer = write(text, "a", value)
    assert isinstance(answer, Refusal)
    assert why in answer.why


@given(
    st.sampled_from(
        [
            "a: {}\nz: e\n",
            "a: '{}'\n",
            'a: "{}"\n',
            "{{a: {}, z: e}}\n",
            '{{"a": "{}"}}\n',
            "a: |\n  {}\nz: e\n",
            "- a: {}\n",
        ]
    ),
    st.sampled_from(["x", "foo:v1", "1.0", "null"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
def test_any_value_comes_back_from_any_style(template, old, value):
    text = template.format(old)
    path = "[0].a" if text.startswith("-") else "a"
    if "{a:" in text and ":" in old:
        return
    answer = write(text, path, value)
    if isinstance(answer, Refusal):
        assert "|" in text
        return
    data = yaml.load(answer, yaml.CSafeLoader)
    data = data[0] if isinstance(data, list) else data
    assert data["a"] == value
    assert data.get("z", "e") == "e"
