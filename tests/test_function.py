"""The function as a process: what goes to stdout, what to stderr, and the exit code, whatever comes in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.startup import short_list

HEAD = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n"
SNAPSHOT = """- apiVersion: krmfn.dev/v1alpha1
  kind: TagSnapshot
  metadata: {name: web}
  spec: {image: ghcr.io/acme/web, tags: ["1.2.0", "1.3.1"]}
"""
AUTOMATION = """functionConfig:
  apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {name: images}
  spec:
    policies:
    - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: RANGE}}}
"""


def pods(count, tag="1.2.0"):
    return "".join(
        f"- {{apiVersion: v1, kind: Pod, metadata: {{name: p{n}}}, spec: {{containers: [{{name: a, image: 'ghcr.io/acme/web:{tag}'}}]}}}}\n"
        for n in range(count)
    )


def call(data, *arguments, **env):
    return subprocess.run(
        [sys.executable, "-I", "-m", "krmfn", *arguments],
        input=data if isinstance(data, bytes) else data.encode(),
        capture_output=True, check=False, env={"PATH": os.environ["PATH"], **env},
    )  # fmt: skip


def test_newer_images_go_out_and_nothing_is_said():
    given = HEAD + SNAPSHOT + pods(2) + AUTOMATION.replace("RANGE", "1.x")
    done = call(given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(given.replace(":1.2.0'", ":1.3.1'"))
    results = yaml.safe_load(done.stdout)["results"]
    assert [one["severity"] for one in results] == ["info", "info"]
    message = "ghcr.io/acme/web: 1.2.0 -> 1.3.1 (policy default:web, semver 1.x, 2 of 2 tags eligible)"
    assert results[0] == {
        "message": message, "severity": "info",
        "resourceRef": {"apiVersion": "v1", "kind": "Pod", "name": "p0"},
        "field": {"path": "spec.containers[0].image", "currentValue": "ghcr.io/acme/web:1.2.0", "proposedValue": "ghcr.io/acme/web:1.3.1"},
        "tags": {"policy": "default:web"},
    }  # fmt: skip


def test_an_error_that_many_fields_share_is_one_line():
    given = HEAD + SNAPSHOT + pods(50) + AUTOMATION.replace("RANGE", "'>=2'")
    done = call(given)
    assert done.returncode == 1
    assert done.stdout.decode().startswith(given)
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "krmfn: error: Pod p0 spec.containers[0].image and 49 more fields: policy default:web: unable"
    )


def test_warnings_reach_stderr_only_where_results_are_dropped():
    lonely = HEAD + SNAPSHOT + pods(1).replace("acme/web:", "acme/db:") + AUTOMATION.replace("RANGE", "1.x")
    assert call(lonely).stderr == b""
    kustomize = lonely.replace("{name: p0}", "{name: p0, annotations: {kustomize.config.k8s.io/id: 'kind: Pod'}}")
    done = call(kustomize)
    assert done.returncode == 0
    assert done.stderr.startswith(b"krmfn: warning: policy default:web is bound to no field")
    assert yaml.safe_load(done.stdout)["results"][0]["severity"] == "warning"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"{{", b"\xff\xfe\x00", b"[1, 2]", b"text", "[" * 60000, "- " * 60000, HEAD + "- " * 60000 + "\n", HEAD + "  a: [\n"],
    ids=["empty", "blank", "braces", "utf-16", "list", "scalar", "brackets", "dashes", "deep item", "torn"],
)  # fmt: skip
def test_whatever_comes_in_one_complete_list_goes_out(data):
    done = call(data)
    if done.returncode == 0:
        assert done.stdout == (data if isinstance(data, bytes) else data.encode())
        return
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"krmfn: error: stdin")
    found = yaml.safe_load(done.stdout)
    assert found["kind"] == "ResourceList"
    assert found["results"][0]["severity"] == "error"


def test_closed_stdin_is_an_empty_one():
    command = f'"{sys.executable}" -I -m krmfn <&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"nothing was read" in done.stderr


def test_a_full_disk_is_an_error_and_no_traceback():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "krmfn"],
            input=HEAD.encode(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"krmfn: error: stdout cannot be written: No space left on device\n")


def test_an_ascii_locale_changes_nothing():
    given = (HEAD + '- {kind: ConfigMap, data: {a: "🚀 é"}}\n').encode()
    done = call(given, LC_ALL="C", PYTHONUTF8="0", LANG="C")
    assert (done.returncode, done.stdout) == (0, given)


def test_no_home_and_no_user_change_nothing():
    given = HEAD + SNAPSHOT + pods(1) + AUTOMATION.replace("RANGE", "1.x")
    assert call(given, HOME="/nonexistent").stdout == call(given).stdout


LEGACY = AUTOMATION.replace("RANGE", "1.x").removeprefix("functionConfig:\n").replace("\n  ", "\n").removeprefix("  ")


def test_the_legacy_plugin_form_reads_and_writes_a_stream(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(LEGACY)
    stream = (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1.2.0\n    name: a\n---\n"
        + SNAPSHOT.replace("\n  ", "\n").removeprefix("- ")
    )
    done = call(stream, str(config), KUSTOMIZE_PLUGIN_CONFIG_ROOT=str(tmp_path), KUSTOMIZE_PLUGIN_CONFIG_STRING=LEGACY)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == stream.replace("web:1.2.0", "web:1.3.1")


def test_the_legacy_plugin_form_loses_nothing_when_the_config_is_wrong(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(LEGACY.replace("1.x", "nope"))
    stream = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    done = call(stream, str(config), KUSTOMIZE_PLUGIN_CONFIG_ROOT=str(tmp_path))
    assert (done.returncode, done.stdout.decode()) == (1, stream)
    assert b'improper constraint: "nope"' in done.stderr


def test_check_mode_changes_nothing_and_says_what_would():
    given = HEAD + SNAPSHOT + pods(1) + AUTOMATION.replace("RANGE", "1.x")
    done = call(given, KRMFN_MODE="check")
    assert done.returncode == 1
    assert done.stdout.decode().startswith(given)
    assert b"would change ghcr.io/acme/web: 1.2.0 -> 1.3.1" in done.stderr


SHORT_RUN = """
access config config.declared config.definitions config.flux config.gathering config.loading config.locks
config.objects config.plain config.recorded config.records config.rule_definitions
config.schema config.secrets config.settings config.shapes config.snapshot diagnostics disk disk.reading
errors function globs image kubernetes kubernetes.form kubernetes.resource model namedtuple optional outcome pipeline plan plan.bind
plan.current plan.decision plan.digests plan.guard plan.needed plan.records plan.report plan.resolve plan.rewrite plan.target
policies policies.constraint policies.intervals policies.policy policies.protocol policies.reason
policies.release policies.rules policies.selection policies.semver policies.term policies.version sanitize singleflight
sources sources.sources yamledit yamledit.comments yamledit.compose yamledit.documents yamledit.editor yamledit.libyaml
yamledit.markers yamledit.nodes yamledit.prefilter yamledit.resourcelist yamledit.results yamledit.scalars yamledit.text
yamledit.verification yamledit.writing yamledit.yamltree
"""
"""What a run on ten items with one policy for Flux imports of krmfn, its own `__main__` aside: what is not here waits until it is needed."""
SLOW = ("dataclasses", "datetime", "email", "hashlib", "importlib.metadata", "inspect", "json", "logging", "pathlib", "re2", "semver", "typing", "urllib")
"""Modules of others that take long to import, and that such a run has no use for."""


def loaded(text: bytes) -> set[str]:
    """Return the modules that a run imports, in whatever way."""
    code = (
        "import atexit, os, sys; os._exit, before = sys.exit, set(sys.modules);"
        "atexit.register(lambda: print(*sys.modules.keys() - before, file=sys.stderr));"
        "from krmfn.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], input=text, capture_output=True, check=True)
    return set(done.stderr.decode().split())


def test_a_run_without_a_registry_imports_nothing_heavy():
    modules = loaded((HEAD + SNAPSHOT + pods(1) + AUTOMATION.replace("RANGE", "1.x")).encode())
    heavy = (
        "requests",
        "oras",
        "urllib3",
        "jsonpath_ng",
        "rich",
        "click",
        "ruamel",
        "ssl",
        "concurrent.futures",
        "asyncio",
        "krmfn.sources.registry.source",
        "yaml.reader",
        "yaml.resolver",
        "yaml.constructor",
        "yaml.loader",
    )
    assert not [name for name in modules if name.startswith(heavy)]
    assert "krmfn.policies.selection" in modules


def test_a_short_run_imports_what_it_uses():
    modules = loaded(short_list())
    own = {name.removeprefix("krmfn.") for name in modules if name.startswith("krmfn.")}
    assert sorted(own - {"__main__"} - set(SHORT_RUN.split())) == []
    assert sorted(name for name in modules if name.startswith(SLOW)) == []
    assert {"pipeline", "policies.semver"} <= own


def test_the_items_of_a_list_of_another_version_go_out_untouched():
    given = (
        HEAD.replace("/v1", "/v2")
        + "  - kind: Pod\n    spec:\n      a: 1 # kept\n  # foot\n  - {kind: Two}\nfunctionConfig: {kind: X}\n"
    )
    done = call(given)
    assert done.returncode == 1
    found = yaml.safe_load(done.stdout)
    assert found["items"] == [{"kind": "Pod", "spec": {"a": 1}}, {"kind": "Two"}]
    assert b"a: 1 # kept" in done.stdout
    assert "config.kubernetes.io/v2" in found["results"][0]["message"]


def test_the_legacy_plugin_form_gives_back_what_it_cannot_read(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(LEGACY)
    done = call("a: [", str(config), KUSTOMIZE_PLUGIN_CONFIG_ROOT=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, b"a: [")
    assert done.stderr.startswith(b"krmfn: error: stdin:")


WHOLE = """\
import sys
from krmfn.yamledit import libyaml
libyaml.load()
import yaml
print("yaml.reader" in sys.modules)
from krmfn.yamledit import compose
for text in (b"a: [", b"a: b: c", b"a: \\x01", b"a: \\xff"):
    try:
        compose.compose(text)
    except yaml.YAMLError as error:
        print(compose.malformed(error))
from yaml import CSafeLoader
print(yaml.safe_load("a: [1, 2026-01-01]"), yaml.load("a: yes", CSafeLoader), yaml.reader.Reader.__name__)
"""


def test_all_of_pyyaml_is_there_for_whoever_asks_for_it():
    """What is spared at the start loads when a library uses it, and the errors of libyaml read the same."""
    spared, whole = (
        subprocess.run([sys.executable, "-c", before + WHOLE], capture_output=True, check=True, text=True).stdout
        for before in ("", "import yaml\n")
    )
    assert spared.replace("False", "True", 1) == whole
    assert spared.startswith("False\n")
    assert "'a': [1, datetime.date(2026, 1, 1)]} {'a': True} Reader" in spared
