"""Tries, pauses, deadlines and caps, with a clock that the test holds."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from krmfn.plan.resolve import ask
from krmfn.sources.registry import listing
from krmfn.sources.registry.budget import Budget, OutOfBytesError, OutOfTimeError
from krmfn.sources.registry.clock import World
from krmfn.sources.registry.exchange import Call, NoReply, Reply
from krmfn.sources.registry.host_limiter import HostLimiter
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.origin import Origin
from krmfn.sources.registry.retries import Attempts, retry_after
from krmfn.sources.registry.transport import Transport
from tests.asking import asking, error_of, repository
from tests.registry_server import Registry, Request
from tests.waiting import ending, pause, thrifty, wait_until

HOST = Origin("https", "r.example", 443)
OTHER = Origin("https", "s.example", 443)


class Hands:
    """A clock that only sleeping moves."""

    def __init__(self, chance: float = 1.0) -> None:
        self.time, self.slept, self.chance = 1000.0, list[float](), chance

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def world(self) -> World:
        return World(lambda: self.time, lambda: self.time, self.sleep, lambda: self.chance)


class Script(Transport):
    """A transport that answers what it was told to, one after the other."""

    def __init__(self, *answers: Reply | NoReply) -> None:
        self.answers, self.calls = list(answers), 0

    def send(self, call: Call) -> Reply | NoReply:
        self.calls += 1
        return self.answers[min(self.calls, len(self.answers)) - 1]


def reply(status: int, **headers: str) -> Reply:
    return Reply(status, {key.replace("_", "-"): value for key, value in headers.items()}, b"", "https://r.example/")


def send(hands: Hands, *answers: Reply | NoReply, until: float = 60, **settings: Any) -> tuple[Reply | NoReply, int]:
    world = hands.world()
    transport = Script(*answers)
    attempts = Attempts(Settings(**settings), world, transport, HostLimiter(world, per_host=4, total=8))
    call = Call("GET", HOST, "https://r.example/", {}, 100, hands.time + until)
    return attempts.send(call), transport.calls


GONE = NoReply("unavailable", "connect", "gone", retry=True)
BROKEN = NoReply("integrity", "certificate", "bad")


@pytest.mark.parametrize(
    ("answers", "calls", "slept"),
    [
        ((reply(200),), 1, []),
        ((reply(404),), 1, []),
        ((reply(401),), 1, []),
        ((reply(501),), 1, []),
        ((BROKEN,), 1, []),
        ((GONE,), 3, [0.5, 1.5]),
        ((reply(500), GONE, reply(200)), 3, [0.5, 1.5]),
        ((reply(503),), 3, [0.5, 1.5]),
        ((reply(429), reply(200)), 2, [0.5]),
        ((reply(429, Retry_After="7"), reply(200)), 2, [7.0]),
        ((reply(503, Retry_After="7"), reply(200)), 2, [7.0]),
        ((reply(429, Retry_After="0"), reply(200)), 2, [0.5]),
        ((reply(429, Retry_After="31"), reply(200)), 1, []),
        ((reply(429, Retry_After="30"), reply(429, Retry_After="30"), reply(200)), 2, [30.0]),
    ],
)
def test_what_is_tried_again_and_when(answers, calls, slept):
    hands = Hands()
    assert send(hands, *answers)[1] == calls
    assert hands.slept == pytest.approx(slept)


SILENT = NoReply("unavailable", "silence", "mute", retry=True)


@pytest.mark.parametrize(
    ("before", "answer", "calls"),
    [
        (None, GONE, 3),
        (None, SILENT, 3),
        (None, reply(500), 3),
        (None, reply(429), 3),
        (None, reply(429, Retry_After="3600"), 1),
        (None, NoReply("unavailable", "name", "unknown"), 1),
        (reply(401), SILENT, 3),
        (reply(200), GONE, 3),
        (reply(404), SILENT, 6),
        (reply(200), reply(500), 6),
        (reply(200), reply(429), 6),
        (None, reply(401), 2),
        (None, reply(404), 2),
    ],
)
def test_a_host_that_is_lost_is_given_up_for_the_run(before, answer, calls):
    hands = Hands()
    transport = Script(*filter(None, (before,)), answer)
    attempts = Attempts(Settings(), hands.world(), transport, HostLimiter(hands.world(), per_host=4, total=8))
    call = Call("GET", HOST, "https://r.example/", {}, 100, hands.time + 60)
    if before:
        attempts.send(call)
        calls += 1
    assert [attempts.send(call), attempts.send(call)] == [answer, answer]
    assert transport.calls == calls


def test_who_waits_for_a_lost_host_does_not_try_it():
    """Thirty repositories of a silent host take the time of one."""
    calls = []

    class Silent(Transport):
        def __init__(self) -> None:
            pass

        def send(self, call):
            calls.append(call)
            pause(0.01)
            return SILENT

    attempts = Attempts(Settings(), World(chance=lambda: 0.0), Silent(), HostLimiter(World(), per_host=4, total=8))
    call = Call("GET", HOST, "https://r.example/", {}, 100, World().clock() + 60)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: attempts.send(call), range(30))) == {SILENT}
    assert len(calls) <= 3 * 4


def test_pauses_are_jittered_and_bounded():
    hands = Hands(chance=0.25)
    assert send(hands, reply(500), tries=7, until=600)[1] == 7
    assert hands.slept == pytest.approx([0.125, 0.375, 1.125, 2.0, 2.0, 2.0])


def test_no_pause_goes_past_the_deadline():
    hands = Hands()
    assert send(hands, reply(500), until=1)[1] == 2
    assert hands.slept == [0.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 999, 999999999.0),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970", None),
    ],
)
def test_retry_after_is_read(text, expected):
    assert retry_after(reply(429, Retry_After=text), Hands().world()) == expected


def test_a_paused_host_does_not_pause_another():
    hands = Hands()
    limiter = HostLimiter(hands.world(), per_host=1, total=8)
    limiter.pause(HOST, 5)
    assert limiter.enter(OTHER, hands.time + 1) == "in"
    assert hands.slept == []
    assert limiter.enter(HOST, hands.time + 4) == "paused"
    assert limiter.enter(HOST, hands.time + 6) == "in"
    assert hands.slept == [5]
    limiter.pause(HOST, 1)
    limiter.pause(HOST, 0.1)
    limiter.leave(HOST)
    assert limiter.enter(HOST, hands.time + 9) == "in"
    assert hands.slept == [5, 1]


def test_the_gate_counts_places_and_gives_none_away():
    hands = Hands()
    limiter, now = HostLimiter(hands.world(), per_host=2, total=3), hands.time
    assert [limiter.enter(HOST, now) for _ in range(2)] == ["in", "in"]
    assert limiter.enter(HOST, now) == "full"
    assert limiter.enter(OTHER, now) == "in"
    assert limiter.enter(OTHER, now) == "full"
    limiter.leave(HOST)
    assert limiter.enter(OTHER, now) == "in"


def test_who_waits_for_a_place_is_kept_out_of_a_host_that_was_paused_meanwhile():
    looks: list[float] = []

    def clock() -> float:
        looks.append(World().clock())
        return looks[-1]

    limiter, until = HostLimiter(World(clock=clock), per_host=1, total=3), World().clock() + 100
    assert limiter.enter(HOST, until) == "in"
    looks.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(limiter.enter, HOST, until)
        wait_until(lambda: len(looks) >= 2)  # it has seen no pause, and how long it may wait for a place
        limiter.pause(HOST, 1000)
        limiter.leave(HOST)
        assert waiting.result() == "paused"
    assert limiter.enter(OTHER, until) == "in"


def test_a_budget_ends():
    hands = Hands()
    budget = Budget(hands.time + 10, 100, idle=5, connect=2, clock=lambda: hands.time)
    assert (budget.seconds(5), budget.seconds(60)) == (5, 10)
    hands.sleep(7)
    assert budget.seconds(5) == 3
    budget.count(100 + (1 << 20))
    with pytest.raises(OutOfBytesError):
        budget.count(1)
    hands.sleep(3)
    with pytest.raises(OutOfTimeError):
        budget.seconds(5)


@pytest.fixture
def registry():
    with Registry() as server:
        server.add("acme/web", ["1.0.0"])
        server.add("acme/api", ["1.0.0"])
        yield server


def test_the_timeout_of_a_repository_is_its_own(registry):
    registry.misbehave("tags", Request.hang)
    with asking() as source, ending():
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", timeout_seconds=0.5)))
    assert "0.5 s for this repository" in error.message


def test_the_run_has_a_deadline_for_all_repositories_together(registry):
    repositories = [repository(f"{registry.address}/acme/app{number}") for number in range(6)]
    with asking(run_seconds=1, repository_seconds=0.8, idle_seconds=0.7) as source:
        source.tags(repository(f"{registry.address}/acme/web"))  # a host that never answered would be given up before
        registry.misbehave("tags", Request.hang)
        with ending():
            answers = ask(repositories, source.tags, 2)
    assert {getattr(answer, "failure", None) for answer in answers.values()} == {"unavailable"}
    assert "1 s for the whole run" in str(list(answers.values())[-2:])


def test_a_failure_of_one_repository_leaves_the_others(registry):
    registry.misbehave("head", lambda r: r.error(500, "UNKNOWN", "broken"))
    with asking() as source:
        web, api = (repository(f"{registry.address}/acme/{name}") for name in ("web", "api"))
        answers = ask([web, api, repository(f"{registry.address}/acme/none")], source.tags, 3)
        assert [getattr(answer, "failure", "ok") for answer in answers.values()] == ["ok", "ok", "not-found"]
        assert error_of(lambda: source.digest(web, "1.0.0")).failure == "unavailable"


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        (["1.0.0"] * (listing.TAGS_LIMIT + 1), "500000 tags"),
        (["x" * 100] * (listing.PAGE_LIMIT // 100), "10240 KiB"),
    ],
    ids=["tags", "page"],
)
def test_a_list_that_is_too_long_is_refused_not_cut(tags, word, registry):
    body = json.dumps({"name": "acme/web", "tags": tags}).encode()
    registry.misbehave("tags", lambda r: r.plain(200, body))
    with asking() as source:
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
    assert error.failure == "limit"
    assert word in error.message


def test_the_bytes_of_all_pages_are_bounded(registry):
    body = json.dumps({"name": "acme/web", "tags": ["1.0.0"], "manifest": ["x" * 1020] * (8 << 10)}).encode()

    def page(request: Request) -> None:
        count = registry.count("tags") + registry.count("tags-next")
        request.plain(200, body, {"Link": f"<?last={count}>; rel=next"})

    registry.misbehave("tags", page)
    registry.misbehave("tags-next", page)
    with asking() as source:
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
        assert source.requests < 12
    assert error.failure == "limit"
    assert "64 MiB" in error.message


@pytest.mark.slow
def test_half_a_million_tags_are_listed(registry):
    tags = [f"1.{number}.0" for number in range(listing.TAGS_LIMIT)]
    body = json.dumps({"name": "acme/web", "tags": tags}).encode()
    registry.misbehave("tags", lambda r: r.plain(200, body))
    with asking() as source, thrifty():
        assert len(source.tags(repository(f"{registry.address}/acme/web")).tags) == len(tags)


def test_threads_that_wait_for_a_paused_host_all_go_on(registry):
    """One 429 stops eight threads; after the pause every one of them gets its answer."""
    once = threading.Event()

    def limited(request: Request) -> None:
        if once.is_set():
            request.answer()
        else:
            once.set()
            request.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"})

    registry.misbehave("head", limited)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        pause(seconds)

    with asking(world=World(sleep=sleep, chance=lambda: 0.0), per_host=8) as source:
        web = repository(f"{registry.address}/acme/web")
        source.tags(web)
        answers = ask([(web, number) for number in range(8)], lambda key: source.digest(key[0], "1.0.0"), 8)
    assert set(answers.values()) == {registry.tags["acme/web"]["1.0.0"]}
    assert 0.5 < max(pauses) <= 1


def test_a_host_that_wants_a_long_pause_is_asked_by_nobody_meanwhile():
    """It has answered before, so that it is no host that is lost."""
    hands = Hands()
    transport = Script(reply(200), reply(429, Retry_After="3600"))
    attempts = Attempts(Settings(), hands.world(), transport, HostLimiter(hands.world(), per_host=4, total=8))
    call = Call("GET", HOST, "https://r.example/", {}, 100, hands.time + 60)
    answers = [attempts.send(call) for _ in range(4)]
    assert [one.status if isinstance(one, Reply) else one.kind for one in answers] == [200, 429, "paused", "paused"]
    assert transport.calls == 2
