"""Every code is found where it is, and documented."""

import json
import re
from pathlib import Path
from textwrap import indent
from xml.etree import ElementTree as ET

import pytest

from krmfn.cli import main
from krmfn.diagnostics import LINT_CODES
from tests import signing

POLICIES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: apps}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}
  - {name: pinned, image: ghcr.io/acme/db, policy: {semver: {range: 1.x}}, digestReflectionPolicy: Always, bind: [markers]}
  - {name: quiet, image: ghcr.io/acme/quiet, policy: {semver: {range: 1.x}}, bind: [images]}
%s
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: lost, namespace: apps}
spec: {imageRepositoryRef: {name: nowhere}, policy: {semver: {range: 1.x}}}
---
kind: Pod
metadata: {name: used}
spec:
  a: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}
  b: ghcr.io/acme/db:1.0.0 # {"$imagepolicy": "apps:pinned"}
  containers: [{name: q, image: ghcr.io/acme/quiet:1.0.0}]
---
kind: Pod
metadata: {name: lost}
spec:
  c: ghcr.io/acme/lost:1.0.0 # {"$imagepolicy": "apps:lost"}
"""


def marked(value, setter="apps:web"):
    return f'x: {value} # {{"$imagepolicy": "{setter}"}}\n'


def annotated(text, more=""):
    return f"kind: Pod\nmetadata:\n  annotations:\n    krmfn.dev/images: '{text}'\n{more}"


POD = "spec: {containers: [{name: a, image: ghcr.io/acme/web:1.0.0}]}\n"
FOUND = {
    "a marker for a misspelt policy": (marked("x", "apps:wep"), 1, 4, "unknown-policy", "did you mean apps:web?"),
    "a marker for another namespace": (marked("x", "flux:web"), 1, 4, "unknown-policy", "did you mean apps:web?"),
    "a wrong suffix": (marked("x", "apps:web:tags"), 1, 4, "bad-setter", "did you mean apps:web:tag?"),
    "a marker above a key": ('# {"$imagepolicy": "apps:web"}\nx: y\n', 1, 1, "ignored-marker", "above a key"),
    "a marker on a mapping": ('x: # {"$imagepolicy": "apps:web"}\n  y: z\n', 1, 4, "ignored-marker", ""),
    "a marker on an empty value": ('x: # {"$imagepolicy": "apps:web"}\n', 1, 4, "ignored-marker", "empty"),
    "a marker with text around": ('x: y # see {"$imagepolicy": "apps:web"}\n', 1, 6, "ignored-marker", "text around the JSON"),
    "a marker with a number": ('x: y # {"$imagepolicy": "apps:web", "n": 1}\n', 1, 6, "ignored-marker", "not a string"),
    "a marker with a slash": ('x: y # {"$imagepolicy": "apps/web"}\n', 1, 6, "ignored-marker", "expected namespace:name"),
    "a marker without a name": ('x: y # {"$imagepolicy": ""}\n', 1, 6, "ignored-marker", "expected namespace:name"),
    "a marker in single quotes": ("x: y # {'$imagepolicy': 'apps:web'}\n", 1, 6, "ignored-marker", "a marker is # {"),
    "a marker with other letters": ('x: y # {"$imagePolicy": "apps:web"}\n', 1, 6, "ignored-marker", "a marker is # {"),
    "a marker without a dollar": ('x: y # {"imagepolicy": "apps:web"}\n', 1, 6, "ignored-marker", "a marker is # {"),
    "a marker without braces": ('x: y # "$imagepolicy": "apps:web"\n', 1, 6, "ignored-marker", "a marker is # {"),
    "a marker that is not closed": ('x: y # {"$imagepolicy": "apps:web"\n', 1, 6, "ignored-marker", "text around the JSON"),
    "a marker on an alias": ('a: &a b\nx: *a # {"$imagepolicy": "apps:web"}\n', 2, 7, "ignored-marker", "alias"),
    "a marker behind a flow mapping": ('x: {y: z} # {"$imagepolicy": "apps:web"}\n', 1, 11, "ignored-marker", ""),
    "a digest marker without digests": (marked('""', "apps:web:digest"), 1, 4, "no-digest", "digestReflectionPolicy"),
    "another image": (marked("ghcr.io/acme/wbe:1.0.0"), 1, 4, "foreign-value", "the policy is about ghcr.io/acme/web"),
    "a tag outside of the range": (marked("ghcr.io/acme/web:2.0.0"), 1, 4, "foreign-value", "semver 1.x"),
    "an image without a tag": (marked("ghcr.io/acme/web"), 1, 4, "foreign-value", "it has no tag"),
    "no image at all": (marked("'a b'"), 1, 4, "foreign-value", "it is no image reference"),
    "a tag that is none": (marked("'a b'", "apps:web:tag"), 1, 4, "foreign-value", "it is no tag"),
    "another tag": (marked("latest", "apps:web:tag"), 1, 4, "foreign-value", "does not accept the tag"),
    "another name": (marked("ghcr.io/acme/db", "apps:web:name"), 1, 4, "foreign-value", "the policy is about"),
    "no digest": (marked("latest", "apps:pinned:digest"), 1, 4, "foreign-value", "it is no digest"),
    "a marker that bind leaves out": (marked("ghcr.io/acme/quiet:1.0.0", "apps:quiet"), 1, 4, "left-out", "markers"),
    "an annotation that is no JSON": (annotated("[a"), 4, 23, "bad-annotation", "expected JSON"),
    "an annotation for no container": (annotated('{"b": "apps:web"}', POD), 4, 23, "idle-annotation", ""),
    "an annotation for a mapping": (annotated('{"$.spec": "apps:web"}', POD), 4, 23, "no-scalar", "spec is no scalar"),
    "two policies on one field": (annotated('{"a": "apps:pinned", "$.spec.containers[0].image": "apps:web"}'.replace("pinned", "web:name"), POD), 5, 38, "two-policies", "apps:web:name"),
    "an image twice": ("spec:\n  containers:\n  - image: ghcr.io/acme/web:1.0.0\n    image: ghcr.io/acme/web:1.0.0\n", 3, 12, "doubtful", ""),
    "a template": ("{{ x }}\n" + marked("x"), 2, 1, "not-read", "not read as YAML"),
}  # fmt: skip


def lint(folder, *options, more=""):
    (folder / "policies.yaml").write_text(POLICIES % more)
    return main(["lint", str(folder), *options])


def findings(folder, capsys, **how):
    code = lint(folder, "-o", "json", **how)
    found = json.loads(capsys.readouterr().out)
    assert code == bool(found)
    return [
        (Path(one["path"]).name, one["line"], one["column"], one["code"], one["message"])
        for one in found
        if one["code"] != "dangling-policy"
    ]


@pytest.mark.parametrize("case", FOUND)
def test_lint_finds(case, tmp_path, capsys):
    text, line, column, code, part = FOUND[case]
    (tmp_path / "a.yaml").write_text(text)
    found = findings(tmp_path, capsys)
    assert [one[:4] for one in found if one[0] == "a.yaml" and one[3] == code][:1] == [
        ("a.yaml", line, column, code)
    ], found
    assert {one[3] for one in found} == {code}
    assert all(part in one[4] for one in found[:1])


def test_lint_finds_policies_that_nothing_is_bound_to(tmp_path, capsys):
    more = "  - {name: idle, image: ghcr.io/acme/idle, policy: {semver: {range: 1.x}}}\n"
    assert [one[:4] for one in findings(tmp_path, capsys, more=more.rstrip())] == [
        ("policies.yaml", 1, 1, "unbound-policy")
    ]


def test_lint_finds_dangling_policies(tmp_path, capsys):
    lint(tmp_path)
    assert re.search(r"policies\.yaml:26:6 dangling-policy policy apps:lost: ", capsys.readouterr().out)


def test_lint_finds_targets_that_come_to_nothing(tmp_path, capsys):
    found = findings(tmp_path, capsys, more="  targets: [{path: $.nothing, policy: web}]")
    assert [one[3] for one in found] == ["idle-target"]


def test_lint_finds_targets_that_cannot_be_looked_for(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("kind: Twice\nspec: [{b: 1, b: 2}]\n")
    found = findings(
        tmp_path, capsys, more='  targets: [{select: {kind: Twice}, path: "$.spec[?(@.b == 1)]", policy: web}]'
    )
    assert "bad-target" in {one[3] for one in found}


def test_lint_finds_wrong_configuration_and_ignored_markers_all_the_same(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text('# {"$imagepolicy": "apps:web"}\nx: y\n')
    found = findings(tmp_path, capsys, more="  onEror: keep")
    assert [(one[0], one[3]) for one in found] == [("policies.yaml", "bad-config"), ("a.yaml", "ignored-marker")]
    assert "onError" in found[0][4]


def test_nothing_is_found_in_what_is_right(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(
        "".join((marked("ghcr.io/acme/web:1.0.0"), marked("1.5.0", "apps:web:tag").replace("x:", "y:")))
    )
    assert lint(tmp_path, "--ignore", "dangling-policy") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "nothing found in 2 files\n"


def test_text_is_one_line_for_each_finding(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(marked("x", "apps:wep"))
    assert lint(tmp_path, "--ignore", "dangling-policy") == 1
    assert (
        capsys.readouterr().out
        == f"{tmp_path}/a.yaml:1:4 unknown-policy marker names policy apps:wep, which is not configured; did you mean apps:web?\n"
    )


def test_sarif_says_rule_file_and_place(tmp_path, capsys):
    (tmp_path / "a b.yaml").write_text(marked("x", "apps:wep"))
    assert lint(tmp_path, "-o", "sarif", "--ignore", "dangling-policy") == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/a%20b.yaml")
    assert place["region"] == {"startLine": 1, "startColumn": 4}
    assert result["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(LINT_CODES)


def test_junit_has_a_case_for_every_file(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(marked("x", "apps:wep"))
    assert lint(tmp_path, "-o", "junit", "--ignore", "dangling-policy") == 1
    suite = ET.fromstring(capsys.readouterr().out.encode())
    assert suite.attrib == {"name": "krmfn lint", "tests": "2", "failures": "1", "errors": "0"}
    cases = {Path(case.attrib["name"]).name: case.findtext("failure", "") for case in suite}
    assert cases["policies.yaml"] == ""
    assert "1:4 unknown-policy" in cases["a.yaml"]


AUTOMATION = """\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: apps, namespace: %s}
spec:
  suspend: %s
  interval: 1h
  policySelector: {matchLabels: {team: %s}}
  sourceRef: {kind: GitRepository, name: apps}
  git: {checkout: {ref: {branch: main}}, commit: {author: {email: a@example.com}}}
