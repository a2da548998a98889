"""What a run may take and give away: one deadline for all it does, bounded memory, no secret in any form."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import ConfigError
from krmfn.plan.resolve import ask
from krmfn.sources.keychain import Keychain
from krmfn.sources.registry import listing
from krmfn.sources.registry.challenge import parse
from krmfn.sources.registry.clock import World
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.listing import next_page
from krmfn.sources.registry.secrets import Secrets
from krmfn.strict_json import parse as parse_json
from tests.asking import asking, error_of, repository
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy
from tests.registry_server import Login, Registry, Request, serving
from tests.running import environment, run
from tests.test_keychain import helper, write
from tests.waiting import ending, thrifty

CANARY = "canary/+ é\"'<&\\%7e-5d"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def docker(env: dict[str, str], tmp_path: Path, config: object) -> dict[str, str]:
    write(tmp_path / "docker/config.json", config)
    return {**env, "DOCKER_CONFIG": str(tmp_path / "docker")}


LOGIN = """printf '{"Username": "me", "Secret": "pw"}'"""


@pytest.mark.parametrize("seconds", [1.0, 100.0], ids=["hangs", "outlasts the run"])
def test_a_helper_that_hangs_is_asked_once_and_within_the_run(seconds, tmp_path):
    env = helper(tmp_path / "bin", "fake", "echo x >> $FOLDER/calls; sleep 300")
    asked = [repository(f"127.0.0.1:1/acme/app{number}") for number in range(64)]
    asked += [repository(f"r{number}.localhost:1/acme/app") for number in range(64)]
    with asking(env=docker(env, tmp_path, {"credsStore": "fake"}), helper_seconds=seconds, run_seconds=3) as source:
        with ending():
            answers = ask(asked, source.tags, 8)
        assert source.notes() or seconds > 3
    assert {getattr(answer, "failure", "ok") for answer in answers.values()} == {"unavailable"}
    assert (tmp_path / "bin/calls").read_text() == "x\n"


def test_a_slow_helper_serves_many_at_once_after_its_first_answer(tmp_path):
    env = docker(helper(tmp_path / "bin", "fake", f"echo + >> $FOLDER/calls; read server; sleep 0.3; echo - >> $FOLDER/calls; {LOGIN}"), tmp_path, {"credsStore": "fake"})
    with asking(env=env) as source:
        answers = ask([repository(f"r{number}.localhost:1/acme/app") for number in range(17)], source.tags, 8)
        assert not source.notes()
    calls = (tmp_path / "bin/calls").read_text().split()
    assert calls[:2] == ["+", "-"]
    assert max(accumulate(1 if call == "+" else -1 for call in calls)) > 1
    assert {getattr(answer, "failure", "ok") for answer in answers.values()} == {"unavailable"}


def test_the_timeout_of_a_repository_holds_for_its_helper_and_spoils_no_other(tmp_path):
    script = f"[ -e $FOLDER/asked ] || {{ touch $FOLDER/asked; sleep 300; }}; read server; {LOGIN}"
    env = docker(helper(tmp_path / "bin", "fake", script), tmp_path, {"credsStore": "fake"})
    with serving(login=Login("basic", "me", "pw")) as registry, asking(env=env) as source:
        hasty = repository(f"{registry.address}/acme/web", timeout_seconds=0.3)
        with ending():
            assert error_of(lambda: source.tags(hasty)).failure in {"unavailable", "denied"}
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
        assert "the credentials from docker-credential-fake were not sent" in error.message

LINGERING = {
    "a child keeps stdout": (f"read server; sleep 300 & {LOGIN}", True),
    "a child keeps stderr": (f"read server; sleep 300 >/dev/null & {LOGIN}", True),
    "a daemon keeps stdout": (f"read server; (setsid sleep 300 &); {LOGIN}", True),
    "a child answers": (f"(sleep 0.3; {LOGIN}) & exit 0", True),
    "stdin is closed": (f"exec 0<&-; {LOGIN}", True),
    "a child prints for ever": ("read server; yes & exit 0", False),
    "it prints for ever": ("yes", False),
    "it complains for ever": ("yes >&2", False),
    "it drips": ("while :; do printf x; sleep 0.05; done", False),
    "it closes its outputs": ("exec >&- 2>&-; sleep 300", False),
    "it ignores signals": ("trap '' TERM HUP INT; sleep 300", False),
    "it stops": ("kill -STOP $$", False),
    "it asks the terminal": (f"read x </dev/tty; {LOGIN}; exit 1", False),
}


@pytest.mark.parametrize("name", LINGERING)
def test_a_helper_is_over_when_its_process_is_and_within_its_time(name, tmp_path):
    script, has_login = LINGERING[name]
    env = docker(helper(tmp_path / "bin", "fake", script), tmp_path, {"credsStore": "fake"})
    with ending():
        credential, _, problems = Keychain(env, helper_seconds=100 if has_login else 1.5).find("r.example", "acme/web")
    assert (bool(credential), bool(problems)) == (has_login, not has_login)


def test_a_helper_is_not_asked_for_a_name_that_fills_a_pipe(tmp_path):
    env = docker(helper(tmp_path / "bin", "fake", "sleep 300"), tmp_path, {"credsStore": "fake"})
    _, _, problems = Keychain(env).find("r" * 200_000 + ".example", "acme/web")
    assert "is not asked for a name of 200008 characters" in problems[0]


@pytest.mark.parametrize("act", ["drip", "flood", "hang"])
def test_tls_inside_the_tls_of_a_proxy_keeps_its_deadline_and_its_cap(act, authority, tmp_path):
    def misbehave(request: Request) -> None:
        request.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        if act == "hang":
            request.hang()
        request.drip(b" ", 0.02) if act == "drip" else request.flood(b" " * 65536)

    tls = server_context(authority.issue("registry.example", "127.0.0.1"), tmp_path)
    with serving(tls) as registry, Proxy(registry.address, tls=tls) as proxy:
        asked = repository("registry.example/acme/web", insecure=False, ca_pem=authority.pem, proxy_address=proxy.url)
        with asking(repository_seconds=2.0, request_seconds=1.5, idle_seconds=1.0) as source, ending():
            assert source.tags(asked).tags == ("1.0.0",)
            registry.misbehave("tags", misbehave)
            error = error_of(lambda: source.tags(asked))
    assert error.failure == ("limit" if act == "flood" else "unavailable")


def test_an_encrypted_client_key_is_refused_and_nobody_is_asked_for_its_pass_phrase(authority, tmp_path):
    pair = authority.issue("client", client=True)
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"canary-pass"),
    ).decode()
    access = {"ca_pem": authority.pem, "client_cert_pem": pair.certificate, "client_key_pem": encrypted}
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking() as source:
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", insecure=False, **access)))
    assert error.failure == "integrity"
    assert "is encrypted" in error.message


def test_a_ca_with_comments_in_any_script_is_read(authority, tmp_path):
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking() as source:
        asked = repository(f"{registry.address}/acme/web", ca_pem=f"# Vertrauenswürdig\n{authority.pem}")
        assert source.tags(asked).tags == ("1.0.0",)


HOSTILE = {
    "objects": b'{"name": "acme/web", "tags": [' + b"{}," * (3 << 20) + b"{}]}",
    "lists": b'{"name": "acme/web", "tags": [' + b"[]," * (3 << 20) + b"[]]}",
    "just within": b'{"name": "acme/web", "tags": [' + b'{"a":0},' * 95_000 + b"[]," * 190_000 + (b'"' + b"x" * 1_000_000 + b'",') * 8 + b"0]}",
    "a long text": b'{"name": "web", "tags": ["' + b"x" * (9 << 20) + b'\\ud83d\\ude00"]}',
    "not UTF-8": b'{"name": "acme/web", "tags": ["' + "é".encode() * (4 << 20) + b'\xff"]}',
}  # fmt: skip
KEPT = b'{"name": "NAME", "tags": [' + b",".join(b'"%s%06d"' % (b"t" * 120, number) for number in range(78_000)) + b"]}"
DOCUMENTS = {
    "objects": b'{"layers": [' + b'{"a":{}},' * 49_000 + b"0]}",
    "annotations": b'{"annotations": {' + b",".join(b'"%d":"%s"' % (number, b"x" * 24) for number in range(97_000)) + b'}, "config": {}}',
    "platforms": b'{"manifests": [' + b",".join(b'{"platform":{"os":"%d"}}' % number for number in range(33_000)) + b"]}",
}  # fmt: skip
CLIENT = """
import re, sys; from pathlib import Path
from krmfn.plan.resolve import ask
from krmfn.sources.registry import client
from tests.asking import asking, repository
with asking() as source:
    asked = [repository(f"{sys.argv[1]}/app{number}/web") for number in range(8)]
    answers = ask(asked, source.tags if sys.argv[2] == "tags" else lambda one: source.image(one, "1.0.0").labels, 8)
    print(int(re.search(r"VmHWM:[^0-9]+([0-9]+)", Path("/proc/self/status").read_text())[1]) >> 10, {getattr(a, "failure", "ok") for a in answers.values()})
