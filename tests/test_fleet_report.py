"""The report of a fleet: what is told of every image, and a page that escapes everything and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from krmfn.config.first_seen import Seen
from krmfn.config.snapshot import Snapshot
from krmfn.errors import RegistryError
from krmfn.fleet import page
from krmfn.fleet.report import DAY, FLAGS, Finding, Place, join
from krmfn.fleet.store import Store, read_plan
from tests.running import call, files

NOW = "2026-11-20T10:00:00Z"
MOMENT = 1795168800.0
OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
WEB, API, GONE = "ghcr.io/acme/web", "ghcr.io/acme/api", "ghcr.io/acme/gone"


def pod(name: str, *images: str) -> str:
    lines = "".join(f"\n  - {{name: c{number}, image: '{image}'}}" for number, image in enumerate(images))
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:{lines}\n---\n"


def automation(policies: str, more: str = "") -> str:
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: images}}\nspec:\n  policies: [{policies}]\n{more}---\n"


def snapshot(image: str, *tags: str, days: tuple[int, ...] = ()) -> Snapshot:
    """Return tags that were seen so many days ago."""
    seen = {tag: Seen(MOMENT - DAY * (days[number] if number < len(days) else 30), ()) for number, tag in enumerate(tags)}
    return Snapshot(image, dict.fromkeys(tags, NEW), {}, len(tags), None, MOMENT, seen)


KNOWN = {
    WEB: snapshot(WEB, "1.0.0", "1.1.0", "1.2.0", "2.0.0", days=(90, 20, 1, 10)),
    API: snapshot(API, "1.0", "1.0.0", "latest"),
}
FAILED = {GONE: RegistryError("denied", GONE, "ghcr.io answered 401 for tags: run docker login", status=401, code="UNAUTHORIZED")}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Three trees and their scan."""
    texts = {
        "shop": pod("web", f"{WEB}:1.0.0", f"{API}:latest") + automation(f"{{name: web, image: {WEB}, policy: {{semver: {{range: '1.x'}}}}}}", "  require: [{minimumReleaseAge: 3 days}]\n"),
        "blog": pod("web", f"{WEB}:1.2.0@{OLD}", f"{GONE}:1.0.0") + automation("{name: idle, image: quay.io/acme/x, policy: {semver: {range: '*'}}}"),
        "wiki": pod("web", f"{WEB}:1.2.0@{NEW}", f"{WEB}:0.9.0", "${REGISTRY}/x:1"),
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "apps.yaml").write_text(text)
    (tmp_path / "plan.json").write_text(call("fleet", "plan", *texts, cwd=tmp_path, KRMFN_NOW=NOW).stdout)
    plan, store = read_plan(tmp_path / "plan.json"), Store(tmp_path / "scan")
    store.begin(plan)
    lane = plan.lanes[0]
    store.write(lane, lane.shards[0], KNOWN.values(), FAILED)
    return tmp_path


