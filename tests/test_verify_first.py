"""What was read is known to be YAML before any registry is asked, and no repository is asked twice."""

from __future__ import annotations

import pytest

from krmfn.errors import InputError
from tests import lists

IMAGE = lists.IMAGE
GOOD = lists.resource_list(lists.policy(), lists.pod(f"{IMAGE}:1.0.0"))
BROKEN = {
    "an open bracket": b"- a: [\n",
    "an open quote": b'- a: "x\n',
    "a quote over the items behind": b"- a: 'x\n- b: y\n",
    "a tab": b"- a:\n  \tb: c\n",
    "two values": b"- a: b: c\n",
    "in the last item, without a line end": b"- a: b\n-\n  c: {",
    "a key among the items": b"-  a: b\n  c: d\n",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("where", ["before", "behind"])
def test_nobody_is_asked_about_a_list_that_is_no_yaml(broken: str, where: str):
    if where == "behind":
        data = GOOD + BROKEN[broken]
    else:
        head, _, items = GOOD.partition(b"items:\n")
        data = head + b"items:\n" + BROKEN[broken].rstrip(b"\n") + b"\n" + items
    tags = lists.Tags({IMAGE: ["1.0.0", "1.2.0"]})
    with pytest.raises(InputError, match="not valid YAML"):
        lists.run(data, tags)
    assert tags.asked == []


def test_nobody_is_asked_when_the_configuration_is_wrong_and_the_list_is_no_yaml():
    data = lists.resource_list(lists.policy('semver: {range: "nope"}')) + BROKEN["an open quote"]
    with pytest.raises(InputError, match="not valid YAML"):
        lists.run(data, lists.Tags({}))


@pytest.mark.parametrize("odd", [b'- a: "x\n- b: y"\n', b"- a: 'x\n-  kind: Pod\n- b'\n", b"- a: b\n-"])
def test_a_list_that_lines_cannot_cut_asks_every_repository_once(odd: bytes):
    tags = lists.Tags({IMAGE: ["1.0.0", "1.2.0"]})
    outcome = lists.run(GOOD + odd, tags)
    assert f"image: {IMAGE}:1.2.0 #".encode() in outcome.text
    assert tags.asked == [IMAGE]
