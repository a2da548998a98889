"""`krmfn doctor`: what is there, what is missing, and never a secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from krmfn.inventory.doctor import Finding, look
from tests.running import environment, run


def found(**more: str) -> dict[str, Finding]:
    return {one.name: one for one in look({**environment(**more)})}


def test_a_machine_with_everything_is_ok(tmp_path: Path):
    seen = found(HOME=str(tmp_path), DOCKER_CONFIG="")
    assert {seen[name].state for name in ("python", "krmfn", "git", "libyaml")} == {"ok"}
    assert not [one for one in seen.values() if one.state == "wrong"]


def test_an_empty_path_misses_the_programs(tmp_path: Path):
    seen = found(PATH=str(tmp_path), HOME=str(tmp_path))
    assert {seen[name].state for name in ("kustomize", "kpt", "git")} == {"missing"}
    assert seen["krmfn"].state == "wrong"
    assert "only needed for krmfn update --commit" in seen["git"].advice


def test_a_program_that_does_not_run_is_wrong(tmp_path: Path):
    broken = tmp_path / "kustomize"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    assert found(PATH=str(tmp_path))["kustomize"].state == "wrong"


def test_logins_are_named_without_their_secrets(tmp_path: Path):
    secret = base64.b64encode(b"ada:hunter2").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": secret}, f"https://me:{secret}@a.example/v1/": {}, f"{secret}@b.example": {}}, "credsStore": "nowhere"}))
    done = run(["krmfn", "doctor"], env=environment(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path)))
    assert found(DOCKER_CONFIG=str(tmp_path), HOME="/")["docker-credential-nowhere"].state == "wrong"
    assert "ghcr.io, helpers nowhere" in done.stdout
    assert "docker-credential-nowhere" in done.stdout
    assert "help: docker-credential-nowhere: install docker-credential-nowhere" in done.stderr
    assert secret not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert done.returncode == 1


def test_a_login_that_cannot_be_read_is_wrong(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    assert found(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))["login"].state == "wrong"


def test_a_ca_bundle_that_is_not_there_is_wrong():
    seen = found(SSL_CERT_FILE="/nonexistent/ca.pem")
    assert seen["SSL_CERT_FILE"].state == "wrong"


def test_a_proxy_is_shown_without_its_password():
    assert found(HTTPS_PROXY="http://ada:hunter2@proxy:3128")["HTTPS_PROXY"].found == "http://***@proxy:3128"


def test_findings_can_be_data(tmp_path: Path):
    done = run(["krmfn", "doctor", "-o", "json"], env=environment(HOME=str(tmp_path)))
    assert {"name", "state", "found", "advice"} == set(json.loads(done.stdout)[0])
