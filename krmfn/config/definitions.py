"""What krmfn's own kinds may hold, as JSON Schema. `schema` checks by it, editors and the reference are made from it."""

from __future__ import annotations

from krmfn.config.rule_definitions import REQUIRE, ROLLOUT
from krmfn.config.shapes import Schema, entries, flag, listed, mapped, number, text, text_or, texts, words
from krmfn.policies.policy import POLICIES

_POLICY = mapped(
    "How to choose among the tags that are left: exactly one member.",
    {
        name: mapped(member.meaning, {option: one.schema for option, one in member.options.items()}, member.required)
        for name, member in POLICIES.items()
    },
)
_FILTER = mapped(
    "Keep the tags that a pattern matches, and compare by what it extracts.",
    {
        "pattern": text("An RE2 pattern, searched anywhere in the tag."),
        "extract": text("A Go template such as `$ts`; empty compares the whole tag."),
    },
)
_PATTERNS = {"type": "string", "description": "An RE2 pattern, searched anywhere in the tag."}
_CHOOSING: dict[str, Schema] = {
    "policy": _POLICY,
    "filterTags": _FILTER,
    "exclusionList": listed("Drop tags that any pattern matches; default `^.*\\.sig$`.", _PATTERNS, maxItems=25),
    "allowTags": listed("Keep only tags that a pattern matches.", _PATTERNS, maxItems=25),
    "ignoreTags": listed("Drop tags that any pattern matches, besides the exclusionList.", _PATTERNS, maxItems=25),
}
_BINDINGS = listed("How the policy finds its fields.", {"type": "string", "enum": ["markers", "annotations", "images"]})
_SELECT = mapped(
    "Which resources; every member that is given must match.",
    {name: text(f"The resource's {name}, exactly.") for name in ("group", "version", "kind", "name", "namespace")}
    | {"labels": words("Labels that must be there.")},
)
_TAG: Schema = text_or(
    mapped(
        "A tag with what is known of it.",
        {"name": text("The tag."), "digest": text("Its digest."), "created": text("RFC 3339 time.")},
        ("name",),
    )
)
_SEEN_TAG: Schema = text_or(
    mapped(
        "A tag with what is known of it.",
        {
            **_TAG["oneOf"][1]["properties"],
            "firstSeen": text("When krmfn fetch saw the tag for the first time, RFC 3339."),
            "digests": entries(
                "Every digest that the tag had, oldest first; `digest` alone is one that has the tag's firstSeen.",
                "A digest.",
                {"digest": text("The digest."), "firstSeen": text("When it was seen first, RFC 3339.")},
                ("digest", "firstSeen"),
            ),
            "evidence": text(
                "`bootstrap`: it was there when recording began, and counts as old enough.", enum=["bootstrap"]
            ),
        },
        ("name",),
    )
)
SPECS: dict[str, Schema] = {
    "ImageAutomation": mapped(
        "The function's own config: one call, many policies.",
        {
            "policies": entries(
                "ImagePolicy specs with the image inline.",
                "One policy.",
                {
                    "name": text("Name of the policy; markers write `namespace:name`."),
                    "namespace": text("Default: the namespace of this object, else `default`."),
                    "image": text("The repository, without tag: `ghcr.io/acme/web`."),
                    **_CHOOSING,
                    "digestReflectionPolicy": text(
                        "Whether the digest is written behind the tag.", enum=["Always", "IfNotPresent", "Never"]
                    ),
                    "suspend": flag("Skip this policy."),
                    "insecure": flag("Plain HTTP is allowed."),
                    "bind": _BINDINGS,
                },
                ("name", "image"),
            ),
            "bind": _BINDINGS,
            "targets": entries(
                "Fields that no marker reaches.",
                "Binds fields to a policy.",
                {
                    "select": _SELECT,
                    "path": text("A JSONPath to the scalar: `$.spec.values.image.tag`."),
                    "containers": texts("Names of containers whose image it is."),
                    "policy": text("`name` or `namespace:name`."),
                    "part": text(
                        "What of the choice the field takes.", enum=["image", "tag", "name", "digest", "version"]
                    ),
                },
                ("policy",),
            ),
            "source": mapped(
                "Where tags come from; items of kind TagSnapshot always come first.",
                {
                    "registry": mapped("Ask the registries.", {}),
                    "layout": mapped(
                        "Read OCI image layouts on disk.", {"path": text("The root of the tree.")}, ("path",)
                    ),
                    "artifact": text(
                        "Read the scan of a fleet: `oci://HOST/PATH@sha256:...`, as `krmfn fleet publish` prints it."
                    ),
                },
            ),
            "require": REQUIRE,
            "trust": text(
                "`items`: the `verify` of OCIRepository objects among the items counts for the images at their URL, too.",
                enum=["items"],
            ),
            **ROLLOUT,
            "lock": text(
                "The name of the ImageLock that counts, where several travel as items; in files the nearest one does."
            ),
            "mode": text("What the run does.", enum=["update", "check", "frozen"]),
            "onError": text("`keep` leaves a field whose policy failed as it is.", enum=["fail", "keep"]),
            "onDowngrade": text(
                "When the list lacks the newer version that is deployed.", enum=["keep", "allow", "fail"]
            ),
            "keepPins": flag("A field that holds a digest keeps one, under `Never` too."),
            "immutableTags": flag("A tag that moved to another digest is an error."),
            "update": mapped(
                "What else is written.", {"annotate": flag("Record the choice in the workload's annotations.")}
            ),
            "mirrors": entries(
                "Ask another registry for repositories with a prefix.",
                "One mirror.",
                {"from": text("`docker.io`"), "to": text("`mirror.example/hub`")},
                ("from", "to"),
            ),
            "realmHosts": texts("Token servers that may receive credentials besides the registry itself."),
        },
    ),
    "TagSnapshot": mapped(
        "What one repository offered, as data.",
        {
            "image": text("The repository, without tag."),
            "tags": listed("The tags.", _SEEN_TAG),
            "time": text("When it was written, RFC 3339; with it first sightings are recorded."),
            "gone": listed("Tags that were there and are not any more.", _SEEN_TAG),
            "listed": number("How many tags the repository listed, when tags that no policy can use were left out.", 0),
        },
        ("image", "tags"),
    ),
    "ImageLock": mapped(
        "What was decided; one entry per policy.",
        {
            "images": entries(
                "Sorted by policy.",
                "One decision.",
                {
                    "policy": text("`namespace:name`."),
                    "image": text("The repository as the policy names it."),
                    "from": text("The deployed tag that a policy `version` moved on from."),
                    "tag": text("The chosen tag."),
                    "digest": text("Its digest, when the policy reflects digests."),
                    "policyHash": text("Fingerprint of the rules that chose it."),
                    "rulesHash": text("Fingerprint of what `require` asked of it."),
                    "written": texts("Fields into which krmfn update wrote this tag."),
                    "since": text("Since when this tag with this digest is recorded, RFC 3339."),
                    "verifiedBy": text("Who signed its digest, where a signature is required."),
                    "verifiedAt": text("When that was verified, RFC 3339."),
                    "passedOver": text("The best tag that was passed over, and why."),
                    "listed": number("Tags that the repository listed then.", 0),
                    "eligible": number("Tags that the policy accepted.", 0),
                },
                ("policy", "image", "tag", "policyHash"),
            )
        },
    ),
    "ImageHold": mapped(
        "Somebody holds a policy or an image: exactly one of `tag`, `not`, `releaseAge`.",
        {
            "policy": text("`namespace:name`."),
            "image": text("The repository, without tag."),
            "tag": text("Stay on this tag."),
            "not": text("Skip this tag."),
            "releaseAge": text("This tag need not wait for its age."),
            "until": text(
                "When the hold ends, exclusive: a date (00:00 UTC) or an RFC 3339 time; with `not` also `newer`: at the first eligible tag that is newer."
            ),
            "because": text("Why, for people."),
        },
    ),
    "PolicyTest": mapped(
        "Unit tests of policies.",
        {
            "cases": entries(
                "The cases.",
                "Tags in, a tag or a reason out.",
                {
                    "name": text("A sentence."),
                    **_CHOOSING,
                    "current": text("The tag that is deployed, for the policies `version` and `digest`."),
                    "tags": listed("What the repository offers; `created` is for the policy `newest`.", _TAG),
                    "expect": mapped(
                        "What must come out.",
                        {
                            "tag": text("The chosen tag."),
                            "error": text("Part of the message; empty is any error."),
                            "rejected": words("Tag to reason."),
                        },
                    ),
                },
                ("name", "tags", "expect"),
            )
        },
        ("cases",),
    ),
}
