"""What an entry of `spec.require` may hold, as JSON Schema."""

from __future__ import annotations

from krmfn.config.shapes import Schema, listed, mapped, text

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
REQUIRE = listed(
    "What a tag must meet before it may run; all entries that match a policy apply.",
    mapped(
        "One requirement. Globs: `*` stays inside a path part, `**` crosses.",
        {
            "images": listed("Globs of repositories; left out: all.", {"type": "string"}),
            "policies": listed("Globs of `namespace:name`; left out: all.", {"type": "string"}),
            "minimumReleaseAge": _AGE,
            "platforms": listed(
                "Platforms that the image has to be for: `linux/amd64`, `linux/arm/v7`.", {"type": "string"}
            ),
            "pullable": {
                "type": "boolean",
                "description": "Its manifests, configs and layers have to be there, of `platforms` or of all.",
            },
            "verify": listed(
                "Whose signature its digest must have; any entry suffices.",
                mapped(
                    "One way to be signed.",
                    {
                        "provider": text("The tool that signs.", enum=["cosign"]),
                        "secretRef": mapped(
                            "A Secret whose members ending in `.pub` are public keys, any of which suffices.",
                            {"name": text("Its name, in the namespace of this object.")},
                            ("name",),
                        ),
                        "keyFiles": listed("Files of public keys below `--rules`, beside the file that names them; any suffices.", {"type": "string"}),
                        "matchOIDCIdentity": listed(
                            "Who may sign without a key, any of which suffices; needs `krmfn[verify]`.",
                            mapped(
                                "One identity.",
                                {
                                    "issuer": text("Who vouches for it: a pattern (RE2) that matches from end to end."),
                                    "subject": text("Whom the certificate names: a pattern that matches from end to end."),
                                },
                                ("issuer", "subject"),
                            ),
                        ),
                        "trustedRootSecretRef": mapped(
                            "A Secret whose member `trusted_root.json` says who may vouch; left out: the public sigstore.",
                            {"name": text("Its name, in the namespace of this object.")},
                            ("name",),
                        ),
                        "trustedRootFile": text("The same as a file below `--rules`, beside the file that names it."),
                    },
                ),
            ),
            "provenance": mapped(
                "What its SLSA provenance, signed as `verify` says, must tell. Globs.",
                {
                    "builder": text("The builder's id."),
                    "source": text("The repository that it was built from."),
                },
            ),
            "onUnverified": text(
                "What follows when the best tag is not signed so: default next.", enum=["next", "keep", "fail"]
            ),
            "allowTagOnly": {
                "type": "boolean",
                "description": "Fields that cannot hold the digest that was verified take the tag alone.",
            },
        },
    ),
)
