"""The value filter lets a block pass only when every line in it is plainly current."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.errors import InputError
from krmfn.yamledit import markers, prefilter
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import yamldocs
from tests.lists import scalars

MARK = '# {"$imagepolicy": "f:n"}'
EXPECTED = prefilter.Expected(
    {"f:n": "nginx:9", "f:t:tag": "1.10", "f:open": None},
    {"docker.io/library/nginx": frozenset({"nginx:9"}), "ghcr.io/a/b": None},
    frozenset({"f:other"}),
)

CURRENT = {
    "nothing of ours": b"- a: b\n",
    "a current image": b"- image: nginx:9\n  a: b\n",
    "a current image in quotes": b"- image: 'nginx:9' # c\n",
    "a current image at the end": b'- image: "nginx:9"',
    "an image of nobody": b"- image: redis:7\n",
    "no image reference": b"- image: UPPER CASE\n".replace(b" CASE", b""),
    "words like image": b"- imagePullPolicy: Always\n  imageName: x\n",
    "words that hold image": b"- images: a\n  b: the image of c/image/d\n  docker-image: e\n",
    "a current image below a blank line": b"- image: nginx:9\n\n\n  a: b\n",
    "a current image above an item": b"- a:\n  - image: nginx:9\n  - b\n",
    "a current marker": f"- tag: nginx:9 {MARK}\n".encode(),
    "a current marker on an item": f"- - nginx:9 {MARK}\n".encode(),
    "a current marker in quotes": f"- tag: 'nginx:9'  {MARK}\r\n".encode(),
    "a marker of a policy that is not used": b'- tag: x # {"$imagepolicy": "f:other"}\n',
}
OPEN = {
    "another image": b"- image: nginx:1\n",
    "an image without a value yet": b"- image: ghcr.io/a/b:1\n",
    "an image that goes on below": b"- image: nginx:9\n    foo\n",
    "an image that goes on below a blank line": b"- image: nginx:9\n\n    foo\n",
    "an image that goes on with a dash": b"- image: nginx:9\n    - foo\n",
    "an image in flow": b"- {image: nginx:9}\n",
    "an image in JSON": b'- {"image": "nginx:9"}\n',
    "an image with a blank before the colon": b"- image : nginx:9\n",
    "an image key in quotes": b"- 'image': nginx:9\n",
    "an image as an explicit key": b"- ? image\n  : nginx:9\n",
    "an image below its key": b"- image:\n    nginx:9\n",
    "an image in a block scalar": b"- image: |\n    nginx:9\n",
    "an image with an anchor": b"- image: &a nginx:9\n",
    "an image by alias": b"- image: *a\n",
    "an escaped key": b'- "im\\x61ge": nginx:1\n',
    "an escaped value": b'- image: "ngin\\x78:1"\n',
    "another marked value": f"- tag: x {MARK}\n".encode(),
    "a marker of a policy that nobody knows": b'- tag: x # {"$imagepolicy": "f:x"}\n',
    "a marker without a value yet": b'- tag: x # {"$imagepolicy": "f:open"}\n',
    "a marker above": f"- a:\n  {MARK}\n  - nginx:9\n".encode(),
    "a marker behind a header": f"- a: | {MARK}\n    nginx:9\n".encode(),
    "a marker in the long form": b'- tag: x # {"$ref": "#/definitions/io.k8s.cli.setters.f:n"}\n',
    "an escaped marker": b'- tag: x # {"\\u0024imagepolicy": "f:n"}\n',
    "a marker with more in it": b'- tag: nginx:9 # {"$imagepolicy": "f:n", "a": 1}\n',
    "a word that was asked for": b"- a: needle\n",
}


@pytest.mark.parametrize("raw", CURRENT.values(), ids=CURRENT.keys())
def test_a_block_that_is_plainly_current_passes(raw):
    assert not prefilter.may_change(raw, EXPECTED, (b"needle",))


@pytest.mark.parametrize("raw", OPEN.values(), ids=OPEN.keys())
def test_a_block_that_may_change_does_not_pass(raw):
    assert prefilter.may_change(raw, EXPECTED, (b"needle",))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_what_the_text_shows_holds_all_that_the_nodes_hold(seed):
    raw = yamldocs.document(seed)
    try:
        blocks = documents(Text(raw))
    except InputError:
        return
    for block in blocks:
        assert {marker.setter for marker in markers.read(block)} <= prefilter.setters_in(raw)
        shown = prefilter.image_values(raw)
        if shown is not None:
            assert {one.value for one in scalars(block, frozenset({"image"})) if one.path.endswith("image")} <= shown


@pytest.mark.parametrize(
    ("raw", "setters"),
    [
        (b'a: x # {"$imagepolicy": "f:n"}', {"f:n"}),
        (b'a: "# {" # {"$imagepolicy": "f:n"}', {"f:n"}),
        (b'a: x # {"\\u0024imagepolicy": "f:n"}', {"f:n"}),
        (b'a: x # {"$imagepolicy": "f%3An"}', {"f:n"}),
        (b'a: x # {"$ref": "#/definitions/io.k8s.cli.setters.f:n:tag"}', {"f:n:tag"}),
        (b'a: x # {"x": "' + b"y" * 5000 + b'", "$imagepolicy": "f:n"}', {"f:n"}),
        (b"a: b", set()),
    ],
)
def test_setters_are_seen_in_any_spelling(raw, setters):
    assert prefilter.setters_in(raw) == setters
