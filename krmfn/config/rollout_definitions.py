"""What an ImageAutomation may say about when tags move, and which move together, as JSON Schema."""

from __future__ import annotations

from krmfn.config.shapes import Schema, listed, mapped, text

FOLLOW = mapped(
    "The tag and digest that another environment's lock has recorded for a while; no registry is asked.",
    {
        "lock": text("The `metadata.name` of its ImageLock, which has to be among what is read."),
        "policy": text("The policy in it, `namespace:name`."),
        "soak": text("How long it has to be recorded there: `2 days`, `12h`."),
    },
    ("lock", "policy", "soak"),
)
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
    "windows": listed(
        "When tags may move. A Deny wins; without an Allow it is always.",
        mapped(
            "One window, from every start on for its duration. Globs: `*` stays inside a path part, `**` crosses.",
            {
                "kind": text("Whether tags may move in it, or may not.", enum=["Allow", "Deny"]),
                "schedule": text("When it starts, as cron: minute, hour, day of month, month, day of week: `0 2 * * MON-FRI`."),
                "duration": text("How long it lasts: `2h`, `36 hours`, `3 days`."),
                "timeZone": text("The time zone of the schedule: `Europe/Berlin`; default UTC."),
                "images": listed("Globs of repositories; left out: all.", {"type": "string"}),
                "policies": listed("Globs of `namespace:name`; left out: all.", {"type": "string"}),
            },
            ("kind", "schedule", "duration"),
        ),
    ),
    "maxChanges": {
        "type": "integer",
        "description": "How many policies may change at a time: the longest waiting first, a group whole.",
        "minimum": 1,
    },
}
