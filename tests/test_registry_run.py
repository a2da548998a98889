"""Whole runs of the function against registries: what leaves the process, and what stays in it."""

from __future__ import annotations

import base64
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from krmfn.plan.resolve import ask
from tests.asking import asking, error_of, one_certificate, repository
from tests.certificates import Authority, server_context
from tests.registry_server import Login, Registry, Request

USER, PASSWORD = "canary-user", "canary-password-2b6c"
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, LOGIN, "canary-token")

DEPLOYMENT = """\
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: web
  spec:
    template:
      spec:
        containers:
        - name: web
          image: {name}:1.0.0 # {{"$imagepolicy": "flux-system:web"}}
"""


def resource_list(name: str, config: str) -> str:
    """Make a ResourceList with a Deployment, its policy, and the Secret of its registry."""
    image = {"apiVersion": "image.toolkit.fluxcd.io/v1", "metadata": {"name": "web", "namespace": "flux-system"}}
    objects = [
        {
            **image,
            "kind": "ImageRepository",
            "spec": {"image": name, "insecure": True, "interval": "5m", "secretRef": {"name": "login"}},
        },
        {
            **image,
            "kind": "ImagePolicy",
            "spec": {
                "imageRepositoryRef": {"name": "web"},
                "policy": {"semver": {"range": ">=1.0.0"}},
                "digestReflectionPolicy": "Always",
                "interval": "5m",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "login", "namespace": "flux-system"},
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        },
    ]
    items = DEPLOYMENT.format(name=name) + "".join(f"- {json.dumps(one)}\n" for one in objects)
    return f"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n{items}"


