"""The one table of forms: what `krmfn check` finds, what `krmfn update` writes by image name, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.kubernetes import finder, forms
from krmfn.yamledit import scalars
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Edit, Text, apply
from tests import images
from tests.running import run

if TYPE_CHECKING:
    from krmfn.kubernetes.places import Place

ROOT = Path(__file__).resolve().parent.parent
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in yaml.safe_load((ROOT / "fixtures/forms/forms.yaml").read_text())
}
LOOKS = tuple(
    dict.fromkeys(
        (
            *((row.code, row.looks) for row in forms.REFERENCES),
            *((row.code, row.looks) for row in forms.PAIRS),
            *((row.code, row.looks) for row in forms.CHARTS),
            *forms.OTHERS.items(),
        )
    )
)
TIME = "2026-01-01T00:00:00Z"
OFFERED = {
    "ghcr.io/acme/web": dict.fromkeys(("1.0.0", "1.1.0", "1.2.0", "1.3.0"), TIME),
    "docker.io/acme/web": {"1.3.0": TIME},
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("layout")
    images.write(place, OFFERED)
    return place


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for every case, and one policy."""
    folder = tmp_path_factory.mktemp("tree")
    for index, case in enumerate(CASES.values()):
        (folder / f"{index:03}.yaml").write_text(case["text"])
    return folder


def file_of(name: str) -> str:
    return f"{list(CASES).index(name):03}.yaml"


@pytest.fixture(scope="module")
def checked(tree: Path, layout: Path) -> dict[str, list[dict[str, Any]]]:
    done = run(["krmfn", "check", ".", "--source", f"layout:{layout}", "-o", "json"], cwd=tree)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(done.stdout)["images"]:
        for place in one["places"]:
            found.setdefault(place["path"], []).append(place | {"tag": one["tag"]})
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_found_and_nothing_else(checked: dict[str, list[dict[str, Any]]], name: str):
    case = CASES[name]
    places = sorted(checked.get(file_of(name), ()), key=lambda place: (place["line"], place["column"]))
    assert [place["form"] for place in places] == case["forms"]
    lines = case["text"].splitlines()
    for place in places:
        assert place["sure"] == (place["tag"] == "1.2.0"), place
        assert place["tag"] != "1.0.0", place
        assert place["sure"] or place["why"], place
        at = lines[place["line"] - 1][place["column"] - 1 :]
        assert place["tag"] is None or place["tag"] in at, "the column leads to the version"


@pytest.mark.parametrize("name", [name for name in CASES if "filled in" not in name])
def test_no_form_is_hidden_by_the_words_of_a_text(name: str):
    """Whatever the host: cases name one that is a word itself. A flag of a build stands beside an image, if not in the case."""
    text = CASES[name]["text"].replace("ghcr.io/acme/", "acme/")
    worded = re.sub(r"(?m)^(?=---)|\Z", "# [image: ]\n", text)
    found, all_of_them = ([(place.form, place.field) for place in places_in(one) if place.form != "flag"] for one in (text, worded))
    assert found == all_of_them, "the text holds none of the words of forms._WORDS, so that no row is looked at: add the key"


def test_every_row_of_the_table_has_a_case():
    codes = {code for code, _ in LOOKS}
    assert codes - {code for case in CASES.values() for code in case["forms"]} == {"marked", "tag-alone"}


def test_the_documentation_has_every_form():
    told = (ROOT / "docs/bindings.md").read_text().partition("<!-- forms")[2].partition("\n\n")[0].splitlines()[1:]
    rows: dict[str, list[str]] = {}
    for code, looks in LOOKS:
        rows.setdefault(code, []).append(looks)
    assert [line.split("|")[1].strip(" `") for line in told[2:]] == list(rows)
    for line, shapes in zip(told[2:], rows.values(), strict=True):
        assert line.split("| ", 2)[2].replace("`", "").removesuffix(" |") == "; ".join(shapes)


AUTOMATION = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {{name: images, annotations: {{config.kubernetes.io/local-config: "true"}}}}
spec:
  policies:
  - name: web
    image: ghcr.io/acme/web
    policy: {{semver: {{range: "{}"}}}}
