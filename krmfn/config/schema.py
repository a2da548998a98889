"""The definitions of krmfn's own kinds, as JSON Schema, and the strict reading that follows from them.

One table serves three readers: the checks of what is read, `krmfn schema` for editors, and the reference in `docs/`.
Data that is checked comes from `yamltree.construct`: every scalar is its text, so a boolean is the text `true`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from krmfn.policies.newer import KEPT

API_VERSION = "krmfn.dev/v1alpha1"
Schema = dict[str, Any]


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _map(description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = (), **more: Any) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
        **more,
    }


def _list(description: str, items: Schema, **more: Any) -> Schema:
    return {"type": "array", "description": description, "items": items, **more}


_ORDER = _map("Order of the values.", {"order": _text("`asc` takes the last, `desc` the first.")})
_POLICY = _map(
    "How to choose among the tags that are left: exactly one member.",
    {
        "semver": _map(
            "The highest version inside a range.",
            {"range": _text("A constraint as of Masterminds/semver 3.4: `>=1.2.0 <2.0.0`, `^1.2`, `~1.2`, `1.x`.")},
            ("range",),
        ),
        "alphabetical": _ORDER,
        "numerical": _ORDER,
        "version": _map(
            "The highest tag of the same shape as the one that is deployed.",
            {"within": _text("`patch` keeps two numbers, `minor` (default) one, `major` none.", enum=list(KEPT))},
        ),
        "newest": _map(
            "The most recently built image, by its `created`.",
            {"limit": {"type": "integer", "description": "How many candidates may be looked up.", "minimum": 1}},
        ),
        "digest": _map("Keep the tag that is deployed and pin it to its digest.", {}),
    },
)
_FILTER = _map(
    "Keep the tags that a pattern matches, and compare by what it extracts.",
    {
        "pattern": _text("An RE2 pattern, searched anywhere in the tag."),
        "extract": _text("A Go template such as `$ts`; empty compares the whole tag."),
    },
)
_PATTERNS = {"type": "string", "description": "An RE2 pattern, searched anywhere in the tag."}
_CHOOSING: dict[str, Schema] = {
    "policy": _POLICY,
    "filterTags": _FILTER,
    "exclusionList": _list("Drop tags that any pattern matches; default `^.*\\.sig$`.", _PATTERNS, maxItems=25),
    "allowTags": _list("Keep only tags that a pattern matches.", _PATTERNS, maxItems=25),
    "ignoreTags": _list("Drop tags that any pattern matches, besides the exclusionList.", _PATTERNS, maxItems=25),
}
_BINDINGS = _list("How the policy finds its fields.", {"type": "string", "enum": ["markers", "annotations", "images"]})
_SELECT = _map(
    "Which resources; every member that is given must match.",
    {name: _text(f"The resource's {name}, exactly.") for name in ("group", "version", "kind", "name", "namespace")}
    | {
        "labels": {
            "type": "object",
            "description": "Labels that must be there.",
            "additionalProperties": {"type": "string"},
        }
    },
)

_TAG: Schema = {
    "oneOf": [
        {"type": "string"},
        _map(
            "A tag with what is known of it.",
            {"name": _text("The tag."), "digest": _text("Its digest."), "created": _text("RFC 3339 time.")},
            ("name",),
        ),
    ]
}
_SPECS: dict[str, Schema] = {
    "ImageAutomation": _map(
        "The function's own config: one call, many policies.",
        {
            "policies": _list(
                "ImagePolicy specs with the image inline.",
                _map(
                    "One policy.",
                    {
                        "name": _text("Name of the policy; markers write `namespace:name`."),
                        "namespace": _text("Default: the namespace of this object, else `default`."),
                        "image": _text("The repository, without tag: `ghcr.io/acme/web`."),
                        **_CHOOSING,
                        "digestReflectionPolicy": _text(
                            "Whether the digest is written behind the tag.", enum=["Always", "IfNotPresent", "Never"]
                        ),
                        "suspend": {"type": "boolean", "description": "Skip this policy."},
                        "insecure": {"type": "boolean", "description": "Plain HTTP is allowed."},
                        "bind": _BINDINGS,
                    },
                    ("name", "image"),
                ),
            ),
            "bind": _BINDINGS,
            "targets": _list(
                "Fields that no marker reaches.",
                _map(
                    "Binds fields to a policy.",
                    {
                        "select": _SELECT,
                        "path": _text("A JSONPath to the scalar: `$.spec.values.image.tag`."),
                        "containers": _list("Names of containers whose image it is.", {"type": "string"}),
                        "policy": _text("`name` or `namespace:name`."),
                        "part": _text("What of the choice the field takes.", enum=["image", "tag", "name", "digest"]),
                    },
                    ("policy",),
                ),
            ),
            "source": _map(
                "Where tags come from; items of kind TagSnapshot always come first.",
                {
                    "registry": _map("Ask the registries.", {}),
                    "layout": _map(
                        "Read OCI image layouts on disk.", {"path": _text("The root of the tree.")}, ("path",)
                    ),
                },
            ),
            "mode": _text("What the run does.", enum=["update", "check", "frozen"]),
            "onError": _text("`keep` leaves a field whose policy failed as it is.", enum=["fail", "keep"]),
            "onDowngrade": _text(
                "When the list lacks the newer version that is deployed.", enum=["keep", "allow", "fail"]
            ),
            "keepPins": {"type": "boolean", "description": "A field that holds a digest keeps one, under `Never` too."},
            "immutableTags": {"type": "boolean", "description": "A tag that moved to another digest is an error."},
            "update": _map(
                "What else is written.",
                {"annotate": {"type": "boolean", "description": "Record the choice in the workload's annotations."}},
            ),
            "mirrors": _list(
                "Ask another registry for repositories with a prefix.",
                _map(
                    "One mirror.", {"from": _text("`docker.io`"), "to": _text("`mirror.example/hub`")}, ("from", "to")
                ),
            ),
            "realmHosts": _list(
                "Token servers that may receive credentials besides the registry itself.", {"type": "string"}
            ),
        },
    ),
    "TagSnapshot": _map(
        "What one repository offered, as data.",
        {
            "image": _text("The repository, without tag."),
            "tags": _list("The tags.", _TAG),
            "listed": {
                "type": "integer",
                "description": "How many tags the repository listed, when tags that no policy can use were left out.",
                "minimum": 0,
            },
        },
        ("image", "tags"),
    ),
    "ImageLock": _map(
        "What was decided; one entry per policy.",
        {
            "images": _list(
                "Sorted by policy.",
                _map(
                    "One decision.",
                    {
                        "policy": _text("`namespace:name`."),
                        "image": _text("The repository as the policy names it."),
                        "from": _text("The deployed tag that a policy `version` moved on from."),
                        "tag": _text("The chosen tag."),
                        "digest": _text("Its digest, when the policy reflects digests."),
                        "policyHash": _text("Fingerprint of the rules that chose it."),
                        "listed": {
                            "type": "integer",
                            "description": "Tags that the repository listed then.",
                            "minimum": 0,
                        },
                        "eligible": {"type": "integer", "description": "Tags that the policy accepted.", "minimum": 0},
                    },
                    ("policy", "image", "tag", "policyHash"),
                ),
            )
        },
    ),
    "PolicyTest": _map(
        "Unit tests of policies.",
        {
            "cases": _list(
                "The cases.",
                _map(
                    "Tags in, a tag or a reason out.",
                    {
                        "name": _text("A sentence."),
                        **_CHOOSING,
                        "current": _text("The tag that is deployed, for the policies `version` and `digest`."),
                        "tags": _list("What the repository offers; `created` is for the policy `newest`.", _TAG),
                        "expect": _map(
                            "What must come out.",
                            {
                                "tag": _text("The chosen tag."),
                                "error": _text("Part of the message; empty is any error."),
                                "rejected": {
                                    "type": "object",
                                    "description": "Tag to reason.",
                                    "additionalProperties": {"type": "string"},
                                },
                            },
                        ),
                    },
                    ("name", "tags", "expect"),
                ),
            )
        },
        ("cases",),
    ),
}
KINDS = tuple(_SPECS)


def document(kind: str) -> Schema:
    """Return the JSON Schema (draft 2020-12) of one of krmfn's own kinds, as editors and `krmfn schema` use it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{API_VERSION} {kind}",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {"type": "object"},
            "spec": _SPECS[kind],
        },
    }


