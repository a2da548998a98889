"""Credentials: every form docker, podman and the cloud log-ins write, and what must not be taken for one."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.access import ITEM
from krmfn.sources.credential import Credential
from krmfn.sources.credential_helper import run
from krmfn.sources.keychain import Keychain, normal_key
from tests.waiting import ending, wait_until

HUB = "https://index.docker.io/v1/"


def auth(user: str = "me", password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def find(config: object, registry: str = "r.example", path: str = "team/app"):
    text = config if isinstance(config, str) else json.dumps(config)
    return Keychain({}).find(registry, path, (text,))


def login(found) -> tuple[str, str] | None:
    return (found.credential.username, found.credential.password) if found.credential else None


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("r.example", "r.example"),
        ("https://r.example", "r.example"),
        ("https://r.example/", "r.example"),
        ("https://r.example/v1/", "r.example"),
        ("https://r.example/v2/", "r.example"),
        ("http://r.example", "r.example"),
        ("R.Example", "r.example"),
        ("r.example:5000", "r.example:5000"),
        (HUB, "docker.io"),
        ("index.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://registry-1.docker.io/v2/", "docker.io"),
        ("r.example/team", "r.example"),
        ("r.example/team/app", "r.example"),
        ("docker.io/team", "docker.io"),
        ("123.dkr.ecr.eu-west-1.amazonaws.com", "123.dkr.ecr.eu-west-1.amazonaws.com"),
        ("europe-docker.pkg.dev", "europe-docker.pkg.dev"),
        ("acme.azurecr.io", "acme.azurecr.io"),
    ],
)
def test_a_key_is_found_for_its_registry(key, registry):
    assert login(find({"auths": {key: auth()}}, registry)) == ("me", "pw")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("r.example", "r.example:5000"),
        ("r.example:5000", "r.example"),
        ("example", "r.example"),
        ("r.example.evil.io", "r.example"),
        ("r.example", "r.example.evil.io"),
        ("evil.io/r.example", "r.example"),
        ("r.example/tea", "r.example"),
        ("r.example/team/app/x", "r.example"),
        ("*.example", "r.example"),
        ("docker.io.evil.io", "docker.io"),
        (HUB, "r.example"),
        ("", "r.example"),
    ],
)
def test_a_key_is_not_found_for_another(key, registry):
    assert find({"auths": {key: auth()}}, registry).credential is None


def test_the_longest_path_wins():
    config = {
        "auths": {key: auth(key) for key in ("r.example", "r.example/team", "r.example/team/app", "r.example/other")}
    }
    assert login(find(config)) == ("r.example/team/app", "pw")
    assert login(find(config, path="team/web")) == ("r.example/team", "pw")
    assert login(find(config, path="teamx/web")) == ("r.example", "pw")


@given(st.text(alphabet="abc./:", max_size=12), st.sampled_from(["a.b", "a.b:1", "docker.io"]))
def test_no_key_with_another_host_gives_a_credential(key, registry):
    found = find({"auths": {key: auth()}}, registry, "a/b")
    assert found.credential is None or normal_key(key).split("/")[0] == registry


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth("me", "p:w"), Credential("me", "p:w", origin="x")),
        ({"username": "me", "password": "pw"}, Credential("me", "pw", origin="x")),
        ({"auth": "", "username": "me", "password": "pw"}, Credential("me", "pw", origin="x")),
        ({**auth("<token>", ""), "identitytoken": "idt"}, Credential(identity_token="idt", origin="x")),
        (auth("<token>", "idt"), Credential(identity_token="idt", origin="x")),
        (
            {**auth("00000000-0000-0000-0000-000000000000", ""), "identitytoken": "idt"},
            Credential("00000000-0000-0000-0000-000000000000", "", "idt", origin="x"),
        ),
        ({"registrytoken": "rt"}, Credential(registry_token="rt", origin="x")),
        ({"auth": base64.b64encode(b"me:pw\0\0").decode()}, Credential("me", "pw", origin="x")),
        ({"auth": "bWU6\ncHc="}, Credential("me", "pw", origin="x")),
        ({}, None),
        ({"email": "a@b"}, None),
        ({"auth": None}, None),
    ],
)
def test_entries_are_read(entry, expected):
    found = find({"auths": {"r.example": entry}})
    want = expected and Credential(
        expected.username,
        expected.password,
        expected.identity_token,
        expected.registry_token,
        "the secret of the repository",
        ITEM,
    )
    assert found.credential == want
    assert found.problems == ()


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ('{"auths": ', "is not JSON (line 1, column 11)"),
        ("[]", "is not a JSON object"),
        ("[" * 15_000, "is nested too deeply"),
        ('{"auths": {"r.example": {"auth": "%%%"}}}', "auth that is not base64"),
        ('{"auths": {"r.example": {"auth": "bWU="}}}', "without a colon"),
        ('{"auths": {"r.example": "x"}}', "is not an object"),
        ('{"auths": {"r.example": {"registrytoken": "token\\n"}}}', "registry token is none"),
        ('{"auths": {"r.example": {"identitytoken": "tok\u00e9n"}}}', "identity token is none"),
        ('{"auths": {"r.example": {"username": "a", "password": "\\ud800"}}}', "cannot be sent"),
        ("[" + "{}," * 200_000 + "]", "more than 20000 values"),
    ],
)
def test_what_is_wrong_is_said(config, word):
    found = find(config)
    assert found.credential is None
    assert [word in problem for problem in found.problems] == [True]


@pytest.mark.parametrize(
    "config",
    ["", "{}", '{"auths": null}', '{"auths": []}', '{"credHelpers": null, "credsStore": ""}', '{"credsStore": 7}'],
)
def test_a_configuration_without_log_ins_is_no_problem(config):
    assert find(config)[::2] == (None, ())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["auths", "r.example", "auth", "credHelpers", "credsStore", "username"]), inner
            )
        ),
    )
)
def test_no_configuration_makes_it_fail(config):
    entries = config.get("auths") if isinstance(config, dict) else None
    entry = entries.get("r.example") if isinstance(entries, dict) else None
    has_login = isinstance(entry, dict) and (entry.get("auth") or entry.get("username"))
    assert has_login or find(config).credential is None


def write(path: Path, config: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return path


def test_places_are_searched_in_order(tmp_path):
    home, run_dir, other = tmp_path / "home", tmp_path / "run", tmp_path / "docker"
    write(home / ".docker/config.json", {"auths": {"r.example": auth("home")}})
    write(other / "config.json", {"auths": {"r.example": auth("docker")}})
    write(run_dir / "containers/auth.json", {"auths": {"r.example": auth("run"), "p.example": auth("podman")}})
    write(home / ".config/containers/auth.json", {"auths": {"q.example": auth("config")}})
    write(tmp_path / "auth.json", {"auths": {"r.example": auth("file")}})
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(run_dir)}
    inline = json.dumps({"auths": {"r.example": auth("inline")}})

    def who(registry: str = "r.example", secrets: tuple[str, ...] = (), **more: str) -> str | None:
        credential = Keychain(env | more).find(registry, "x", secrets).credential
        return credential.username if credential else None

    assert who() == "home"
    assert who(DOCKER_CONFIG=str(other)) == "docker"
    assert who(REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"), DOCKER_CONFIG=str(other)) == "file"
    assert who(DOCKER_AUTH_CONFIG=inline, REGISTRY_AUTH_FILE=str(tmp_path / "auth.json")) == "inline"
    assert who(secrets=(json.dumps({"auths": {"r.example": auth("secret")}}),), DOCKER_AUTH_CONFIG=inline) == "secret"
    assert who("p.example") == "podman"
    assert who("q.example") == "config"
    assert who("q.example", REGISTRY_AUTH_FILE=str(tmp_path / "auth.json")) is None
    assert who("q.example", XDG_CONFIG_HOME=str(tmp_path)) is None


@pytest.mark.parametrize("home", ["", "~", "relative", "/", "/nonexistent", None])
def test_a_home_that_is_none_is_no_problem(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "relative/.docker/config.json", {"auths": {"r.example": auth()}})
    write(tmp_path / "~/.docker/config.json", {"auths": {"r.example": auth()}})
    found = Keychain({} if home is None else {"HOME": home}).find("r.example", "x")
    assert found[::2] == (None, ())


def test_a_configuration_that_is_a_folder_is_a_problem_not_a_crash(tmp_path):
    (tmp_path / "config.json").mkdir()
    found = Keychain({"DOCKER_CONFIG": str(tmp_path)}).find("r.example", "x")
    assert found.credential is None
    assert "cannot be read (expected a regular file, found a directory)" in found.problems[0]


def test_a_configuration_that_is_not_utf8_is_a_problem(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in Keychain({"DOCKER_CONFIG": str(tmp_path)}).find("r.example", "x").problems[0]


def test_credentials_never_show():
    found = find({"auths": {"r.example": {**auth("canary-user", "canary-pw"), "identitytoken": "canary-id"}}})
    assert "canary" not in repr(found)
    assert set(found.credential.secrets()) >= {"canary-pw", "canary-id"}


def helper(folder: Path, name: str, script: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:/usr/bin:/bin", "FOLDER": str(folder)}


ANSWER = """read server; echo "$1 $server" >> $FOLDER/calls
printf '{"ServerURL": "%s", "Username": "from-helper", "Secret": "pw"}' "$server" """


def with_config(env: dict[str, str], tmp_path: Path, config: object) -> Keychain:
    write(tmp_path / "docker/config.json", config)
    return Keychain({**env, "DOCKER_CONFIG": str(tmp_path / "docker")}, helper_seconds=1)


@pytest.mark.parametrize(
    ("config", "registry", "asked"),
    [
        ({"credHelpers": {"r.example": "fake"}}, "r.example", "get r.example"),
        ({"credsStore": "fake"}, "r.example", "get r.example"),
        ({"credsStore": "fake", "auths": {"r.example": {}}}, "r.example", "get r.example"),
        ({"credsStore": "fake"}, "docker.io", f"get {HUB}"),
        ({"credHelpers": {HUB: "fake"}}, "docker.io", f"get {HUB}"),
        (
            {"credHelpers": {"https://r.example": "fake"}, "auths": {"r.example": auth()}},
            "r.example",
            "get https://r.example",
        ),
    ],
)
def test_helpers_are_asked_before_auths(config, registry, asked, tmp_path):
    env = helper(tmp_path / "bin", "fake", ANSWER)
    keychain = with_config(env, tmp_path, config)
    for _ in range(3):
        assert login(keychain.find(registry, "x")) == ("from-helper", "pw")
    assert (tmp_path / "bin/calls").read_text().splitlines() == [asked]


def test_a_helper_for_another_registry_is_not_run(tmp_path):
    env = helper(tmp_path / "bin", "fake", ANSWER)
    assert (
        with_config(env, tmp_path, {"credHelpers": {"other.example": "fake"}}).find("r.example", "x").credential is None
    )
    assert not (tmp_path / "bin/calls").exists()


def test_a_helper_named_by_a_secret_is_never_run(tmp_path):
    env = helper(tmp_path / "bin", "fake", ANSWER)
    config = json.dumps({"credsStore": "fake", "credHelpers": {"r.example": "fake"}})
    assert Keychain(env).find("r.example", "x", (config,)).credential is None
    assert not (tmp_path / "bin/calls").exists()


def test_a_helper_that_knows_nothing_lets_auths_speak(tmp_path):
    env = helper(tmp_path / "bin", "fake", "echo credentials not found in native keychain; exit 1")
    found = with_config(env, tmp_path, {"credsStore": "fake", "auths": {"r.example": auth()}}).find("r.example", "x")
    assert (login(found), found.problems) == (("me", "pw"), ())


def test_a_helper_answers_with_an_identity_token(tmp_path):
    env = helper(tmp_path / "bin", "fake", """printf '{"Username": "<token>", "Secret": "idt"}'""")
    found = with_config(env, tmp_path, {"credsStore": "fake"}).find("r.example", "x").credential
    assert found == Credential(identity_token="idt", origin="docker-credential-fake")


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (
            "echo canary session; exit 3",
            "failed with exit code 3: see why with `echo r.example | docker-credential-fake get`",
        ),
        ("printf 'canary\\033[31m' >&2; exit 1", "failed with exit code 1: see why"),
        ("exit 1", "failed with exit code 1: see why"),
        ("echo hello", "something else than JSON"),
        ("echo '{}'", "something else than JSON"),
        ("echo '[]'", "something else than JSON"),
        ("""printf '{"Username": 1, "Secret": 2}'""", "that is no text"),
        (
            """printf '{"Username": "canary", "Secret": "\\\\ud800"}'""",
            "cannot be sent (NUL, or half of a surrogate pair)",
        ),
        ("""printf '{"Username": "<token>", "Secret": "canary\\\\n"}'""", "identity token is none"),
        ("sleep 300", "no answer in 1 s"),
        ("sleep 300 & echo '{}'", "something else than JSON"),
        ("setsid sleep 300 & sleep 300", "no answer in 1 s"),
        ("yes", "more than 64 KiB"),
        ("yes >&2", "more than 64 KiB"),
        ("kill -9 $$", "exit code -9"),
    ],
)
def test_a_helper_that_fails_is_named_and_bounded(script, word, tmp_path):
    env = helper(tmp_path / "bin", "fake", script)
    with ending():
        found = with_config(env, tmp_path, {"credsStore": "fake"}).find("r.example", "x")
    assert found.credential is None
    assert "docker-credential-fake" in found.problems[0]
    assert word in found.problems[0]
    assert "canary" not in found.problems[0]


@pytest.mark.parametrize("env", [{}, {"X": "\0"}], ids=["no program", "NUL"])
def test_a_helper_that_cannot_be_started_is_named(env, tmp_path):
    path = helper(tmp_path / "bin", "fake", ANSWER)
    (tmp_path / "bin/docker-credential-fake").write_bytes(b"\x7fELF\0")
    assert "docker-credential-fake could not be started: " in str(run("fake", "r.example", path | env))


@pytest.mark.parametrize("name", ["../evil", "a b", "", "a/b", "A", "ä", "a\n"])
def test_a_helper_name_that_could_be_a_path_is_not_run(name, tmp_path):
    assert "is not run" in str(run(name, "r.example", helper(tmp_path / "bin", "fake", ANSWER)))


def test_a_helper_in_the_current_folder_is_not_run(tmp_path, monkeypatch):
    env = helper(tmp_path, "fake", ANSWER)
    monkeypatch.chdir(tmp_path)
    for path in (".", "", ":", "relative"):
        assert "is not installed" in str(run("fake", "r.example", {**env, "PATH": path}))
    assert not (tmp_path / "calls").exists()


def test_a_secret_of_many_registries_is_read_once_for_all_repositories(monkeypatch):
    """6,000 keys in the Secret of 1,000 repositories took half a minute, outside of every deadline."""
    read: list[str] = []

    def note(key: str) -> str:
        read.append(key)
        return normal_key(key)

    monkeypatch.setattr("krmfn.sources.keychain.normal_key", note)
    text = json.dumps({"auths": {f"r{number}.example": auth() for number in range(2000)}})
    keychain = Keychain({})
    assert all(login(keychain.find(f"r{number}.example", "team/app", (text,))) == ("me", "pw") for number in range(0, 2000, 20))
    assert len(read) == 2000


def test_no_helper_is_started_when_there_is_no_time_left(tmp_path):
    env = {**helper(tmp_path / "bin", "fake", ANSWER), "DOCKER_CONFIG": str(tmp_path)}
    write(tmp_path / "config.json", {"credsStore": "fake"})
    keychain = Keychain(env, clock=lambda: 7.0)
    assert "no answer in the time allowed" in keychain.find("r.example", "x", until=7.0).problems[0]
    assert not (tmp_path / "bin/calls").exists()
    assert login(keychain.find("r.example", "x", until=17.0))


def test_a_helper_that_ends_leaves_no_process_behind(tmp_path):
    env = helper(tmp_path / "bin", "fake", "sleep 300 & echo $! > $FOLDER/pid; sleep 300")
    with pytest.raises(TimeoutError, match=r"no answer in 0\.5 s"):
        run("fake", "r.example", env, seconds=0.5)
    pid = int((tmp_path / "bin/pid").read_text())

    def has_ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(has_ended)
