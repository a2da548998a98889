"""What an ImageAutomation may say about when tags move, and which move together, as JSON Schema."""

from __future__ import annotations

from krmfn.config.shapes import Schema, listed, mapped, text

ROLLOUT: dict[str, Schema] = {
    "groups": listed(
        "Policies that move together: to the highest version that all of them may take, and to no other.",
        mapped(
            "One group.",
            {
                "name": text("Its name, for people."),
                "policies": listed("Its members: `name` or `namespace:name`; a policy is in one group.", {"type": "string"}),
                "by": text(
                    "What has to be the same: the `version` (default; `1.59`, `v1.59.0` and `1.59-r2` are one), or the whole `tag`.",
                    enum=["version", "tag"],
                ),
            },
            ("name", "policies"),
        ),
    ),
}
