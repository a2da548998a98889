"""Asking a source: what each question costs, and what becomes of a failure."""

from __future__ import annotations

from threading import Lock

import pytest

from krmfn.errors import RegistryError
from krmfn.plan.resolve import ask


@pytest.mark.parametrize("workers", [1, 8])
def test_every_question_is_asked_once_and_answered_in_the_order_of_first_mention(workers: int):
    asked: list[str] = []
    lock = Lock()

    def answer(name: str) -> str:
        with lock:
            asked.append(name)
        return name.upper()

    assert list(ask(["b", "a", "b", "c", "a"], answer, workers).items()) == [("b", "B"), ("a", "A"), ("c", "C")]
    assert sorted(asked) == ["a", "b", "c"]


def test_a_failure_of_one_is_its_answer_and_stops_no_other():
    def answer(name: str) -> str:
        if name == "down":
            raise RegistryError("unavailable", name, "no route")
        return name

    answers = ask(["down", "up"], answer, 8)
    assert isinstance(answers["down"], RegistryError)
    assert answers["up"] == "up"