"""


def peak(registry: Registry, what: str) -> tuple[int, str]:
    """Ask for eight repositories at once; return the largest memory of that process in MiB, and how they ended."""
    done = run([sys.executable, "-c", CLIENT, registry.address, what], cwd=Path(__file__).parent.parent)
    mebibytes, ends = done.stdout.split(" ", 1)
    return int(mebibytes), ends.strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_eight_hostile_pages_at_once_stay_small_in_memory(name):
    with serving() as registry:
        registry.misbehave("tags", lambda request: request.plain(200, HOSTILE[name]))
        mebibytes, ends = peak(registry, "tags")
    assert mebibytes < 300
    assert ends == "{'integrity'}"


def test_eight_pages_as_large_as_they_may_be_stay_small_in_memory():
    with serving() as registry:
        registry.misbehave("tags", lambda r: r.plain(200, KEPT.replace(b"NAME", r.repository.encode())))
        mebibytes, ends = peak(registry, "tags")
    assert mebibytes < 300
    assert ends == "{'ok'}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_eight_hostile_manifests_at_once_stay_small_in_memory(name):
    with serving() as registry:
        registry.misbehave("manifest", lambda request: request.plain(200, DOCUMENTS[name]))
        mebibytes, ends = peak(registry, "labels")
    assert mebibytes < 120
    assert ends == "{'integrity'}"


def test_the_lists_of_a_run_have_a_limit_together(monkeypatch):
    monkeypatch.setattr(listing, "RUN_TAGS_LIMIT", 5)
    with Registry() as registry, asking() as source:
        for name in ("a", "b", "c"):
            registry.add(f"acme/{name}", ["1.0.0", "1.1.0"])
        asked = [repository(f"{registry.address}/acme/{name}") for name in ("a", "b", "c")]
        assert [source.tags(one).tags for one in asked[:2]] == [("1.0.0", "1.1.0")] * 2
        error = error_of(lambda: source.tags(asked[2]))
    assert error.failure == "limit"
    assert "the lists of all repositories have more than 256 MiB or 5 tags" in error.message


@pytest.mark.parametrize(
    ("body", "values", "word"),
    [
        (b'{"a": [' + b"0," * 20_000 + b"0]}", 20_000, "more than 20000 values"),
        (b'{"a": [' + b"{}," * 20_000 + b"0]}", 600_000, "more than 20000 objects"),
        (b'{"a": "' + b"x" * (3 << 20) + b'"}', 20_000, "a text of more than 1024 KiB"),
        (b'{"a": ' + b"9" * 5000 + b"}", 20_000, "a number that is too long"),
        (b'{"a": "\xff"}', 20_000, "is not UTF-8"),
        (b'{"a": "canary"', 20_000, "is not JSON \\(line 1, column 15\\)$"),
        (b'{"canary": 1, "canary": 1}', 20_000, "has a key twice$"),
        (b'{"canary": -Infinity}', 20_000, "has -Infinity, which is not JSON$"),
        (b"[" * 15_000, 20_000, "is nested too deeply$"),
        (b'["canary"]', 20_000, "is not a JSON object$"),
    ],
)
def test_json_that_is_none_or_too_much_is_refused(body, values, word):
    with pytest.raises(ValueError, match=word):
        parse_json(body, values)


def test_links_longer_than_any_registry_writes_are_refused():
    with pytest.raises(ValueError, match="longer than 64 KiB"):
        next_page("<x>," * 20_000, "https://r.example/v2/acme/web/tags/list")


@pytest.mark.parametrize("text", [" ", "a ", "a=", 'a="', "a=\\", ",", "\t,", 'Bearer realm="x" ', "a" * 7 + "="])
def test_a_challenge_takes_linear_time(text):
    """A quadratic reader needs a second for these 8 KiB."""
    header = (text * 9000)[: 8 << 10]
    with thrifty():
        for _ in range(100):
            parse(header + "\n=")


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "percent, upper": lambda s: quote(s, safe=""),
    "percent, lower": lambda s: re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), quote(s, safe="")),
    "quoted": quote,
    "form": quote_plus,
    "quoted twice": lambda s: quote(quote(s, safe=""), safe=""),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, no padding": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    "base64 of a URL": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64, percent": lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
    "base64 with a line end": lambda s: base64.b64encode(f"{s}\n".encode()).decode(),
    "base64 within": lambda s: base64.b64encode(f"someone:{s}".encode()).decode(),
    "JSON": json.dumps,
    "JSON, any script": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON with escaped slashes": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "repr": repr,
    "bytes": lambda s: repr(s.encode()),
    "HTML": html.escape,
    "HTML without quotes": lambda s: html.escape(s, quote=False),
    "unicode escape": lambda s: s.encode("unicode_escape").decode(),
    "with a line end": lambda s: f"{s}\r\n",
    "hex": lambda s: s.encode().hex(),
}


def is_in(form: str, shown: str) -> bool:
    """True if a form, or all of its inside, can be seen."""
    return form.strip("\"'\r\n") in shown


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_removed_in_every_form(name, end):
    secrets = Secrets()
    secrets.learn([CANARY + end])
    shown = secrets.scrub(f"the answer was <{FORMS[name](CANARY)}>, again {FORMS[name](CANARY)}")
    assert "the answer was <" in shown
    assert not is_in(FORMS[name](CANARY), shown)
    if name == "base64 within":
        assert base64.b64encode(CANARY.encode() + b" ").decode()[3:-4] not in shown


def test_the_login_of_a_proxy_is_removed_as_it_is_written_and_as_it_is_sent():
    secrets = Secrets()
    secrets.learn_proxies({"HTTPS_PROXY": "http://someone:p%40ssword%2Fcanary@proxy:3128"})
    shown = secrets.scrub("407 for someone:p@ssword/canary, p@ssword/canary, p%40ssword%2Fcanary, someone:p%40ssword%2Fcanary")
    assert shown == "407 for ***, ***, ***, ***"


@given(st.text(min_size=12), st.sampled_from(sorted(FORMS)))
def test_any_secret_is_removed_in_every_form(secret, name):
    secrets = Secrets()
    secrets.learn([secret])
    try:
        form = FORMS[name](secret)
    except UnicodeEncodeError:
        return
    if len(secret.strip()) >= 12:
        assert not is_in(form, secrets.scrub(f"<{form}>")) or form in "<***>"


def test_every_form_is_removed_from_what_a_registry_answers(tmp_path):
    login = Login("basic", "someone", CANARY)
    config: dict[str, object] = {}
    for name, write_form in FORMS.items():
        with serving(login=login) as registry:
            config["auths"] = {registry.address: {"auth": login.basic[6:]}}

            def echo(request: Request, form: str = write_form(CANARY)) -> None:
                request.error(403, "DENIED", f"no {form} here")

            registry.misbehave("manifest", echo)
            with asking() as source:
                asked = repository(f"{registry.address}/acme/web", docker_configs=(json.dumps(config),))
                assert source.tags(asked).tags == ("1.0.0",)
                error = error_of(lambda: source.created(asked, "1.0.0"))  # noqa: B023
            assert "no " in error.message
            assert not is_in(write_form(CANARY), str(error)), name
            assert CANARY not in str(error)


PROXIES = (
    "http://me:canary-proxy@127.0.0.1:1",
    "http://me:canary-proxy@127.0.0.1:99999",
    "http://me:canary-proxy@[::1",
    "http://me:canary%2Dproxy@127.0.0.1:1/x y",
    "me:canary-proxy@\ud800",
    "ftp://me:canary-proxy@127.0.0.1",
    "http://me:canary-proxy",
    "http://canary-proxy@127.0.0.1:1",
)


@pytest.mark.parametrize("is_item", [True, False], ids=["item", "environment"])
@pytest.mark.parametrize("proxy", PROXIES, ids=range(len(PROXIES)))
@pytest.mark.parametrize("allowed", [None, "registry.example"])
def test_the_login_of_a_proxy_never_shows(proxy, is_item, allowed):
    env = {} if is_item else {"HTTPS_PROXY": proxy}
    env |= {"KRMFN_ALLOWED_REGISTRIES": allowed} if allowed else {}
    access = {"proxy_address": proxy} if is_item else {}
    with asking(env=env, tries=1) as source:
        error = error_of(lambda: source.tags(repository("registry.example/acme/web", insecure=False, **access)))
    assert "canary" not in str(error)
    assert error.failure in {"unavailable", "integrity", "denied"}


def test_what_a_proxy_says_is_not_repeated():
    def refuse(connection: socket.socket) -> None:
        sent = connection.recv(65536).decode(errors="replace")
        login = re.search(r"(?i)proxy-authorization: (.*)\r", sent)
        connection.sendall(f"HTTP/1.1 403 {login[1] if login else sent!r} canary-words\r\n\r\n".encode())

    with Proxy("127.0.0.1:1", act=refuse) as proxy, asking(tries=1) as source:
        login = {"proxy_username": "me", "proxy_password": "canary-proxy"}
        asked = repository("registry.example/acme/web", insecure=False, proxy_address=proxy.url, **login)
        error = error_of(lambda: source.tags(asked))
    assert "answered 403 for CONNECT" in error.message
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proxy_username", "\ud800"),
        ("proxy_password", "\udcff"),
        ("proxy_address", "http://\ud800"),
        ("ca_pem", "\ud800"),
        ("client_cert_pem", "\ud800"),
        ("docker_configs", ('{"auths": {"\\ud800": {"auth": "\\ud800"}}}',)),
        ("docker_configs", ('{"auths": {"127.0.0.1:1": {"username": "\\ud800"}}}',)),
        ("realm_hosts", ("\ud800",)),
        ("missing_secrets", ("\ud800",)),
    ],
)
def test_half_a_surrogate_pair_is_an_error_not_a_crash(field, value):
    access = {"proxy_address": "http://127.0.0.1:1", "proxy_username": "me", field: value}
    with asking(tries=1) as source:
        error = error_of(lambda: source.tags(repository("registry.example/acme/web", **access)))
        str(error).encode()
        repr(source.notes()).encode()


@pytest.mark.parametrize(
    "life", ["9" * 400, "-" + "9" * 400, "1e999", "-1e999", '"300"', "null", "[]", "true", "0.1", "300"]
)
def test_a_token_of_any_life_is_taken(life):
    with serving(login=Login("bearer", anonymous=True)) as registry, asking() as source:

        def issue(request: Request) -> None:
            request.registry.login.issued["canary-x"] = "repository:acme/web:pull"  # type: ignore[union-attr]
            request.plain(200, b'{"token": "canary-x", "expires_in": %s}' % life.encode())

        registry.misbehave("token", issue)
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == ("1.0.0",)
        assert source.digest(repository(f"{registry.address}/acme/web"), "1.0.0").startswith("sha256:")
        assert registry.count("token") == 1


@pytest.mark.parametrize(
    ("name", "text", "entries"),
    [
        ("KRMFN_ALLOWED_REGISTRIES", "ghcr.io:443, GHCR.io/acme,,*.corp.example", ("ghcr.io", "ghcr.io/acme", "*.corp.example")),
        ("KRMFN_ALLOWED_REGISTRIES", "", ()),
        ("KRMFN_ALLOWED_REGISTRIES", "[::1]:5000,localhost:5000/a", ("[::1]:5000", "localhost:5000/a")),
        ("KRMFN_TRUST_CONFIG", "ghcr.io:443, R.example:5000", ("ghcr.io", "r.example:5000")),
    ],
)  # fmt: skip
def test_lists_of_registries_are_read(name, text, entries):
    settings = Settings.of({name: text})
    assert (settings.allowed_registries if "ALLOWED" in name else settings.trust_config) == entries


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        *(("KRMFN_ALLOWED_REGISTRIES", entry) for entry in ("https://ghcr.io", "ghcr.io;docker.io", "*", "gh cr.io", "*ghcr.io", "ghcr.io:x", "ghcr.io/Ä", "-a", "*.*.io", "ghcr.io\n::error::")),
        *(("KRMFN_TRUST_CONFIG", entry) for entry in ("http://r.example", "r.example/acme", "*.example", "r.example:", "r_example;b", "me@r.example", "\ud800")),
    ],
)  # fmt: skip
def test_an_entry_that_can_match_nothing_is_an_error_that_names_it(name, entry):
    with pytest.raises(ConfigError, match=f"{name}: .* can match nothing; expected host") as error:
        Settings.of({name: f"ghcr.io,{entry}"})
    assert str(error.value).isprintable()


def test_a_misspelt_list_ends_a_run_before_anything_is_asked(tmp_path):
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: '127.0.0.1:1/a/b:1.0.0'}]}\n"
    )
    done = run(["krmfn", "check", "."], cwd=tmp_path, env=environment(KRMFN_ALLOWED_REGISTRIES="https://ghcr.io"))
    assert done.returncode == 1
    assert "KRMFN_ALLOWED_REGISTRIES: 'https://ghcr.io' can match nothing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("registry", ["registry.example", "registry.example:443"])
@pytest.mark.parametrize(
    "allowed", ["registry.example", "registry.example:443", "*.example:443", "registry.example:443/acme"]
)
def test_the_port_of_https_makes_no_difference(registry, allowed, authority, tmp_path):
    login = Login("basic", "me", "canary-pass")
    tls = server_context(authority.issue("registry.example"), tmp_path)
    with serving(tls, login=login) as server, Proxy(server.address) as proxy:
        env = {
            "KRMFN_ALLOWED_REGISTRIES": allowed,
            "KRMFN_TRUST_CONFIG": "registry.example:443",
            "HTTPS_PROXY": proxy.url,
        }
        env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {registry: {"auth": login.basic[6:]}}})
        with asking(env=env) as source:
            asked = repository(f"{registry}/acme/web", insecure=False, ca_pem=authority.pem)
            assert source.tags(asked).tags == ("1.0.0",)


def test_a_cached_anonymous_token_keeps_the_hint_of_the_login_that_was_not_sent():
    with Registry(host="127.0.0.2", login=Login("bearer", "me", "canary-pass", anonymous=True)) as tokens:
        login = Login("bearer", realm=f"{tokens.url}/token", issued=tokens.login.issued)  # type: ignore[union-attr]
        with serving(login=login) as registry:
            config = json.dumps({"auths": {registry.address: {"auth": Login("basic", "me", "canary-pass").basic[6:]}}})
            registry.misbehave("head", lambda request: request.error(403, "DENIED", "no"))
            asked = repository(f"{registry.address}/acme/web", docker_configs=(config,), realm_hosts=(tokens.address,))
            with asking() as source:
                assert source.tags(asked).tags == ("1.0.0",)
                errors = [error_of(lambda: source.digest(asked, "1.0.0")).message for _ in range(2)]
            assert tokens.count("token") == 1
    for message in errors:
        assert f"KRMFN_TRUST_CONFIG={registry.address}" in message


def test_a_redirect_is_judged_by_the_connection_that_gave_it(monkeypatch):
    """The name leads to a private address first and to a public one later, or the reverse; both speak for themselves."""
    addresses: list[str] = []
    lookup = socket.getaddrinfo

    def rebinding(host, *args, **kwargs):
        return lookup(addresses.pop(0) if host == "rebinding.localhost" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    world = World(is_public=lambda address: address == "127.0.0.1")
    with Registry(host="127.0.0.9") as inside, Registry(host="0.0.0.0") as registry:
        port = registry.address.rpartition(":")[2]
        registry.add("acme/web", ["1.0.0"])
        registry.misbehave("tags", lambda r: r.plain(200, b'{"name": "acme/web", "tags": []}', {"Connection": "close"}))
        registry.misbehave("head", lambda r: r.plain(307, b"", {"Location": f"{inside.url}/v2/x"}))
        for order, reached in ((["127.0.0.3", "127.0.0.1"], False), (["127.0.0.1", "127.0.0.3"], True)):
            addresses[:] = [order[0], *order]
            with asking(world=world, tries=1) as source:
                asked = repository(f"rebinding.localhost:{port}/acme/web")
                assert source.tags(asked).tags == ()
                error_of(lambda: source.digest(asked, "1.0.0"))  # noqa: B023
            assert not addresses
            assert bool(inside.seen) == reached


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (nested(199), ""), (nested(200), "nested too deeply"), (nested(15000), "nested too deeply"),
        (b'{"a": "' + b"[" * 5000 + b'"}', ""), (b'{"a": ["' + b'[\\"' * 500 + b'"]}', ""),
        (b'{"a": [' + b",".join([b"[]"] * 5000) + b"]}", ""), (b'{"a": "' + b"[" * 500, "is not JSON"),
    ],
    ids=["as deep as may be", "deeper", "very deep", "in a text", "in a text with escapes", "beside each other", "a text without an end"],
)  # fmt: skip
def test_collections_are_counted_before_any_is_entered(data: bytes, wrong: str):
    """Not by Python's limit: finalizers that run while it is reached fail, and are told on stderr."""
    limit = sys.getrecursionlimit()
    if not wrong:
        assert parse_json(data)
        return
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ValueError, match=wrong):
            parse_json(data)
    finally:
        sys.setrecursionlimit(limit)
