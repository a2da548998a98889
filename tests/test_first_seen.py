"""First sightings in real packages: `krmfn fetch`, `--bootstrap`, `--merge`, and `krmfn hold` and `release` beside them."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from krmfn import pipeline
from krmfn.cli import krmfn
from krmfn.config.loading import load
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import images
from tests.asking import one_certificate
from tests.lists import Tags, pod, policy
from tests.registry_server import Registry

WEB = "ghcr.io/acme/web"
REQUIRE = (
    "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n  require:\n"
    "  - minimumReleaseAge: 3 days\n"
)


def offer(folder: Path, **tags: str) -> None:
    """Let the registry offer tags, each built at its time: other times are other digests."""
    shutil.rmtree(folder / "registry", ignore_errors=True)
    images.write(folder / "registry", {WEB: {tag.replace("_", ".")[1:]: f"2026-01-{day}T00:00:00Z" for tag, day in tags.items()}})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "shop"
    package.mkdir()
    (package / "policies.yaml").write_text(policy('semver: {range: ">=1.0.0"}'))
    (package / "require.yaml").write_text(REQUIRE)
    (package / "pod.yaml").write_text(pod(f"{WEB}:1.0.0"))
    offer(tmp_path, v1_0_0="01")
    return package


def call(*arguments: str, day: int = 1, code: int = 0) -> str:
    done = CliRunner(env={"KRMFN_NOW": f"2026-11-{day:02}T00:00:00Z"}).invoke(krmfn, arguments, standalone_mode=False)
    assert not done.exception, done.exception
    assert (done.return_value or 0) == code, done.output
    return done.output


def data(*arguments: str, day: int) -> Any:
    """Return what a verb prints as JSON."""
    done = CliRunner(env={"KRMFN_NOW": f"2026-11-{day:02}T00:00:00Z"}).invoke(krmfn, arguments, standalone_mode=False)
    assert not done.exception, done.exception
    return json.loads(done.stdout)


def fetch(*more: str, day: int, code: int = 0) -> str:
    return call("fetch", "shop", "--source", "layout:registry", *more, day=day, code=code)


def update(day: int) -> str:
    """Update by the snapshot alone and return the tag that the Pod holds then."""
    call("update", "shop", day=day)
    return Path("shop/pod.yaml").read_text().partition(f"{WEB}:")[2].split()[0]


def snapshot(path: str = "shop/krmfn-tags.yaml") -> dict[str, Any]:
    spec: dict[str, Any] = yaml.load(Path(path).read_text(), yaml.BaseLoader)["spec"]
    return spec


def test_a_new_tag_waits_from_the_day_on_which_it_was_fetched_first(place: Path):
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=2)
    assert [(tag["name"], tag["firstSeen"], tag.get("evidence")) for tag in snapshot()["tags"]] == [
        ("1.0.0", "2026-11-01T00:00Z", "bootstrap"),
        ("1.1.0", "2026-11-02T00:00Z", None),
    ]
    assert [update(day) for day in (2, 4, 5)] == ["1.0.0", "1.0.0", "1.1.0"]


def test_without_bootstrap_everything_waits_at_first(place: Path):
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=1)
    assert [update(day) for day in (1, 3, 4)] == ["1.0.0", "1.0.0", "1.1.0"]


def test_a_tag_that_is_pushed_again_waits_again(place: Path):
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="03")
    fetch(day=2)
    (one,) = (tag for tag in snapshot()["tags"] if tag["name"] == "1.1.0")
    assert [digest["firstSeen"] for digest in one["digests"]] == ["2026-11-01T00:00Z", "2026-11-02T00:00Z"]
    assert [update(day) for day in (2, 4, 5)] == ["1.0.0", "1.0.0", "1.1.0"]


def test_a_tag_that_vanished_keeps_its_first_sighting(place: Path):
    offer(place.parent, v1_0_0="01", v1_0_5="02", v1_1_0="02")
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=2)
    assert [tag["name"] for tag in snapshot()["gone"]] == ["1.0.5"]
    offer(place.parent, v1_0_0="01", v1_0_5="02", v1_1_0="02")
    fetch(day=3)
    assert "gone" not in snapshot()
    assert {tag["firstSeen"] for tag in snapshot()["tags"]} == {"2026-11-01T00:00Z"}


def test_a_day_on_which_nothing_happened_changes_no_byte(place: Path):
    fetch("--bootstrap", day=1)
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    assert "up to date" in fetch(day=2)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_the_time_moves_when_a_decision_does(place: Path):
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=2)
    for day, time in ((3, "02"), (5, "05")):
        fetch(day=day)
        assert snapshot()["time"] == f"2026-11-{time}T00:00Z"


def test_a_now_before_the_last_one_is_refused(place: Path):
    fetch("--bootstrap", day=3)
    done = CliRunner(env={"KRMFN_NOW": "2026-11-02T00:00:00Z"}).invoke(
        krmfn, ["fetch", "shop", "--source", "layout:registry"], standalone_mode=False
    )
    assert "was written at 2026-11-03T00:00Z, and now is 2026-11-02T00:00Z" in str(done.exception)


def test_without_an_age_nothing_is_recorded(place: Path):
    (place / "require.yaml").unlink()
    fetch(day=1)
    assert "time" not in snapshot()
    assert snapshot()["tags"] == ["1.0.0"]


def test_snapshots_merge_in_any_order_to_the_same_bytes(place: Path):
    merged = set()
    for index, (day, tags) in enumerate(((1, {"v1_0_0": "01"}), (2, {"v1_0_0": "02", "v1_1_0": "02"}), (3, {"v1_1_0": "03"}))):
        offer(place.parent, **tags)
        (place / "krmfn-tags.yaml").unlink(missing_ok=True)
        fetch("--snapshot", day=day)
        shutil.copy(place / "krmfn-tags.yaml", place.parent / f"{index}.yaml")
    for order in itertools.permutations(("0.yaml", "1.yaml", "2.yaml", "1.yaml")):
        shutil.copy(order[0], place / "krmfn-tags.yaml")
        call("fetch", "shop", *(word for name in order[1:] for word in ("--merge", name)), day=9)
        merged.add((place / "krmfn-tags.yaml").read_bytes())
    assert len(merged) == 1
    spec = snapshot()
    assert (spec["time"], [tag["name"] for tag in spec["gone"]]) == ("2026-11-03T00:00Z", ["1.0.0"])
    assert {tag["firstSeen"] for tag in (*spec["tags"], *spec["gone"])} == {"2026-11-01T00:00Z", "2026-11-02T00:00Z"}


def test_hold_and_release_write_what_update_reads(place: Path):
    offer(place.parent, v1_0_0="01", v1_1_0="02", v1_2_0="02")
    fetch("--bootstrap", day=1)
    call("hold", "web@1.2.0", "shop", "--not", "--until", "2026-11-05", "--because", "it's \"bad\": #1")
    assert update(day=4) == "1.1.0"
    assert update(day=5) == "1.2.0"
    call("hold", "flux:web@1.1.0", "shop")
    assert update(day=5) == "1.1.0"
    call("release", "web@1.1.0", "shop")
    assert update(day=5) == "1.2.0"
    call("release", "web", "shop")
    assert "ImageHold" not in (place / "krmfn-holds.yaml").read_text()


def test_release_age_lets_one_tag_through(place: Path):
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=2)
    call("release", "--age", "web@1.1.0", "shop", "--because", "CVE")
    assert update(day=2) == "1.1.0"


def test_explain_tells_what_may_run_and_what_waits_until_when(place: Path):
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_1_0="02")
    fetch(day=2)
    shown = call("explain", "web", "shop", "--tag", "1.1.0", day=3)
    assert "may run now: 1.0.0\n    1.1.0: too young, eligible 2026-11-05T00:00Z" in shown
    data = json.loads(call("explain", "web", "shop", "-o", "json", "--tag", "1.1.0", day=3))
    why = "too young, eligible 2026-11-05T00:00Z"
    assert data["runs"] == "1.0.0"
    assert data["passedOver"] == [{"tag": "1.1.0", "rule": "age", "why": why, "eligibleAt": "2026-11-05T00:00Z"}]
    assert data["tags"] == [{"tag": "1.1.0", "reason": "age", "why": why}]


def test_the_digests_of_five_tags_and_of_what_is_deployed_are_asked_for_and_no_more(place: Path):
    tags = Tags({WEB: [f"1.{minor}.0" for minor in range(20)]})
    blocks = documents(Text("---\n".join((policy(), REQUIRE, pod(f"{WEB}:1.3.0"))).encode()))
    rules = load(blocks, None, lambda settings: settings._replace(now=0.0))
    pipeline.examine(blocks, rules._replace(recording="first-seen"), lambda _: tags, every=True)
    assert sorted(tags.asked) == sorted([WEB, *(f"{WEB}:1.{minor}.0" for minor in (3, 15, 16, 17, 18, 19))])


def test_a_registry_is_asked_for_one_list_and_six_digests_whoever_wants_them(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", one_certificate())
    with Registry() as registry:
        registry.add("acme/web", [f"1.{minor}.0" for minor in range(20)])
        web = f"{registry.address}/acme/web"
        rules = [policy(reflection=reflection, name=name, image=web) for name, reflection in (("web", "Never"), ("api", "Always"))]
        (place / "policies.yaml").write_text("---\n".join(rules).replace("interval: 5m}", "interval: 5m, insecure: true}"))
        pods = [pod(f"{web}:1.3.0", name=name, setter=f"flux:{name}") for name in ("web", "api")]
        (place / "pod.yaml").write_text("---\n".join(pods))
        for day in (1, 2):
            registry.seen.clear()
            call("fetch", "shop", day=day)
            asked = sorted((one.method, one.path.rpartition("/")[2]) for one in registry.seen if one.endpoint != "ping")
            assert asked == [("GET", "list"), *(("HEAD", f"1.{minor}.0") for minor in (15, 16, 17, 18, 19, 3))]


def test_a_digest_policy_waits_for_the_age_of_a_new_digest(place: Path):
    (place / "policies.yaml").write_text(policy("digest: {}", "Always"))
    (place / "require.yaml").write_text(REQUIRE.replace("3 days", "{default: 9 days, digest: 2 days}"))
    fetch("--bootstrap", day=1)
    call("update", "shop", day=1)
    first = Path("shop/pod.yaml").read_text()
    offer(place.parent, v1_0_0="02")
    fetch(day=3)
    assert [tag["name"] for tag in snapshot()["tags"]] == ["1.0.0"]
    for day, is_old in ((4, True), (5, False)):
        call("update", "shop", day=day)
        assert (Path("shop/pod.yaml").read_text() == first) == is_old
    assert snapshot()["tags"][0]["digest"] in Path("shop/pod.yaml").read_text()
    assert first.partition("@")[2].split()[0] not in Path("shop/pod.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("hold", "wob@1.0.0", "shop"), "no policy wob is configured; did you mean web?"),
        (("release", "flux:wbe", "shop"), "no policy flux:wbe is configured; did you mean flux:web?"),
        (("hold", "nothing-like-it@1.0.0", "shop"), "no policy nothing-like-it is configured; there are flux:web"),
        (("hold", "web", "shop"), "name the tag too"),
        (("hold", "web@1 0", "shop"), "is not a tag"),
        (("hold", "web@1.0.0", "shop", "--until", "soon"), "expected a date"),
        (("release", "web", "shop"), "nothing holds web"),
        (("release", "--age", "web", "shop"), "name the tag too"),
    ],
)
def test_mistakes_of_hold_and_release_are_told(place: Path, words, expected):
    before = sorted(place.iterdir())
    done = CliRunner().invoke(krmfn, words, standalone_mode=False)
    assert expected in str(done.exception)
    assert sorted(place.iterdir()) == before


def test_a_second_hold_on_another_tag_is_refused(place: Path):
    call("hold", "web@1.0.0", "shop")
    done = CliRunner().invoke(krmfn, ["hold", "web@1.1.0", "shop"], standalone_mode=False)
    assert "is held on 1.0.0 already" in str(done.exception)


@pytest.fixture
def waiting(place: Path) -> Path:
    """Let 1.2.0 wait until the 5th and hold 1.1.0 until the 9th."""
    offer(place.parent, v1_0_0="01", v1_0_5="01", v1_1_0="01")
    fetch("--bootstrap", day=1)
    offer(place.parent, v1_0_0="01", v1_0_5="01", v1_1_0="01", v1_2_0="02")
    fetch(day=2)
    call("hold", "web@1.1.0", "shop", "--not", "--until", "2026-11-09", "--because", "checkout fails")
    return place


WAITS = "too young, eligible 2026-11-05T00:00Z"
HELD = "held: checkout fails (until 2026-11-09T00:00Z)"


def test_every_verb_says_what_waits_until_when(waiting: Path):
    shown = call("explain", "web", "shop", day=3)
    assert f"may run now: 1.0.5\n    1.2.0: {WAITS}\n    1.1.0: {HELD}\n" in shown
    assert "4 accepted by the policy\n  3 not held\n  2 old enough, as far as is recorded\n  1 chosen" in shown
    (row,) = data("check", "shop", "-o", "json", day=3)["images"]
    passed = [
        {"tag": "1.2.0", "rule": "age", "why": WAITS, "eligibleAt": "2026-11-05T00:00Z"},
        {"tag": "1.1.0", "rule": "hold", "why": HELD, "eligibleAt": "2026-11-09T00:00Z"},
    ]
    assert (row["inside"], row["passedOver"], row["states"][-1]) == ("1.0.5", passed, "waits until 2026-11-05T00:00Z")
    assert "waits until" in call("check", "shop", "--wide", day=3)
    got = call("get", "image", "policy", "shop", "--source", "layout:registry", day=3)
    assert f"resolved to 1.2.0; krmfn: 1.2.0: {WAITS}; 1.0.5 may run" in got
    body = call("update", "shop", "-o", "markdown", "--diff", day=3)
    assert f"**not yet**: {WEB}: 1.2.0: {WAITS}; 1.0.5 may run" in body
    (told,) = (one for one in data("update", "shop", "-o", "json", "--diff", day=3)["results"] if one["code"] == "passed-over")
    assert told["tags"] == {"policy": "flux:web", "eligibleAt": "2026-11-05T00:00Z"}


def test_the_table_says_held_while_the_best_is_held(waiting: Path):
    call("hold", "web@1.2.0", "shop", "--not", "--until", "2026-12-01")
    assert "held until 2026-12-01T00:00Z" in data("check", "shop", "-o", "json", day=9)["images"][0]["states"]


def test_explain_tells_why_each_tag_may_not_run_for_every_deployed_one(waiting: Path):
    (waiting / "policies.yaml").write_text(policy("version: {within: minor}"))
    (waiting / "other.yaml").write_text(pod(f"{WEB}:1.0.5", name="other"))
    told = data("explain", "web", "shop", "--tags", "-o", "json", day=3)
    assert [(one["from"], one["runs"]) for one in told["decisions"]] == [("1.0.0", "1.0.5"), ("1.0.5", None)]
    assert [(one["tag"], one["why"]) for one in told["decisions"][0]["tags"]][2:] == [("1.1.0", HELD), ("1.2.0", WAITS)]


def test_the_table_says_which_platform_is_missing(waiting: Path):
    (waiting / "require.yaml").write_text(REQUIRE.replace("minimumReleaseAge: 3 days", "platforms: [linux/amd64, linux/arm64]"))
    (waiting / "krmfn-holds.yaml").unlink()
    (row,) = data("check", "shop", "--source", "layout:registry", "-o", "json", day=9)["images"]
    assert (row["inside"], row["states"][-1]) == (None, "no linux/arm64")


def test_what_a_snapshot_cannot_tell_keeps_what_runs_and_says_what_would_help(waiting: Path):
    (waiting / "require.yaml").write_text(REQUIRE.replace("minimumReleaseAge: 3 days", "platforms: [linux/amd64]"))
    (waiting / "krmfn-holds.yaml").unlink()
    said = call("update", "shop", "--source", "layout:nowhere", day=9)
    assert "kept as it is: what is required of tag 1.2.0 cannot be judged" in said
    assert "no TagSnapshot holds that: krmfn fetch writes what it decided into the lock, for mode frozen" in said
    assert f"{WEB}:1.0.0" in (waiting / "pod.yaml").read_text()
    fetch(day=9)
    call("update", "shop", "--source", "layout:nowhere", "--mode", "frozen", day=9)
    assert f"{WEB}:1.2.0" in (waiting / "pod.yaml").read_text()