def problems(kind: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Check an object of one of the own kinds strictly; yield (field path, what is wrong and what to write)."""
    for key in data:
        if key not in ("apiVersion", "kind", "metadata", "spec"):
            yield key, _unknown(key, ("apiVersion", "kind", "metadata", "spec"))
    yield from _check(data.get("spec") or {}, _SPECS[kind], "spec")


def _unknown(key: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"unknown field; {hint}"


def _check(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "oneOf" in schema:
        schema = schema["oneOf"][0] if isinstance(data, str) else schema["oneOf"][1]
    yield from _CHECKS[schema["type"]](data, schema, path)


def _check_object(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if data is None:
        data = {}
    if not isinstance(data, dict):
        yield path, f"expected a mapping, found {_seen(data)}"
        return
    known = schema.get("properties", {})
    more = schema.get("additionalProperties", False)
    for key, value in data.items():
        if key in known:
            if value is not None or known[key]["type"] == "object":
                yield from _check(value, known[key], f"{path}.{key}")
        elif more:
            yield from _check(value, more, f"{path}.{key}")
        else:
            yield f"{path}.{key}", _unknown(key, tuple(known))
    for key in schema.get("required", ()):
        if data.get(key) is None:
            yield f"{path}.{key}", f"required: {known[key].get('description', 'missing')}"


def _check_array(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(data, list):
        yield path, f"expected a list, found {_seen(data)}"
        return
    if len(data) > schema.get("maxItems", len(data)):
        yield path, f"at most {schema['maxItems']} entries, found {len(data)}"
    for index, value in enumerate(data):
        yield from _check(value, schema["items"], f"{path}[{index}]")


def _check_string(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(data, str):
        yield path, f"expected text, found {_seen(data)}"
    elif "enum" in schema and data not in schema["enum"]:
        from difflib import get_close_matches

        near = get_close_matches(data, schema["enum"], 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield path, f"expected one of {', '.join(schema['enum'])}, found {data!r}{hint}"


def _check_boolean(data: Any, _schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if data not in ("true", "false"):
        yield path, f"expected true or false, found {_seen(data)}"


def _check_integer(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not (isinstance(data, str) and data.isascii() and data.isdigit() and int(data) >= schema.get("minimum", 0)):
        yield path, f"expected a whole number from {schema.get('minimum', 0)}, found {_seen(data)}"


def _seen(data: Any) -> str:
    if data is None:
        return "nothing"
    if isinstance(data, dict):
        return "a mapping"
    return "a list" if isinstance(data, list) else repr(data)


_CHECKS = {
    "object": _check_object,
    "array": _check_array,
    "string": _check_string,
    "boolean": _check_boolean,
    "integer": _check_integer,
}