def report(folder: Path, *arguments: str) -> dict[str, Any]:
    done = call("fleet", "report", *arguments, "--scan", "scan", "-o", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_what_is_told_of_every_image(fleet):
    told = report(fleet)
    rows = {f"{row['image']}:{row['tag']}{'@' + row['digest'][7:9] if row['digest'] else ''}": row for row in told["images"]}
    assert {name: row["flags"] for name, row in rows.items()} == {
        f"{API}:latest": ["floating", "unpinned"],
        f"{GONE}:1.0.0": ["unknown", "unpinned"],
        f"{WEB}:0.9.0": ["gone", "behind", "unpinned"],
        f"{WEB}:1.0.0": ["update", "waits", "behind", "unpinned"],
        f"{WEB}:1.2.0@aa": ["moved", "behind"],
        f"{WEB}:1.2.0@bb": ["behind"],
    }
    web = rows[f"{WEB}:1.0.0"]
    assert (web["inside"], web["newest"], web["trees"]) == (["1.1.0"], "2.0.0", ["shop"])
    assert web["behind"] == {"versions": 3, "days": 20, "atLeast": False}
    assert web["why"] == ["1.2.0: too young, eligible 2026-11-22T10:00Z"]
    assert rows[f"{WEB}:0.9.0"]["behind"] == {"versions": 4, "days": 90, "atLeast": True}, "1.0.0 was there when the first scan looked"
    assert rows[f"{GONE}:1.0.0"]["why"] == ["ghcr.io answered 401 (UNAUTHORIZED)"]
    assert rows[f"{WEB}:1.2.0@aa"]["places"] == [{"tree": "blog", "where": "apps.yaml:6"}]
    assert told["severalVersions"] == {WEB: ["0.9.0", "1.0.0", "1.2.0", "1.2.0"]}
    assert told["severalDigests"] == {f"{WEB}:1.2.0": [OLD, NEW]}
    assert [one["kind"] for one in told["problems"]] == ["policy"]
    assert "policy default:idle is bound to no field" in told["problems"][0]["message"]


def test_what_is_deployed_and_refused_is_told(fleet):
    (fleet / "rules.yaml").write_text(f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {{name: bad}}\nspec: {{image: {WEB}, not: 1.2.0, because: it loses orders}}\n")
    told = report(fleet, "wiki", "--rules", "rules.yaml")
    held = next(row for row in told["images"] if row["digest"] == NEW)
    assert held["flags"][0] == "refused"
    assert held["why"] == ["1.2.0: held: it loses orders"]
    (fleet / "rules.yaml").write_text("apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: r}\nspec: {require: [{minimumReleaseAge: 3 days, platforms: [linux/amd64]}]}\n")
    told = report(fleet, "wiki", "blog", "--rules", "rules.yaml")
    young = next(row for row in told["images"] if row["digest"] == NEW)
    assert young["flags"][:2] == ["refused", "not judged"]
    assert young["why"][0] == "1.2.0: too young, eligible 2026-11-22T10:00Z"


def test_the_same_scan_gives_the_same_report_at_any_time(fleet):
    first, later = (call("fleet", "report", "--scan", "scan", cwd=fleet, KRMFN_NOW=now).stdout for now in (NEW[:0] + NOW, "2027-01-01T00:00:00Z"))
    assert first == later
    assert first.startswith("<!doctype html>")


def test_a_tree_that_cannot_be_read_is_told_and_the_others_are_reported(fleet):
    done = call("fleet", "report", "wiki", "none", "https://git.invalid/x#--upload-pack", "--scan", "scan", "-o", "json", cwd=fleet)
    assert done.returncode == 1, "a URL that is none is an error of the call"
    assert done.stdout == ""
    done = call("fleet", "report", "wiki", "none", "--scan", "scan", "-o", "json", cwd=fleet)
    assert done.returncode == 1
    assert json.loads(done.stdout)["trees"] == [{"tree": "wiki", "commit": ""}]
    assert json.loads(done.stdout)["problems"][0]["tree"] == "none"


@pytest.mark.parametrize(("trees", "code"), [((), 10), (("wiki",), 10), (("none",), 1)])
def test_exits(fleet, trees, code):
    done = call("fleet", "report", *trees, "--scan", "scan", "--exit-code", "-o", "markdown", cwd=fleet)
    assert done.returncode == code, done.stderr
    assert call("fleet", "report", "--scan", "nowhere", cwd=fleet).returncode == 1


def test_nothing_to_do_exits_0(fleet):
    (fleet / "calm").mkdir()
    (fleet / "calm" / "x.yaml").write_text(pod("web", f"{WEB}:2.0.0"))
    assert call("fleet", "report", "calm", "--scan", "scan", "--exit-code", cwd=fleet).returncode == 0


def test_nothing_is_written(fleet):
    before = files(fleet)
    call("fleet", "report", "--scan", "scan", cwd=fleet)
    assert files(fleet) == before


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.text: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in ("style", "script"):
            self.text[self.inside[-1]] = self.text.get(self.inside[-1], "") + data

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m{{7*7}}\u202e</style>'


def hostile() -> str:
    """Return a page of which every foreign text is hostile."""
    finding = Finding(HOSTILE, HOSTILE, NEW, (Place(HOSTILE, HOSTILE),), frozenset(FLAGS), HOSTILE, HOSTILE, HOSTILE, (HOSTILE,))
    other = finding._replace(digest=OLD)
    from krmfn.fleet.report import Problem

    return page.html(join(MOMENT, NOW, [(HOSTILE, HOSTILE)], [finding, other, finding._replace(tag="1")], [Problem(HOSTILE, kind, HOSTILE) for kind in ("policy", "not read")], {}))


def test_the_page_escapes_what_it_shows_and_may_run_its_own_script_alone():
    text = hostile()
    reader = _Reader()
    reader.feed(text)
    tags = [tag for tag, _ in reader.tags]
    assert (tags.count("script"), tags.count("style"), tags.count("img")) == (1, 1, 0)
    assert "\x1b" not in text
    assert "49" not in re.sub(r"sha256-\S+|aria|[0-9a-f]{19,}", "", text.split("<body>")[1].split("<script>")[0]).replace("{{7*7}}", "")
    policy = next(attrs["content"] for tag, attrs in reader.tags if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(reader.text[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert not [attrs for _, attrs in reader.tags if any(name.startswith("on") or name in ("src", "href", "style", "action") for name in attrs)]


def test_the_page_is_usable_without_eyes_and_without_a_mouse():
    reader = _Reader()
    reader.feed(hostile())
    tags = reader.tags
    assert ("html", {"lang": "en"}) in tags
    assert all(attrs.get("type") == "button" for tag, attrs in tags if tag == "button")
    labelled = {attrs.get("for") for tag, attrs in tags if tag == "label"}
    assert {attrs.get("id") for tag, attrs in tags if tag == "input"} <= labelled
    assert "caption" in [tag for tag, _ in tags]
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in tags if tag == "th")
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for _, attrs in tags if "aria-labelledby" in attrs} <= set(ids)


def test_what_is_excluded_is_in_no_row(fleet):
    assert {row["image"] for row in report(fleet, "shop", "blog", "--exclude", "blog/")["images"]} == {WEB, API}


def test_markdown_shows_no_markup_of_anybody(fleet):
    (fleet / "shop" / "<script>|`[x](y),@acme fixes #12 &#64;acme.yaml").write_text('image: [ # {"$imagepolicy": "a:b"}\n')
    done = call("fleet", "report", "--scan", "scan", "-o", "markdown", cwd=fleet)
    assert done.returncode == 0
    assert "## What 3 trees run" in done.stdout
    assert f"| {WEB} | 1.0.0 | 1.1.0 | 2.0.0 | 3 versions, 20 days | update, waits, behind, unpinned | 1 |" in done.stdout
    assert r"@\u200bacme fixes #\u200b12 \&#\u200b64;acme" in done.stdout, "nobody is mentioned, and no issue is closed"
    assert not re.search(r"(?<!\\)[<&`\[]", done.stdout)


def test_a_thousand_trees_stay_readable():
    """One row for an image at a version, however many trees run it."""
    findings = [Finding(f"ghcr.io/acme/app-{image}", f"1.{number % 3}.0", "", (Place(f"team-{number:04}", "a.yaml:1"),), frozenset(["unpinned"])) for number in range(1000) for image in range(20)]
    report = join(MOMENT, NOW, [(f"team-{number:04}", "") for number in range(1000)], findings, [], {})
    assert len(report.rows) == 60
    text = page.html(report)
    assert text.count("<tr ") == 60
    assert len(text) < 6_000_000
    markdown = page.markdown(report)
    assert len(markdown) < 20_000


def test_markdown_shows_thirty_rows_of_a_table():
    place = (Place("team", "a.yaml:1"),)
    findings = [Finding(f"ghcr.io/acme/app-{image:02}", version, "", place, frozenset()) for image in range(31) for version in ("1.0.0", "1.1.0")]
    text = page.markdown(join(MOMENT, NOW, [("team", "")], findings, [], {}))
    assert text.count("\n| ghcr.io/acme/app-") == 30, text
    assert "\nand 1 more\n" in text
