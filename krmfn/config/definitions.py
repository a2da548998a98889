"""What krmfn's own kinds may hold, as JSON Schema. `schema` checks by it, editors and the reference are made from it."""

from __future__ import annotations

from krmfn.config.requirement_definitions import REQUIRE
from krmfn.config.rollout_definitions import FOLLOW, ROLLOUT
from krmfn.config.shapes import Schema
from krmfn.config.shapes import listed as _list
from krmfn.config.shapes import mapped as _map
from krmfn.config.shapes import text as _text
from krmfn.policies.protocol import KEPT

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
            {
                "within": _text("`patch` keeps two numbers, `minor` (default) one, `major` none.", enum=list(KEPT)),
                "range": _text("A constraint that the numbers meet too, such as `<17`; a variant is no prerelease for it."),
            },
        ),
        "newest": _map(
            "The most recently built image, by its `created`.",
            {"limit": {"type": "integer", "description": "How many candidates may be looked up.", "minimum": 1}},
        ),
        "digest": _map("Keep the tag that is deployed and pin it to its digest.", {}),
        "follow": FOLLOW,
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
_SEEN_TAG: Schema = {
    "oneOf": [
        {"type": "string"},
        _map(
            "A tag with what is known of it.",
            {
                **_TAG["oneOf"][1]["properties"],
                "firstSeen": _text("When krmfn fetch saw the tag for the first time, RFC 3339."),
                "digests": _list(
                    "Every digest that the tag had, oldest first; `digest` alone is one that has the tag's firstSeen.",
                    _map(
                        "A digest.",
                        {"digest": _text("The digest."), "firstSeen": _text("When it was seen first, RFC 3339.")},
                        ("digest", "firstSeen"),
                    ),
                ),
                "evidence": _text(
                    "`bootstrap`: it was there when recording began, and counts as old enough.", enum=["bootstrap"]
                ),
            },
            ("name",),
        ),
    ]
}
SPECS: dict[str, Schema] = {
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
                        "part": _text("What of the choice the field takes.", enum=["image", "tag", "name", "digest", "version"]),
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
                    "artifact": _text("Read the scan of a fleet: `oci://HOST/PATH@sha256:...`, as `krmfn fleet publish` prints it."),
                },
            ),
            "require": REQUIRE,
            "trust": _text(
                "`items`: the `verify` of OCIRepository objects among the items counts for the images at their URL, too.", enum=["items"]
            ),
            **ROLLOUT,
            "lock": _text("The name of the ImageLock that counts, where several travel as items; in files the nearest one does."),
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
            "tags": _list("The tags.", _SEEN_TAG),
            "time": _text("When it was written, RFC 3339; with it first sightings are recorded."),
            "gone": _list("Tags that were there and are not any more.", _SEEN_TAG),
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
                        "rulesHash": _text("Fingerprint of what `require` asked of it."),
                        "written": _list("Fields into which krmfn update wrote this tag.", {"type": "string"}),
                        "since": _text("Since when this tag with this digest is recorded, RFC 3339."),
                        "verifiedBy": _text("Who signed its digest, where a signature is required."),
                        "verifiedAt": _text("When that was verified, RFC 3339."),
                        "passedOver": _text("The best tag that was passed over, and why."),
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
    "ImageHold": _map(
        "Somebody holds a policy or an image: exactly one of `tag`, `not`, `releaseAge`.",
        {
            "policy": _text("`namespace:name`."),
            "image": _text("The repository, without tag."),
            "tag": _text("Stay on this tag."),
            "not": _text("Skip this tag."),
            "releaseAge": _text("This tag need not wait for its age."),
            "until": _text("When the hold ends, exclusive: a date (00:00 UTC) or an RFC 3339 time; with `not` also `newer`: at the first eligible tag that is newer."),
            "because": _text("Why, for people."),
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
