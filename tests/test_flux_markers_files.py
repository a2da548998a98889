"""Flux's answers for whole files, through `krmfn update` on real directories.

Rows that differ on purpose are named with their reason; every other row must give Flux's values, and a file that Flux
does not touch must keep its bytes.
"""

import json
from pathlib import PurePosixPath

import pytest
import yaml

from krmfn.cli import main
from tests.tables import table

ROWS = table("flux_markers_files")["cases"]
DIFFERENT = {
    "mrk-052": "error",  # a policy without a latest reference: Flux is silent, mode frozen says what is missing
    "mrk-075": "embedded",  # Flux takes --image= away
    "mrk-166": "error",  # a pinned field stays pinned, and mode frozen has no digest
    "mrk-181": "kept",  # what SOPS encrypted is no image
    "mrk-091": "digest-error",  # a :digest marker without a digest is an error, Flux writes ""
    "mrk-094": "digest-error",
    "mrk-134": "edited",  # Flux aborts the whole run at a path annotation of another tool
    "mrk-135": "in-place",  # Flux unwraps a List into new files
    "mrk-137": "in-place",
    "mrk-150": "error",  # two policies of one name: Flux takes the last, krmfn refuses to guess
    "mrk-179": "edited",  # Flux skips files of JSON6902 patches (image-automation-controller#624)
}


REASONS = (
    "which would be lost; expected an image",
    "this field is pinned, and status.latestRef holds no digest",
    "has no digest for a :digest field",
    "there is a second, different ImageRepository",
    "policy ns:none: there is no lock",
)


def values(data):
    """Read every document as nested tuples of texts, keys of any shape included."""

    def plain(node):
        if isinstance(node, yaml.MappingNode):
            entries = [(plain(key), plain(value)) for key, value in node.value]
            return tuple(entry for entry in entries if entry not in ((("metadata"), ()), ("annotations", ())))
        return tuple(map(plain, node.value)) if isinstance(node, yaml.SequenceNode) else node.value

    return [plain(root) for root in yaml.compose_all(data, yaml.CBaseLoader) if root.value]


def policy(row_policy):
    latest = row_policy["latestRef"]
    name, namespace = row_policy["name"], row_policy["namespace"]
    image = latest["name"] if latest else "ghcr.io/o/none"
    spec = {"imageRepositoryRef": {"name": f"{name}-repository"}, "policy": {"alphabetical": {"order": "asc"}}}
    spec |= {"digestReflectionPolicy": "IfNotPresent"} if latest and latest.get("digest") else {}
    found = {
        "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    }  # fmt: skip
    repository = {
        "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository",
        "metadata": {"name": f"{name}-repository", "namespace": namespace}, "spec": {"image": image},
    }  # fmt: skip
    return [repository, found | ({"status": {"latestRef": latest}} if latest else {})]


def update(row, folder, capsys):
    """Write the files of a row, run krmfn on the part that `update.path` names; answer exit code, files and stderr."""
    tree, policies = folder / "tree", folder / "policies.yaml"
    for name, text in row["files"].items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(text.encode())
    objects = [thing for one in row["policies"] for thing in policy(one)]
    policies.write_text("---\n".join(json.dumps(thing) + "\n" for thing in objects))
    place = [part for part in PurePosixPath(row.get("update_path") or ".").parts if part not in ("..", "/")]
    code = main(
        [
            "update",
            str(tree.joinpath(*place)),
            str(policies),
            "--mode",
            "frozen",
            "--on-downgrade",
            "allow",
            "--on-error",
            "keep",
        ]
    )
    after = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    return code, after, capsys.readouterr().err


def test_the_table_is_there():
    assert len(ROWS) > 100
    assert DIFFERENT.keys() <= {row["id"] for row in ROWS}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["id"] not in DIFFERENT], ids=lambda row: f"{row['id']}-{row['label']}"
)
def test_files_hold_the_values_that_flux_writes(row, tmp_path, capsys):
    code, after, said = update(row, tmp_path, capsys)
    assert code == (1 if row.get("expected_error") else 0), said
    assert after.keys() == row["files"].keys()
    for name, text in row["files"].items():
        wanted = row["expected_changed_files"].get(str(PurePosixPath(name)))
        if row["expected_changes"] and wanted is not None:
            assert values(after[name]) == values(wanted.encode())
        else:
            assert after[name] == text.encode()


