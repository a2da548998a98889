"""What an ImageAutomation may say of which tags may run, when, and which move together, as JSON Schema."""

from __future__ import annotations

from krmfn.config.shapes import Schema, entries, flag, mapped, number, text, texts

_DURATION = "A duration: `3 days`, `36 hours`, `2w`."
_AGE: Schema = {
    "description": "How long ago a tag must have been seen first: a duration, or one for each step.",
    "oneOf": [
        {"type": "string", "description": _DURATION},
        mapped(
            "By the first number that differs from the deployed tag.",
            {
                "default": text(f"{_DURATION} For steps that are not named; default none."),
                **{name: text(_DURATION) for name in ("major", "minor", "patch")},
                "digest": text(f"{_DURATION} For a tag that stays, and whose digest moves."),
                "evidence": text(
                    "`created`: where nobody saw the tag first, the time counts that its image tells.", enum=["created"]
                ),
            },
        ),
    ],
}
REQUIRE = entries(
    "What a tag must meet before it may run; all entries that match a policy apply.",
    "One requirement. Globs: `*` stays inside a path part, `**` crosses.",
    {
        "images": texts("Globs of repositories; left out: all."),
        "policies": texts("Globs of `namespace:name`; left out: all."),
        "minimumReleaseAge": _AGE,
        "platforms": texts("Platforms that the image has to be for: `linux/amd64`, `linux/arm/v7`."),
        "pullable": flag("Its manifests, configs and layers have to be there, of `platforms` or of all."),
        "verify": entries(
            "Whose signature its digest must have; any entry suffices.",
            "One way to be signed.",
            {
                "provider": text("The tool that signs.", enum=["cosign"]),
                "secretRef": mapped(
                    "A Secret whose members ending in `.pub` are public keys, any of which suffices.",
                    {"name": text("Its name, in the namespace of this object.")},
                    ("name",),
                ),
                "keyFiles": texts(
                    "Files of public keys below `--rules`, beside the file that names them; any suffices."
                ),
                "matchOIDCIdentity": entries(
                    "Who may sign without a key, any of which suffices; needs `krmfn[verify]`.",
                    "One identity.",
                    {
                        "issuer": text("Who vouches for it: a pattern (RE2) that matches from end to end."),
                        "subject": text("Whom the certificate names: a pattern that matches from end to end."),
                    },
                    ("issuer", "subject"),
                ),
                "trustedRootSecretRef": mapped(
                    "A Secret whose member `trusted_root.json` says who may vouch; left out: the public sigstore.",
                    {"name": text("Its name, in the namespace of this object.")},
                    ("name",),
                ),
                "trustedRootFile": text("The same as a file below `--rules`, beside the file that names it."),
            },
        ),
        "provenance": mapped(
            "What its SLSA provenance, signed as `verify` says, must tell. Globs.",
            {"builder": text("The builder's id."), "source": text("The repository that it was built from.")},
        ),
        "onUnverified": text(
            "What follows when the best tag is not signed so: default next.", enum=["next", "keep", "fail"]
        ),
        "allowTagOnly": flag("Fields that cannot hold the digest that was verified take the tag alone."),
    },
)
ROLLOUT: dict[str, Schema] = {
    "groups": entries(
        "Policies that move together: to the highest version that all of them may take, and to no other.",
        "One group.",
        {
            "name": text("Its name, for people."),
            "policies": texts("Its members: `name` or `namespace:name`; a policy is in one group."),
            "by": text(
                "What has to be the same: the `version` (default; `1.59`, `v1.59.0` and `1.59-r2` are one), or the whole `tag`.",
                enum=["version", "tag"],
            ),
        },
        ("name", "policies"),
    ),
    "windows": entries(
        "When tags may move. A Deny wins; without an Allow it is always.",
        "One window, from every start on for its duration. Globs: `*` stays inside a path part, `**` crosses.",
        {
            "kind": text("Whether tags may move in it, or may not.", enum=["Allow", "Deny"]),
            "schedule": text(
                "When it starts, as cron: minute, hour, day of month, month, day of week: `0 2 * * MON-FRI`."
            ),
            "duration": text("How long it lasts: `2h`, `36 hours`, `3 days`."),
            "timeZone": text("The time zone of the schedule: `Europe/Berlin`; default UTC."),
            "images": texts("Globs of repositories; left out: all."),
            "policies": texts("Globs of `namespace:name`; left out: all."),
        },
        ("kind", "schedule", "duration"),
    ),
    "maxChanges": number("How many policies may change at a time: the longest waiting first, a group whole.", 1),
}