"""
FLUX = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web, namespace: apps}
spec: {image: ghcr.io/acme/web}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web, namespace: apps, labels: {team: shop}}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}}
"""
REQUIRE = "---\napiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: r}\nspec: {require: [{minimumReleaseAge: 1 day}]}\n"
HOLD = "---\napiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: h}\nspec: {policy: 'apps:web', not: 1.2.0}\n"


@pytest.mark.parametrize(
    ("rules", "automation", "expected"),
    [
        (REQUIRE, ("apps", "false", "shop"), True), (HOLD, ("apps", "false", "shop"), True), ("", ("apps", "false", "shop"), False),
        (REQUIRE, ("apps", "true", "shop"), False), (REQUIRE, ("other", "false", "shop"), False), (HOLD, ("apps", "false", "blog"), False),
    ],
)  # fmt: skip
def test_lint_finds_automations_that_ignore_what_is_required(rules, automation, expected, tmp_path, capsys):
    (tmp_path / "flux.yaml").write_text(FLUX + rules + AUTOMATION % automation)
    (tmp_path / "pod.yaml").write_text(marked("ghcr.io/acme/web:1.0.0"))
    assert main(["lint", str(tmp_path)]) == int(expected)
    found = capsys.readouterr().out
    line = (FLUX + rules).count("\n") + 2
    code, message = "overruled", "the controller in the cluster updates apps:web without regard to require and holds"
    assert (f"flux.yaml:{line}:1 {code} {message}" in found.replace(f"{tmp_path}/", "")) == expected, found