@pytest.mark.parametrize(
    "row", [row for row in ROWS if DIFFERENT.get(row["id"]) == "in-place"], ids=lambda row: row["id"]
)
def test_members_of_a_list_get_the_values_in_place_that_flux_writes_elsewhere(row, tmp_path, capsys):
    code, after, said = update(row, tmp_path, capsys)
    assert code == 0, said
    (document,) = yaml.compose_all(after["a.yaml"], yaml.CBaseLoader)
    items = next(value for key, value in document.value if key.value == "items")
    members = [values(yaml.serialize(member)) for member in items.value]
    assert members == [values(text.encode()) for text in row["expected_changed_files"].values()]


@pytest.mark.parametrize(
    "row", [row for row in ROWS if DIFFERENT.get(row["id"]) == "edited"], ids=lambda row: row["id"]
)
def test_files_that_flux_gives_up_are_updated(row, tmp_path, capsys):
    code, after, said = update(row, tmp_path, capsys)
    assert code == 0, said
    assert after == {
        name: text.replace("foo:v1 ", "ghcr.io/o/app:v1.0.1 ").encode() for name, text in row["files"].items()
    }


@pytest.mark.parametrize(
    "row", [row for row in ROWS if DIFFERENT.get(row["id"]) == "embedded"], ids=lambda row: row["id"]
)
def test_what_stands_before_an_image_stays_and_the_image_is_as_in_flux(row, tmp_path, capsys):
    code, after, said = update(row, tmp_path, capsys)
    assert code == 0, said
    wanted = {name: text.replace("ghcr.io", "--image=ghcr.io") for name, text in row["expected_changed_files"].items()}
    assert {name: values(after[name]) for name in wanted} == {
        name: values(text.encode()) for name, text in wanted.items()
    }


@pytest.mark.parametrize(
    "row", [row for row in ROWS if DIFFERENT.get(row["id"], "").endswith("error")], ids=lambda row: row["id"]
)
def test_what_flux_would_guess_is_an_error_and_changes_nothing(row, tmp_path, capsys):
    code, after, said = update(row, tmp_path, capsys)
    assert code == 1
    assert any(part in said for part in REASONS)
    assert after == {name: text.encode() for name, text in row["files"].items()}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if any("{{" in text for text in row["files"].values())], ids=lambda row: row["id"]
)
def test_a_template_with_markers_is_left_and_told(row, tmp_path, capsys):
    _, _, said = update(row, tmp_path, capsys)
    assert ": holds markers, but was not read as YAML" in said


def test_what_is_in_no_known_form_is_kept_with_a_word(tmp_path, capsys):
    (row,) = (row for row in ROWS if DIFFERENT.get(row["id"]) == "kept")
    code, after, said = update(row, tmp_path, capsys)
    assert (code, after) == (0, {name: text.encode() for name, text in row["files"].items()})
    assert "which would be lost; expected an image" in said