"""


@pytest.fixture(scope="module")
def updates(tree: Path, layout: Path) -> list[dict[str, str]]:
    """What the files hold when there is nothing to do, after an update, and after a second run."""
    states = []
    for wanted in ("1.2.0", "1.x", "1.x"):
        (tree / "images.yaml").write_text(AUTOMATION.format(wanted))
        done = run(["krmfn", "update", ".", "--source", f"layout:{layout}"], cwd=tree)
        assert done.returncode == 0, done.stderr
        states.append({path.name: path.read_text() for path in tree.iterdir()})
    return states


@pytest.mark.parametrize("name", CASES)
def test_by_name_a_form_is_written_where_it_is_sure_and_nowhere_else(
    checked: object, updates: list[dict[str, str]], name: str
):
    assert checked is not None, "the files were looked at before"
    text = CASES[name]["text"]
    nothing_to_do, once, again = (state[file_of(name)] for state in updates)
    assert nothing_to_do == text
    assert once == text.replace("1.2.0", "1.3.0")
    assert again == once


def embedded(text: str, indent: int, style: str, depth: int) -> str:
    """Put a text into a ConfigMap, as a block in its own indentation, or in quotes."""
    if style == "|":
        held = "|\n" + "".join(
            " " * (2 + indent) + line if line.strip() else line for line in text.splitlines(keepends=True)
        )
    else:
        held = (json.dumps(text) if style == '"' else "'" + text.replace("'", "''") + "'") + "\n"
    whole = f"apiVersion: v1\nkind: ConfigMap\ndata:\n  inner: {held}"
    return whole if depth == 1 else embedded(whole, indent, "|", depth - 1)


def places_in(text: str) -> tuple[Place, ...]:
    return finder.find(documents(Text(text.encode())))


def test_a_tag_whose_repository_is_named_elsewhere_is_shown_and_never_sure():
    text = "defaultImageRegistry: ghcr.io\ndefaultImageRepository: acme\ndefaultImageTag: 1.1.0\n"
    (place,) = places_in(text)
    assert (place.form, place.text, place.is_sure) == ("tag-alone", "1.1.0", False)


@pytest.mark.parametrize("text", ["image: {}", "initImage: {}", "images: [{}]", "images: {{web: {}}}", "image: {{repository: {0}, tag: 7}}"])
def test_of_names_alone_only_official_images_are_sure(text: str):
    """What else has no namespace is somebody's own, completed by a chart or a mirror."""
    for name, is_sure in {"redis": True, "web": False, "acme/web": True}.items():
        (place,) = places_in(text.format(name if "tag" in text else f"'{name}:7'"))
        assert (place.is_sure, bool(place.why)) == (is_sure, not is_sure), (text, place)


@pytest.mark.parametrize("folder", ["testdata", "src/test", "charts/web/examples/basic/rendered"])
def test_in_a_folder_of_tests_and_of_rendered_files_nothing_is_sure(folder: str):
    text = b"image: ghcr.io/acme/web:1.2.0"
    (place,) = finder.find(documents(Text(text, f"{folder}/web.yaml")))
    assert not place.is_sure
    (place,) = finder.find(documents(Text(text, f"{folder.replace('/', '-')}-of/web.yaml")))
    assert place.is_sure


def test_a_block_is_walked_once_for_the_same_charts():
    block = documents(Text(b"image: nginx:1.25.0\n"))[0]
    first = finder.places(block)
    assert first
    assert finder.places(block, {}) is first
    assert finder.places(block, {("", "charts"): "oci://ghcr.io/acme"}) is not first


def test_a_row_more_is_a_form_more(monkeypatch: pytest.MonkeyPatch):
    text = "apiVersion: acme.example.org/v1\nkind: Runner\nspec: {image: x, runner: 'acme/web:1.2.0', other: 'acme/web:1.0.0'}\n"
    assert [place.form for place in places_in(text)] == []
    row = forms.Reference("runner", "spec.runner", "runner", "spec", r"acme\.example\.org", shown=forms.LOCATED, sure=forms.VERSION)
    monkeypatch.setattr(forms, "REFERENCES", (*forms.REFERENCES[:2], row, *forms.REFERENCES[2:]))
    forms.references.cache_clear()
    try:
        (place,) = places_in(text)
    finally:
        forms.references.cache_clear()
    assert (place.form, place.field, place.text, place.is_sure) == ("runner", "spec.runner", "acme/web:1.2.0", True)


def new(place: Place) -> str:
    """Return a version that needs quotes where it stands alone; a chart's has three numbers."""
    return "1.10.0" if any(word in place.form for word in ("chart", "dependency")) else "1.10"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([name for name in CASES if "filled in" not in name]), st.integers(1, 9), st.sampled_from(["|", "'", '"']), st.integers(1, 2))
def test_in_text_inside_text_the_same_places_are_found_and_written(name: str, indent: int, style: str, depth: int):
    """Charts apart, whose repositories are looked up among resources of their own."""
    inner = CASES[name]["text"]
    if style == "'":  # quotes that take one line: JSON
        inner = json.dumps(next(iter(yaml.safe_load_all(inner))))
    whole = embedded(inner, indent, style, depth)
    found, alone = places_in(whole), [one for one in places_in(inner) if one.form != "helm-release"]
    assert [(one.form, one.text) for one in found if one.form != "helm-release"] == [(one.form, one.text) for one in alone]
    edits = []
    for place in found:
        for slot in place.slots:
            value = slot.scalar.value.replace("1.2.0", new(place))
            edit = scalars.render(Text(whole.encode()), slot.scalar, value)
            assert isinstance(edit, Edit), edit
            edits.append(edit)
    after = yaml.safe_load(apply(whole.encode(), edits))
    for _ in range(depth):
        after = after["data"]["inner"] if isinstance(after, dict) else yaml.safe_load(after)["data"]["inner"]
    wanted = [one.text.replace("1.2.0", new(one)) for one in alone if one.slots]
    assert [one.text for one in places_in(after) if one.slots and one.form != "helm-release"] == wanted