OCI = """\
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: web, namespace: apps}
spec: {url: "oci://ghcr.io/acme/web", verify: {provider: cosign%s}}
"""
TRUST = "---\napiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: r}\nspec: {trust: items}\n"
PATTERNS = {
    "^https://github.com/acme/.*$": "", r"\A(acme|evil)\z": "", "^[|]$": "", "acme": "subject", "^acme|evil$": "subject",
    "^acme": "subject", r"^acme\$": "subject",
}  # fmt: skip


@pytest.mark.parametrize("pattern", [*PATTERNS, None])
def test_lint_finds_signers_whose_name_only_contains_a_pattern(pattern, tmp_path, capsys):
    identity = f", matchOIDCIdentity: [{{issuer: ^x$, subject: '{pattern}'}}]" if pattern is not None else ""
    loose = PATTERNS[pattern] if pattern is not None else "issuer and subject"
    code, message = "unanchored", f"{loose} may stand anywhere in the name of a signer"
    for rules, expected in ((TRUST, bool(loose)), (REQUIRE, False)):
        (tmp_path / "flux.yaml").write_text(FLUX + rules + OCI % identity)
        (tmp_path / "pod.yaml").write_text(marked("ghcr.io/acme/web:1.0.0"))
        assert main(["lint", str(tmp_path)]) == int(expected)
        found = capsys.readouterr().out
        assert (f"flux.yaml:{(FLUX + rules).count(chr(10)) + 2}:1 {code} {message}" in found.replace(f"{tmp_path}/", "")) == expected, found


