"""Commit message templates: what Go's text/template with sprig answers, and Flux's words for what is wrong."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import ConfigError
from krmfn.git.message import Edit, check, write
from krmfn.gotemplate.parser import Template
from krmfn.gotemplate.values import TemplateError
from krmfn.model import PolicyKey, ResourceId
from tests.tables import rows

KEY = PolicyKey("flux-system", "apps")
EDITS = (
    Edit("web.yaml", ResourceId("apps/v1", "Deployment", "shop", "web"), "ghcr.io/acme/web:1.2.0", "ghcr.io/acme/web:1.3.1", "flux-system:web"),
    Edit("api.yaml", ResourceId("helm.toolkit.fluxcd.io/v2", "HelmRelease", "", "api"), "main-3f9c2d1-1767225600", "main-12e4567-1772323200", "flux-system:api:tag"),
    Edit("kustomization.yaml", ResourceId("kustomize.config.k8s.io/v1beta1", "Kustomization", "", ""), "7.2.4", "7.2.5", "flux-system:cache:tag"),
)  # fmt: skip
VALUES = {"cluster": "prod", "team": "shop"}
ROWS = rows("commit_message", "commit_message")


def filled(template: str) -> str:
    return write(template, KEY, EDITS, VALUES)


@pytest.mark.parametrize("row", [row for row in ROWS if "error" not in row], ids=lambda row: row["id"])
def test_a_template_writes_what_go_writes(row: dict[str, Any]):
    assert filled(row["template"]) == row["output"]


@pytest.mark.parametrize("row", [row for row in ROWS if "error" in row], ids=lambda row: row["id"])
def test_a_template_that_go_refuses_is_refused(row: dict[str, Any]):
    with pytest.raises(
        ConfigError, match=r"(unable to create commit message|failed to run) template from spec: .*line 1, column \d+"
    ):
        filled(row["template"])


def test_there_are_templates_of_both_kinds():
    assert len([row for row in ROWS if "error" not in row]) > 150
    assert len([row for row in ROWS if "error" in row]) > 20


# TestSourceManager_CommitAndPush of image-automation-controller (internal/source/source_test.go), with its data
FLUX = """\
Commit summary with ResultV2

Automation: {{ .AutomationObject }}

