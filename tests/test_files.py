"""Manifests on disk: which are read, which are left, and how they are written."""

import os
import stat
from pathlib import Path

import pytest

from krmfn.cli import main
from krmfn.errors import InputError
from krmfn.inventory import files

CONFIG = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: apps}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}
%s
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: [1.0.0, 1.2.3]}
"""
MARKED = 'image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}\n'
DONE = MARKED.replace("1.0.0", "1.2.3")


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "krmfn.yaml").write_text(CONFIG % "")
    return tmp_path


def update(*arguments):
    return main(["update", *map(str, arguments)])


def test_every_document_of_a_file_is_updated_and_nothing_else_changes(tree):
    text = f"# head\n---\n{MARKED}...\n---\n# comment only\n---   # next\na:   1\r\n{MARKED}--- \n{MARKED}"
    (tree / "a.yaml").write_bytes(text.encode())
    assert update(tree) == 0
    assert (tree / "a.yaml").read_bytes().decode() == text.replace("web:1.0.0", "web:1.2.3")


CASES = {
    "a values file": ('image:\n  repository: ghcr.io/acme/web\n  tag: "1.0.0" # {"$imagepolicy": "apps:web:tag"}\n', "1.0.0", "1.2.3"),
    "JSON6902 patches": ('- op: replace\n  path: /spec/image\n  value: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}\n', "1.0.0", "1.2.3"),
    "a List": ("kind: List\nitems:\n- kind: Pod\n  spec:\n    containers:\n    - image:   'ghcr.io/acme/web:1.0.0'\n", "1.0.0", "1.2.3"),
    "a kustomization": ('images:\n- name: web\n  newTag: 1.0.0 # {"$imagepolicy": "apps:web:tag"}\n', "1.0.0", "1.2.3"),
    "CRLF and no end of line": ('a: b\r\nimage: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}', "1.0.0", "1.2.3"),
    "a byte order mark": ("\ufeff" + MARKED, "1.0.0", "1.2.3"),
    "a GitHub workflow": ("jobs: {build: {container: {image: 'ghcr.io/acme/web:1.0.0'}}}\n", "1.0.0", "1.2.3"),
    "a compose file": ("services:\n  web:\n    image: ghcr.io/acme/web:1.0.0\n", "1.0.0", "1.2.3"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_edited_in_place_when_it_is(case, tree):
    text, old, new = CASES[case]
    (tree / "a.yaml").write_bytes(text.encode())
    assert update(tree) == 0
    assert (tree / "a.yaml").read_bytes().decode() == text.replace(old, new)


MARK = '# {"$imagepolicy": "apps:web"}'
AWKWARD = {
    "blanks behind a folded line": (f"image: >- {MARK}\n  ghcr.io/acme/web:1.0.0 \t \nb: c\n", f"image: >- {MARK}\n  ghcr.io/acme/web:1.2.3\nb: c\n"),
    "blanks in the lines below": (f"image: |- {MARK}\n  ghcr.io/acme/web:1.0.0\n     \n\n", f"image: |- {MARK}\n  ghcr.io/acme/web:1.2.3\n\n\n"),
    "blanks and no end of line": (f"image: | {MARK}\n  ghcr.io/acme/web:1.0.0  ", f"image: |- {MARK}\n  ghcr.io/acme/web:1.2.3"),
    "blanks and carriage returns": (f"image: >+ {MARK}\r\n  ghcr.io/acme/web:1.0.0 \r\n \r\n", f"image: >- {MARK}\r\n  ghcr.io/acme/web:1.2.3\r\n\r\n"),
    "the chosen value with a blank": (f"image: >- {MARK}\n  ghcr.io/acme/web:1.2.3 \n", f"image: >- {MARK}\n  ghcr.io/acme/web:1.2.3\n"),
    "a verbatim tag with a comma": (f"image: !<tag:yaml.org,2002:str> x {MARK}\n", f"image: !<tag:yaml.org,2002:str> ghcr.io/acme/web:1.2.3 {MARK}\n"),
    "a verbatim tag and an anchor": (f"image: &a !<tag:yaml.org,2002:str> 'x' {MARK}\n", f"image: &a !<tag:yaml.org,2002:str> 'ghcr.io/acme/web:1.2.3' {MARK}\n"),
    "a verbatim tag in flow": (f"[\n!<tag:yaml.org,2002:str> x, {MARK}\n]\n", None),
    "a tag of a handle": (f"image: !!str x {MARK}\n", f"image: !!str ghcr.io/acme/web:1.2.3 {MARK}\n"),
    "a comment with signs behind a tag": ("image: !!str # & ! !<x\n  ghcr.io/acme/web:1.0.0\n", "image: !!str # & ! !<x\n  ghcr.io/acme/web:1.2.3\n"),
    "a comment with signs behind an anchor": ("image: &a # ! !<x\n  ghcr.io/acme/web:1.0.0\n", "image: &a # ! !<x\n  ghcr.io/acme/web:1.2.3\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", AWKWARD)
def test_an_awkward_scalar_is_written_and_settles(case, tree):
    before, after = AWKWARD[case]
    if after is None:
        before = f"a: {before}".replace("\n", "\n  ").rstrip(" ")
        after = before.replace(" x,", " 'ghcr.io/acme/web:1.2.3',")
    (tree / "a.yaml").write_bytes(before.encode())
    assert update(tree) == 0
    assert (tree / "a.yaml").read_bytes().decode() == after
    assert update(tree, "--check") == 0


@pytest.mark.parametrize("value", ["&a:b x", "&a:b 'x'"])
def test_an_anchor_that_a_colon_ends_belongs_to_a_value_of_no_known_form(value, tree, capsys):
    """libyaml and Go read anchor `a` and value `:b x`: what stands there is no image, and is not lost."""
    before = f"image: {value} {MARK}\n".encode()
    (tree / "a.yaml").write_bytes(before)
    update(tree)
    assert (tree / "a.yaml").read_bytes() == before
    assert "a.yaml:1:" in capsys.readouterr().err


TYPED = ("1.10", "1e3", "0x1F", "010", "1_000", "null", "true", "yes", "1.", "12e5678")


@pytest.mark.parametrize("tag", TYPED)
@pytest.mark.parametrize(
    "more", ["", "other: '0' # " + '{"$imagepolicy": "apps:web:tag"}\n'], ids=["alone", "beside a change"]
)
def test_a_tag_that_reads_as_no_string_is_quoted_though_it_is_current(tag, more, tmp_path):
    policy = "{name: web, image: ghcr.io/acme/web, policy: {alphabetical: {}}}"
    config = (CONFIG % "").replace("{name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}", policy)
    (tmp_path / "krmfn.yaml").write_text(config.replace("[1.0.0, 1.2.3]", f'["{tag}"]'))
    (tmp_path / "a.yaml").write_text(f'newTag: {tag} # {{"$imagepolicy": "apps:web:tag"}}\n{more}')
    assert update(tmp_path) == 0
    assert (tmp_path / "a.yaml").read_text().startswith(f'newTag: "{tag}" # ')
    assert update(tmp_path, "--check") == 0


BOM = "\ufeff"


@pytest.mark.parametrize(
    "text", [BOM + BOM + MARKED, BOM + BOM + BOM + MARKED, f"a: b\n{BOM}{BOM}{MARKED}", f"{BOM}---\n{BOM}{MARKED}"]
)
def test_a_file_with_a_byte_order_mark_too_many_is_left_and_told(text, tree, capsys):
    (tree / "a.yaml").write_bytes(text.encode())
    assert update(tree) == 0
    assert (tree / "a.yaml").read_bytes() == text.encode()
    assert "a byte order mark starts this line" in capsys.readouterr().err


NAMES = {
    "a.yaml": True,
    "a.yml": True,
    "Kustomization": True,
    "a.YAML": False,
    "a.json": False,
    "a.yaml.tmpl": False,
    ".hidden/a.yaml": False,
    "b/c/d.yaml": True,
}


@pytest.mark.parametrize("name", NAMES)
def test_files_count_by_their_name(name, tree):
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(MARKED)
    assert update(tree) == 0
    assert (tree / name).read_text() == (DONE if NAMES[name] else MARKED)


def test_a_file_that_is_named_counts_whatever_its_name(tree):
    (tree / "a.json").write_text('{"kind": "Pod", "spec": {"containers": [{"image": "ghcr.io/acme/web:1.0.0"}]}}')
    assert update(tree / "krmfn.yaml", tree / "a.json") == 0
    assert (
        tree / "a.json"
    ).read_text() == '{"kind": "Pod", "spec": {"containers": [{"image": "ghcr.io/acme/web:1.2.3"}]}}'


LEFT = {
    "a Helm template": ("{{- if .x }}\n" + MARKED + "{{- end }}\n", "not read as YAML"),
    "one bad document": (MARKED + "---\na: [\n", "not read as YAML"),
    "conflict markers": ("<<<<<<< ours\n" + MARKED + "=======\n", "not read as YAML"),
    "UTF-16": ("", "not read as YAML: the text is UTF-16"),
    "Latin-1": ("", "not read as YAML: byte 0xe9 is not UTF-8"),
    "a directive": ("%YAML 1.2\n---\n" + MARKED, "a directive stands here"),
    "a document on its separator": (MARKED + "--- {a: b}\n---\n" + MARKED, "content stands behind this ---"),
    "metadata that is text": ("metadata: x\n" + MARKED, "metadata is no mapping"),
}  # fmt: skip
BYTES = {"UTF-16": ("x: 1 " + MARKED).encode("utf-16"), "Latin-1": "é: 1\n".encode("latin-1") + MARKED.encode()}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_yaml_is_left_and_told_when_it_holds_markers(case, tree, capsys):
    text, why = LEFT[case]
    data = BYTES.get(case) or text.encode()
    (tree / "bad.yaml").write_bytes(data)
    (tree / "good.yaml").write_text(MARKED)
    assert update(tree) == 0
    assert (tree / "bad.yaml").read_bytes() == data
    assert (tree / "good.yaml").read_text() == DONE
    (skipped,) = files.read([tree]).skipped
    assert why in skipped.why
    assert skipped.matters
    assert ": holds markers, but was" in capsys.readouterr().err


def test_a_template_without_images_is_not_even_parsed(tree):
    (tree / "a.yaml").write_text("{{ template }}\n")
    assert files.read([tree]).skipped == ()


def test_a_lock_that_cannot_be_read_stops_the_run(tree, capsys):
    (tree / "lock.yaml").write_text("apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\n<<<<<<< ours\nspec: [\n")
    assert update(tree) == 1
    assert "lock.yaml:" in capsys.readouterr().err


def test_a_target_finds_its_field_in_a_file_that_has_no_other_word_of_ours(tree):
    (tree / "krmfn.yaml").write_text(CONFIG % "  targets:\n  - {path: $.release.version, policy: web, part: tag}\n")
    (tree / "values.yaml").write_text("release: {version: 1.0.0}\n")
    assert update(tree) == 0
    assert (tree / "values.yaml").read_text() == "release: {version: 1.2.3}\n"


def test_a_path_that_is_not_there_is_an_error(tree, capsys):
    assert update(tree, tree / "nope") == 1
    assert "nope: there is no such file or directory" in capsys.readouterr().err


def test_a_pipe_is_no_manifest(tree, capsys):
    os.mkfifo(tree / "pipe.yaml")
    assert files.read([tree]).texts != ()
    assert update(tree / "pipe.yaml") == 1
    assert "expected a file or a directory" in capsys.readouterr().err


def test_a_link_inside_the_tree_is_edited_once_at_its_target(tree):
    (tree / "sub").mkdir()
    (tree / "sub" / "a.yaml").write_text(MARKED)
    (tree / "link.yaml").symlink_to("sub/a.yaml")
    tree_read = files.read([tree, tree / "sub", tree / "sub" / ".." / "sub"])
    assert [text.name for text in tree_read.texts].count(str(tree / "sub" / "a.yaml")) == 1
    assert tree_read.skipped == ()
    assert update(tree) == 0
    assert (tree / "link.yaml").is_symlink()
    assert (tree / "sub" / "a.yaml").read_text() == DONE


def test_a_link_that_leads_out_is_not_followed_and_told(tree, tmp_path_factory, capsys):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.yaml").write_text(MARKED)
    (tree / "link.yaml").symlink_to(outside / "a.yaml")
    (tree / "folder").symlink_to(outside)
    (tree / "dangling.yaml").symlink_to("nowhere")
    assert update(tree) == 0
    assert (outside / "a.yaml").read_text() == MARKED
    assert (
        "link.yaml: holds markers, but was a symbolic link that leads out of the given paths" in capsys.readouterr().err
    )


def test_a_link_that_is_named_is_written_through_and_stays(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "a.yaml"
    outside.write_text(MARKED)
    (tree / "link.yaml").symlink_to(outside)
    assert update(tree / "krmfn.yaml", tree / "link.yaml") == 0
    assert (tree / "link.yaml").is_symlink()
    assert outside.read_text() == DONE


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o664])
def test_mode_bits_stay(mode, tree):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "a.yaml").chmod(mode)
    assert update(tree) == 0
    assert stat.S_IMODE((tree / "a.yaml").stat().st_mode) == mode


def test_only_files_that_change_are_written(tree):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "b.yaml").write_text(DONE)
    before = {path.name: path.stat().st_ino for path in tree.iterdir()}
    assert update(tree) == 0
    after = {path.name: path.stat().st_ino for path in tree.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"a.yaml"}
    assert update(tree) == 0
    assert {path.name: path.stat().st_ino for path in tree.iterdir()} == after


def test_check_and_diff_write_nothing(tree, capsys):
    (tree / "a.yaml").write_text(MARKED)
    assert update(tree, "--check", "--diff") == 10
    assert (tree / "a.yaml").read_text() == MARKED
    printed = capsys.readouterr().out
    assert f"-{MARKED}+{DONE}" in printed
    update(tree)
    assert update(tree, "--check") == 0


def test_an_error_anywhere_writes_nothing_anywhere(tree, capsys):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "b.yaml").write_text(MARKED.replace("apps:web", "apps:web:digest"))
    assert update(tree) == 1
    assert (tree / "a.yaml").read_text() == MARKED
    assert "nothing written" in capsys.readouterr().err


def read_texts(tree, *names):
    found = {Path(text.name).name: text for text in files.read([tree]).texts}
    return [found[name] for name in names]


def test_nothing_is_replaced_when_one_file_cannot_be_staged(tree, monkeypatch):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "deep").mkdir()
    (tree / "deep" / "b.yaml").write_text(MARKED)
    first, second = read_texts(tree, "a.yaml", "b.yaml")

    def full(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(tree / "deep"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"b\.yaml: cannot be written: No space left on device"):
        files.write_all({first: DONE.encode(), second: DONE.encode()})
    assert (tree / "a.yaml").read_text() == MARKED
    assert sorted(path.name for path in tree.rglob("*")) == ["a.yaml", "b.yaml", "deep", "krmfn.yaml"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(tree):
    (tree / "a.yaml").write_text(MARKED)
    (text,) = read_texts(tree, "a.yaml")
    (tree / "a.yaml").write_text("other\n")
    with pytest.raises(InputError, match="changed while krmfn was running"):
        files.write_all({text: DONE.encode()})
    assert (tree / "a.yaml").read_text() == "other\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_told(tree):
    (tree / "a.yaml").write_text(MARKED)
    (tree / "a.yaml").chmod(0)
    (skipped,) = files.read([tree]).skipped
    assert "cannot be read" in skipped.why
    assert skipped.matters


def test_configuration_that_is_no_yaml_is_told(tmp_path, capsys):
    (tmp_path / "policies.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nspec: {policies: [{name: web}\n"
    )
    (tmp_path / "chart.yaml").write_text("image: {{ .Values.image }}:{{ x }}\n")
    (tmp_path / "pod.yaml").write_text("kind: Pod\nspec: {containers: [{name: a, image: 'a/b:1'}]}\n")
    assert main(["update", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "holds configuration, but was not read as YAML: " in said
    assert f"left alone, as no YAML: {tmp_path}/chart.yaml\n" in said


@pytest.mark.parametrize(
    "verb",
    [["update", "-o", "json"], ["update", "-o", "markdown"], ["fetch"], ["explain", "web"], ["get", "image", "all"]],
    ids=" ".join,
)
def test_every_verb_tells_configuration_that_is_no_yaml(verb, tmp_path, capsys):
    (tmp_path / "policies.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nspec: {policies: [{name: web}\n"
    )
    main([*verb, str(tmp_path)])
    assert "holds configuration, but was not read as YAML: " in capsys.readouterr().err