CHOSEN = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\nspec:\n  url: oci://ghcr.io/acme/web\n  ref: {semver: '>=1.0.0'}\n"


@pytest.mark.parametrize(("text", "is_told"), [
    (CHOSEN, True),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: a, image: 'ghcr.io/acme/web:${TAG}'}\n", True),
    (CHOSEN.replace("acme", "other"), False),
    (CHOSEN.replace("semver: '>=1.0.0'", "tag: 1.0.0"), False),
])  # fmt: skip
def test_lint_says_where_the_cluster_chooses_and_finds_no_fault(text, is_told, tmp_path, capsys):
    keys = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData:\n  a.pub: |\n{indent(signing.Signer().pem.decode(), '    ')}---\n"
    rules = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n  require:\n  - {images: [ghcr.io/acme/*], verify: [{secretRef: {name: keys}}]}\n---\n"
    (tmp_path / "web.yaml").write_text(keys + rules + text)
    assert main(["lint", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert ("cluster-chooses" in said) is is_told
    assert ("ghcr.io/acme/web must be signed; not judged: the cluster chooses (" in said) is is_told
    assert "cluster-chooses" in LINT_CODES


def test_every_code_is_documented_and_tested(capsys):
    page = (Path(__file__).parent.parent / "docs" / "lint.md").read_text()
    assert re.findall(r'<a id="([a-z-]+)"></a>`\1`', page) == sorted(LINT_CODES)
    source = Path(__file__).read_text()
    assert [code for code in LINT_CODES if f'"{code}"' not in source] == []
    assert main(["lint", "--codes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(LINT_CODES)


def test_without_paths_it_says_how_to_use_it(capsys):
    assert main(["lint"]) == 2
    assert "PATHS" in capsys.readouterr().err