{{ range $filename, $objchange := .Changed.FileChanges -}}
- File: {{ $filename }}
{{- range $obj, $changes := $objchange }}
  - Object: {{ $obj.Kind }}/{{ $obj.Namespace }}/{{ $obj.Name }}
    Changes:
{{- range $_ , $change := $changes }}
    - {{ $change.OldValue }} -> {{ $change.NewValue }}
{{ end -}}
{{ end -}}
{{ end -}}
"""


def test_the_template_of_flux_tests_gives_the_message_of_flux_tests():
    edit = Edit(
        "deploy.yaml",
        ResourceId("apps/v1", "Deployment", "", "test"),
        "helloworld:1.0.0",
        "helloworld:1.0.1",
        "test-ns:policy1",
    )
    assert write(FLUX, PolicyKey("test-ns", "test-update"), [edit], {}) == (
        "Commit summary with ResultV2\n\nAutomation: test-ns/test-update\n\n- File: deploy.yaml\n"
        "  - Object: Deployment//test\n    Changes:\n    - helloworld:1.0.0 -> helloworld:1.0.1\n"
    )


SEE = "See: https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template"
REMOVED = {
    "{{ range .Updated.Images }}{{ println . }}{{ end }}": f"template uses removed '.Updated' field. Please use '.Changed' instead. {SEE}",
    "{{ .Changed.ImageResult }}": "template uses removed '.Changed.ImageResult' field. Please use '.Changed.FileChanges' or "
    f"'.Changed.Objects' instead. {SEE}",
}


@pytest.mark.parametrize("template", REMOVED)
def test_removed_fields_get_the_words_of_flux(template: str):
    with pytest.raises(ConfigError) as caught:
        filled(template)
    assert str(caught.value) == REMOVED[template]
    with pytest.raises(ConfigError):
        check(template)


def test_a_mistake_is_placed_and_the_nearest_function_named():
    with pytest.raises(ConfigError, match=r'line 2, column 4: function "uper" not defined; did you mean upper\?'):
        filled("{{ .AutomationObject }}\n{{ uper .Values.team }}")


@pytest.mark.parametrize("name", ["genPrivateKey", "now", "semverCompare", "urlParse", "js", "call", "env"])
def test_a_function_that_krmfn_lacks_is_refused_with_its_place(name: str):
    with pytest.raises(ConfigError, match=rf'line 1, column 6: function "{name}" not defined'):
        filled("a {{ " + name + " }}")


def test_the_changes_come_in_the_order_of_files():
    template = "{{ range .Changed.Changes }}{{ .Setter }} {{ end }}"
    assert (
        filled(template)
        == write(template, KEY, EDITS[::-1], VALUES)
        == "flux-system:api:tag flux-system:cache:tag flux-system:web "
    )


BOMBS = {
    "endless recursion": '{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}',
    "many steps": "{{ range until 9999 }}{{ range until 9999 }}{{ end }}{{ end }}",
    "a long text": '{{ range until 9999 }}{{ repeat 9999 "x" }}{{ end }}',
    "a longer text": '{{ repeat 2000000 "x" }}',
    "a long list": "{{ until 99999999 }}",
    "a wide number": '{{ printf "%999999d" 1 }}',
    "deep nesting": "{{ if true }}" * 200,
    "deep parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "a large product": "{{ mul 9999999999 9999999999 9999999999 }}",
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_a_template_cannot_take_the_machine(case: str):
    with pytest.raises(ConfigError):
        filled(BOMBS[case])


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_a_template_or_a_problem(text: str):
    try:
        made = filled("{{" + text + "}}")
    except ConfigError:
        return
    assert isinstance(made, str)


@given(st.text(alphabet='{}-. $|"`()rangeifnd:=,1', max_size=40))
def test_any_text_can_be_read_or_is_refused_with_its_place(text: str):
    place = (1, 1)
    try:
        Template.parse(text)
    except TemplateError as error:
        place = (error.line, error.column)
    assert min(place) >= 1


TWICE = "{{$l := list 1}}{{range until 60}}{{$l = list $l $l}}{{end}}"
"""A list that holds itself twice, sixty times over: small, and without an end when anybody looks at all of it."""
ENDLESS = (
    f"{TWICE}{{{{$l}}}}", f"{TWICE}{{{{len (print $l)}}}}", f"{TWICE}{{{{toJson $l}}}}", f"{TWICE}{{{{has 2 (list $l)}}}}", f"{TWICE}{{{{len (uniq $l)}}}}", f'{TWICE}{{{{join "" $l}}}}',
    f"{TWICE}{{{{range $l}}}}{{{{.}}}}{{{{end}}}}", '{{$d := dict "a" 1}}{{$_ := set $d "self" $d}}{{$d}}', '{{$d := dict "a" 1}}{{$_ := set $d "self" $d}}{{toJson $d}}',
    '{{len (replace "a" (repeat 30000 "b") (repeat 100000 "a"))}}', '{{len (join (repeat 1000000 "x") (until 10000))}}', '{{len (indent 1000 (repeat 500000 "\\n"))}}',
    '{{len (nindent 1000 (repeat 500000 "\\n"))}}', '{{len (wrapWith 1 (repeat 100000 "x") (repeat 100000 "a "))}}', '{{len (regexReplaceAllLiteral "a" (repeat 100000 "a") (repeat 100000 "b"))}}',
    '{{len (regexReplaceAll "a" (repeat 1000000 "a") (repeat 200 "b"))}}', '{{$x := repeat 1000000 "a b"}}{{range until 10000}}{{$y := upper $x}}{{end}}',
    "{{$x := until 10000}}{{range until 10000}}{{$y := sortAlpha $x}}{{end}}", "{{$l := list}}{{range until 10000}}{{$l = append $l .}}{{end}}", '{{fromJson "' + "[" * 100_000 + '"}}',
    "{{" * 50_000, '{{ "' + '\\"' * 50_000, "{{ " + "9" * 30_000 + " }}", "{{ add1 9223372036854775807 }}", "{{ sub -9223372036854775808 9 }}",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("template", ENDLESS, ids=range(len(ENDLESS)))
def test_a_template_that_has_no_end_is_refused(template: str):
    """What a function looks at and makes is counted: steps alone bound neither time nor memory."""
    with pytest.raises(ConfigError, match=r"commit message template|failed to run template"):
        filled(template)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 1e999 }}", "+Inf"), ('{{ float64 "-inf" }}', "-Inf"), ('{{ float64 "nan" }}', "NaN"), ("{{ uniq (list 1 1.0 1) }}", "[1 1]"),
        ('{{ $m := .Changed.Objects }}{{ $_ := set $m "a" 1 }}{{ range $k, $v := $m }}{{ kindOf $k }},{{ end }}', "string,struct,struct,struct,"),
    ],
)  # fmt: skip
def test_a_value_that_python_cannot_write_or_sort_is_written_as_go_does(template: str, text: str):
    assert filled(template) == text
