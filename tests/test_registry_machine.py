"""The machine's own files and variables: whatever stands there, nothing waits, nothing is read without end, no login shows."""

from __future__ import annotations

import gc
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml

from krmfn import function, pipeline
from tests.running import environment, run
from tests.test_registry_run import DEPLOYMENT

CANARY = "canary-pw77"
REPOSITORY = """\
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImageRepository
  metadata: {{name: web, namespace: flux-system}}
  spec: {{image: "{image}", insecure: true, timeout: 1s}}
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImagePolicy
  metadata: {{name: web, namespace: flux-system}}
  spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: ">=1.0.0"}}}}}}
"""
AUTOMATION = """\
- apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {{name: images, namespace: flux-system}}
  spec: {spec}
"""
NAME = "127.0.0.1:1/acme/web"


def listed(image: str = NAME, automation: str = "") -> str:
    """Make a ResourceList that asks for one repository, where nobody listens."""
    items = REPOSITORY.format(image=image) + DEPLOYMENT.format(name=NAME)
    items += AUTOMATION.format(spec=automation) if automation else ""
    return f"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n{items}"


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (os.mkfifo, "found a FIFO"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "found a character device"),
    "a terminal": (lambda path: path.symlink_to("/dev/ptmx"), "found a character device"),
    "a folder": (Path.mkdir, "found a directory"),
    "20 GiB": (too_large, "found 21474836480 bytes"),
    "a circle": (lambda path: path.symlink_to(path), "oo many levels of symbolic links"),
    "not UTF-8": (lambda path: path.write_bytes(b"\xff"), "UTF-8"),
    "many values": (lambda path: path.write_bytes(b"[" + b"0," * 200_000 + b"0]"), "more than 20000 values"),
}
LOGINS = {
    "REGISTRY_AUTH_FILE": "auth.json",
    "XDG_RUNTIME_DIR": "containers/auth.json",
    "XDG_CONFIG_HOME": "containers/auth.json",
}


@pytest.mark.parametrize(
    ("variable", "kind"), [("DOCKER_CONFIG", kind) for kind in KINDS] + [(name, "a FIFO") for name in LOGINS]
)
def test_a_file_of_logins_of_any_kind_is_told_and_never_waited_for(variable, kind, tmp_path):
    make, word = KINDS[kind]
    file = tmp_path / LOGINS.get(variable, "config.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    make(file)
    value = file if variable == "REGISTRY_AUTH_FILE" else tmp_path
    env = environment(**{"HOME": str(tmp_path / "home"), "DOCKER_CONFIG": "", variable: str(value)})
    done = run(["krmfn"], text=listed(), env=env, timeout=30)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "Connection refused" in done.stderr
    looked = run(["krmfn", "doctor"], env=env, timeout=30)
    assert looked.returncode == 1
    assert word in looked.stdout


@pytest.mark.parametrize("kind", ["a FIFO", "a device", "20 GiB", "a circle", "not UTF-8"])
def test_a_file_of_certificates_of_any_kind_is_told_and_never_waited_for(kind, tmp_path):
    make, word = KINDS[kind]
    make(tmp_path / "ca.pem")
    env = environment(SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    done = run(["krmfn"], text=listed("registry.invalid/acme/web"), env=env, timeout=30)
    assert done.returncode == 1
    assert "ca.pem holds no CA certificates" in done.stderr
    assert kind == "not UTF-8" or word in done.stderr
    looked = run(["krmfn", "doctor"], env=env, timeout=30)
    assert kind == "not UTF-8" or (looked.returncode, word in looked.stdout) == (1, True)


DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "image": (listed(f"me:{CANARY}@ghcr.io/acme/web"), {}),
    "image with a scheme": (listed(f"https://me:{CANARY}@ghcr.io/acme/web"), {}),
    "mirror": (listed(automation=f'{{mirrors: [{{from: "127.0.0.1:1", to: "me:{CANARY}@127.0.0.1:2/x"}}]}}'), {}),
    "mirror with a scheme": (
        listed(automation=f'{{mirrors: [{{from: "127.0.0.1:1", to: "http://me:{CANARY}@127.0.0.1:2/x"}}]}}'),
        {},
    ),
    "realmHosts": (listed(automation=f'{{realmHosts: ["me:{CANARY}@127.0.0.1:2"]}}'), {}),
    "allowed": (listed(), {"KRMFN_ALLOWED_REGISTRIES": f"ghcr.io,me:{CANARY}@ghcr.io"}),
    "allowed with a scheme": (listed(), {"KRMFN_ALLOWED_REGISTRIES": f"https://me:{CANARY}@ghcr.io"}),
    "trusted": (listed(), {"KRMFN_TRUST_CONFIG": f"me:{CANARY}@ghcr.io"}),
    "proxy": (listed("registry.example/acme/web"), {"HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:1/x y"}),
    "proxy without a scheme": (listed("registry.example/acme/web"), {"https_proxy": f"me:{CANARY}@127.0.0.1:1"}),
    "proxy with a slash": (listed("registry.example/acme/web"), {"HTTPS_PROXY": f"http://me:x/{CANARY}@127.0.0.1:1"}),
    "proxy of SOCKS": (listed("registry.example/acme/web"), {"ALL_PROXY": f"socks5h://me:{CANARY}@127.0.0.1:1"}),
    "no proxy": (listed("registry.example/acme/web"), {"NO_PROXY": f"x,http://me:{CANARY}@127.0.0.1:1"}),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_login_written_into_a_name_never_shows(door, tmp_path):
    text, variables = DOORS[door]
    env = environment(**variables)
    told = [run(["krmfn"], text=text, env=env, cwd=tmp_path), run(["krmfn", "doctor"], env=env, cwd=tmp_path)]
    assert told[0].returncode == 1
    results = told[0].stdout.partition("results:")[2]
    assert "error" in results
    for shown in (told[0].stderr, results, told[1].stdout, told[1].stderr):
        assert CANARY not in shown


@pytest.mark.parametrize("place", ["/", "..", "link", "/etc", "below/../.."])
def test_a_layout_that_a_resource_names_lies_below_the_folder_of_the_run(place, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link").symlink_to("/")
    text = listed(automation=f'{{source: {{layout: {{path: "{place}"}}}}}}')
    done = run(["krmfn"], text=text, cwd=tmp_path / "here", timeout=30)
    assert done.returncode == 1
    assert "layout" in done.stderr
    assert "below" in done.stderr


def test_what_nobody_foresaw_is_one_line_and_the_list_goes_back(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError(CANARY)

    given, told, out = listed().encode(), io.StringIO(), io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(pipeline, "run", fail)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    with redirect_stdout(out), redirect_stderr(told):
        code = function.main([], {})
    gc.enable()
    answered = out.buffer.getvalue()
    assert code == 1
    assert re.fullmatch(r"krmfn: error: this is a bug in krmfn: RuntimeError at .*\n", told.getvalue())
    assert yaml.safe_load(answered)["items"] == yaml.safe_load(given)["items"]
    assert CANARY not in told.getvalue() + answered.decode()