def function(text: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run krmfn as an orchestrator does."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    return subprocess.run(
        [sys.executable, "-m", "krmfn"],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def registry():
    with Registry(login=Login("bearer", USER, PASSWORD)) as server:
        server.add("acme/web", ["1.0.0", "1.1.0"])
        yield server


def config(registry: Registry) -> str:
    return json.dumps({"auths": {registry.address: {"auth": LOGIN}}})


def test_a_run_logs_in_with_the_secret_of_the_repository(registry):
    done = function(resource_list(f"{registry.address}/acme/web", config(registry)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{registry.address}/acme/web:1.1.0@{registry.tags['acme/web']['1.1.0']}" in done.stdout
    assert (registry.count("tags"), registry.count("head"), registry.count("token")) == (2, 1, 1)


def test_a_helper_that_broke_is_a_warning_when_nobody_had_to_log_in(tmp_path):
    with Registry(login=Login("bearer", anonymous=True)) as registry:
        registry.add("acme/web", ["1.0.0", "1.1.0"])
        (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry.address: "not-there"}}))
        done = function(resource_list(f"{registry.address}/acme/web", "{}"), DOCKER_CONFIG=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "docker-credential-not-there" in done.stdout
    assert "severity: warning" in done.stdout
    assert f"{registry.tags['acme/web']['1.1.0']}" in done.stdout


def test_ctrl_c_ends_a_run_at_once_whatever_registries_do():
    names = ("web", "db")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        policies = "".join(
            f"    - {{name: {name}, image: '{address}/acme/{name}', insecure: true, policy: {{semver: {{range: '*'}}}}}}\n"
            for name in names
        )
        pods = "".join(
            f"- kind: Pod\n  spec: {{containers: [{{image: '{address}/acme/{name}:1.0.0'}}]}}\n" for name in names
        )
        config = "functionConfig:\n  apiVersion: krmfn.dev/v1alpha1\n  kind: ImageAutomation\n  spec:\n    policies:\n"
        text = f"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n{pods}{config}{policies}"
        # a shell without job control starts its background jobs with Ctrl-C switched off
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import krmfn.__main__ as m; raise SystemExit(m.main())"
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdin
            run.stdin.write(text.encode())
            run.stdin.close()
            silent.settimeout(20)
            connection, _ = silent.accept()
            run.send_signal(signal.SIGINT)
            assert run.wait(8) == 130
            assert run.stdout
            assert run.stderr
            assert (run.stdout.read(), run.stderr.read()) == (b"", b"")
        connection.close()


def echo(status: int):
    def act(request: Request) -> None:
        if not request.is_let_in():
            request.answer()
            return
        sent = request.headers["Authorization"]
        request.error(status, "DENIED", f"{sent} {PASSWORD} {LOGIN}", {"X-Echo": sent})

    return act


def echo_tags(request: Request) -> None:
    if request.is_let_in():
        sent = request.headers["Authorization"].removeprefix("Bearer ")
        body = {"name": PASSWORD, "tags": [PASSWORD + "!", f"{sent}\n", "x" * 200], "errors": [{"message": PASSWORD}]}
        request.plain(
            200, json.dumps(body).encode(), {"Content-Type": sent, "Link": f"<http://{LOGIN}/{sent}>; rel=next"}
        )
    else:
        request.answer()


@pytest.mark.parametrize("endpoint", ["tags", "head"])
@pytest.mark.parametrize(
    "act",
    [echo(403), echo(404), echo(429), echo(500), echo(400), echo_tags],
    ids=["403", "404", "429", "500", "400", "200"],
)
def test_nothing_a_run_prints_holds_a_secret_the_registry_echoes(act, endpoint, registry, tmp_path):
    registry.misbehave(endpoint, act)
    text = resource_list(f"{registry.address}/acme/web", config(registry))
    docker = tmp_path / "config.json"
    docker.write_text(config(registry))
    done = function(text, DOCKER_CONFIG=str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    new = done.stdout.replace(config(registry), "").replace(base64.b64encode(config(registry).encode()).decode(), "")
    assert [secret for secret in SECRETS if secret in new + done.stderr] == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    sent = registry.text()
    assert "canary-token" in sent


FILES = Path("/proc/self/fd")


def state() -> tuple[int, int]:
    gc.collect()
    return threading.active_count(), len(list(FILES.iterdir()))


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Make a folder of our own for temporary files."""
    one_certificate()
    folder: Path = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def one_run(registry: Registry) -> None:
    with asking() as source:
        web = repository(f"{registry.address}/acme/web", docker_configs=(config(registry),))
        assert source.tags(web).tags == ("1.0.0", "1.1.0")
        assert source.digest(web, "1.1.0") == registry.tags["acme/web"]["1.1.0"]
        error_of(lambda: source.tags(repository(f"{registry.address}/acme/none")))


@pytest.mark.slow
def test_two_hundred_runs_leave_nothing_behind(registry, scratch):
    for _ in range(5):
        one_run(registry)
    settle(registry)
    before = state()
    for _ in range(200):
        one_run(registry)
    settle(registry)
    after = state()
    assert after[0] <= before[0] + 1, "threads"
    assert after[1] <= before[1] + 3, "open files"
    assert not list(scratch.iterdir()), "temporary files"


def settle(registry: Registry) -> None:
    """Wait until the server has seen that its clients went away."""
    gc.collect()
    for _ in range(200):
        if threading.active_count() <= 4:
            return
        threading.Event().wait(0.02)


@pytest.mark.slow
def test_twenty_runs_at_once_do_not_disturb_each_other(registry):
    names = [f"acme/app{number}" for number in range(10)]
    for name in names:
        registry.add(name, ["1.0.0"])

    def run(number: int) -> bool:
        with asking() as source:
            repositories = [
                repository(f"{registry.address}/{name}", docker_configs=(config(registry),)) for name in names
            ]
            listed = ask(repositories, source.tags, 4)
            return all(not isinstance(answer, Exception) and answer.tags == ("1.0.0",) for answer in listed.values())

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(run, range(20)))


@pytest.mark.slow
def test_client_certificates_leave_no_file_and_no_descriptor(tmp_path, scratch):
    authority = Authority()
    client = authority.issue("client", client=True)
    with Registry(tls=server_context(authority.issue("127.0.0.1"), tmp_path, authority.pem)) as server:
        server.add("acme/web", ["1.0.0"])
        asked = repository(
            f"{server.address}/acme/web",
            ca_pem=authority.pem,
            client_cert_pem=client.certificate,
            client_key_pem=client.key,
        )
        counts = []
        for _ in range(10):
            with asking() as source:
                assert source.tags(asked).tags == ("1.0.0",)
            gc.collect()
            counts.append(sum("memfd" in os.fspath(file.readlink()) for file in FILES.iterdir() if file.is_symlink()))
    assert counts == [0] * 10
    assert not list(scratch.iterdir())