MARK = '# {"$imagepolicy": "flux:web"}'
OTHERWISE = {
    "markers by $ref alone": (
        'image: foo:v1 # {"$ref": "#/definitions/io.k8s.cli.setters.flux:web"}\n',
        'image: ghcr.io/o/app:v1.0.1 # {"$ref": "#/definitions/io.k8s.cli.setters.flux:web"}\n',
    ),
    "markers with escapes": (
        'image: foo:v1 # {"\\u0024imagepolicy": "flux:web"}\n',
        'image: ghcr.io/o/app:v1.0.1 # {"\\u0024imagepolicy": "flux:web"}\n',
    ),
    "a key given twice": (
        f"image: foo:v1 {MARK}\nimage: foo:v2 {MARK}\n",
        f"image: ghcr.io/o/app:v1.0.1 {MARK}\nimage: ghcr.io/o/app:v1.0.1 {MARK}\n",
    ),
    "an alias without its anchor": (
        f"a: *gone\nimage: foo:v1 {MARK}\n",
        f"a: *gone\nimage: ghcr.io/o/app:v1.0.1 {MARK}\n",
    ),
    "what libyaml refuses in flow": (f"b: {{b:, image: x}}\nimage: foo:v1 {MARK}\n", None),
    "a tag that libyaml refuses": (f"b: !a,b x\nimage: foo:v1 {MARK}\n", None),
    "a head comment before a value of other letters, which is no image": (f"a:\n  {MARK}\n  größe:1\n", None),
    "documents behind the first, with carriage returns alone": (
        f"image: foo:v1 {MARK}\r---\rkind: Y\rimage: foo:v1 {MARK}\r",
        f"image: ghcr.io/o/app:v1.0.1 {MARK}\r---\rkind: Y\rimage: ghcr.io/o/app:v1.0.1 {MARK}\r",
    ),
    "two comments for an item": (f"a:\n{MARK}\n-\n  {MARK}\n  foo:v1\n", None),
}
WEB = {"name": "web", "namespace": "flux", "latestRef": {"name": "ghcr.io/o/app", "tag": "v1.0.1"}}


@pytest.mark.parametrize("name", OTHERWISE)
def test_files_that_flux_and_krmfn_read_in_other_ways(name, tmp_path, capsys):
    text, wanted = OTHERWISE[name]
    code, after, said = update({"files": {"a.yaml": f"kind: X\n{text}"}, "policies": [WEB]}, tmp_path, capsys)
    assert code == 0, said
    assert after["a.yaml"].decode() == f"kind: X\n{wanted or text}"
    assert wanted or "a.yaml" in said or "bound to no field" in said, "what is left is told"


LIKE_FLUX = {
    "a value below its dash at a smaller column": (
        f"list:\n- a:\n  - - x\n-  {MARK}\n foo:v1\n", f"list:\n- a:\n  - - x\n-  {MARK}\n ghcr.io/o/app:v1.0.1\n",
    ),
    "carriage returns alone": (
        f"a: b\rimage: foo:v1 {MARK}\rb: c\r", f"a: b\rimage: ghcr.io/o/app:v1.0.1 {MARK}\rb: c\r",
    ),
    "carriage returns alone, a comment above a value": (
        f"a:\r  {MARK}\r  foo:v1\rb: c\r", f"a:\r  {MARK}\r  ghcr.io/o/app:v1.0.1\rb: c\r",
    ),
    "carriage returns alone, a comment above an item and behind a dash": (
        f"a:\r{MARK}\r- foo:v1\rb:\r- {MARK}\r  foo:v1\r",
        f"a:\r{MARK}\r- ghcr.io/o/app:v1.0.1\rb:\r- {MARK}\r  ghcr.io/o/app:v1.0.1\r",
    ),
    "a tab before a comment": (f"b:\t# c\n  x: 1\nimage: foo:v1 {MARK}\n", f"b:\t# c\n  x: 1\nimage: ghcr.io/o/app:v1.0.1 {MARK}\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKE_FLUX)
def test_awkward_markers_are_read_as_flux_reads_them(name, tmp_path, capsys):
    text, wanted = LIKE_FLUX[name]
    code, after, said = update({"files": {"a.yaml": f"kind: X\n{text}"}, "policies": [WEB]}, tmp_path, capsys)
    assert code == 0, said
    assert after["a.yaml"].decode() == f"kind: X\n{wanted}"
