"""What krmfn can tell people: every code and what it means, and the order in which diagnostics come.

The record is `model.Diagnostic`. docs/lint.md tells more about the codes that `krmfn lint` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from krmfn.errors import ConfigError, InputError
from krmfn.model import Diagnostic, File, Location

LINT_CODES = {
    "bad-annotation": "the annotation krmfn.dev/images is no JSON object, or a path in it is no JSONPath",
    "bad-config": "a policy, repository or setting is wrong; krmfn update would refuse it too",
    "bad-setter": "a marker or annotation has not the form namespace:name, or its suffix is not tag, name or digest",
    "bad-target": "a target of an ImageAutomation cannot be looked for in a resource that it selects",
    "cluster-chooses": "an image must be signed, and a range or variable lets the cluster choose which one runs: nothing is judged",
    "dangling-policy": "a field names a policy whose ImageRepository is missing or may not be read",
    "doubtful": "the key image is given twice in one mapping, and readers differ on which one counts",
    "foreign-value": "the policy of this field could not have produced the value that it holds",
    "idle-annotation": "the annotation krmfn.dev/images names a container or a path that is not there",
    "idle-target": "a target of an ImageAutomation binds no field",
    "ignored-marker": "a marker stands where Flux does not read it",
    "left-out": "a marker or annotation names a policy whose bind leaves this way of binding out",
    "no-digest": "a :digest marker names a policy that does not reflect digests",
    "no-scalar": "a binding leads to a mapping or a list",
    "not-read": "a file with markers is not read, by krmfn or by Flux",
    "overruled": "an ImageUpdateAutomation updates an image in the cluster, where require and holds do not count",
    "two-policies": "two bindings want different values for one field",
    "unanchored": "an OCIRepository that counts (trust: items) takes signers whose name only contains what it looks for",
    "unbound-policy": "no field is bound to a policy",
    "unknown-policy": "a marker or annotation names a policy that is not configured",
}
RUN_CODES = {
    "apart": "policies of a group run different versions, and nothing unites them now",
    "bad-input": "the text that was read is no YAML, or not the list that a KRM function gets",
    "bug": "krmfn failed in a way that nobody foresaw",
    "changed": "a field gets a new value",
    "choice": "how a policy came to its choice is worth knowing: a fall-back, a record that stood in for a list",
    "digest-moved": "a tag was pushed again: it has another digest than the recorded or pinned one",
    "downgrade": "the list lacks what is deployed, so that an older image would be chosen",
    "held": "an ImageHold keeps a policy where it is, or speaks against what is deployed",
    "lock": "the lock changes, would change, or cannot be edited",
    "overridden": "an image that every overlay replaces is left alone by image name",
    "malformed-tags": "a registry listed texts that are no tags; they were ignored",
    "no-order": "nothing tells which of the deployed and the chosen image is newer",
    "no-time": "no time is known by which ages or holds could be judged",
    "no-policy": "no policy is configured",
    "not-chosen": "a policy has no tag: the registry could not be asked, or no tag fits",
    "not-judged": "what is required of a tag could not be looked up, so that nothing moves",
    "not-recorded": "a choice cannot be recorded in annotations of the resource",
    "no-digest-field": "fields that take a tag alone are bound to an image that must be signed",
    "not-written": "a field cannot take the value that its policy chose",
    "note": "a remark of the configuration: a policy that is suspended, a check that was not possible",
    "pin-kept": "a pinned field stays, as the digest of its new tag is not to be had",
    "passed-over": "a better tag may not run now: it is too young, held, or not whole",
    "recorded-digest": "the registry could not be asked for a digest, and the recorded one stays",
    "snapshot": "a TagSnapshot cannot be edited, or no policy uses it",
    "source": "a remark of the source of tags",
    "unproven": "an edit would change more than the bound values; nothing was written",
    "taken-back": "a tag that an update wrote was taken back by hand, and an ImageHold keeps the policy away from it",
    "would-change": "under mode: check a field would change",
}
VERIFY_CODES = {
    "bad-signature": "what signs an image does not count: another signer, another digest, another origin, or broken",
    "not-verified": "whether an image is signed could not be found out",
    "unsigned": "an image has no signature, or no provenance, of the kind that it must have",
}
CHECK_CODES = {
    **VERIFY_CODES,
    "beyond": "a newer image lies beyond the bound, or is kept from the field",
    "cluster-chooses": LINT_CODES["cluster-chooses"],
    "digest-gone": "the registry does not hold a pinned digest any more",
    "drifted": "a tag points to another digest than the pinned one",
    "not-listed": "the registry does not list a deployed tag any more",
    "unknown": "the registry could not be asked about an image",
    "updatable": "krmfn update --within would write a newer image",
}
CODES = dict(sorted({**LINT_CODES, **RUN_CODES, **CHECK_CODES}.items()))
"""Every code and what it means."""

_RANK = {"error": 0, "warning": 1, "info": 2}


def misconfigured(*messages: str) -> ConfigError:
    """Return the error of configuration that stands in no resource: a variable, an option, a template."""
    return ConfigError(Diagnostic("error", "bad-config", message) for message in messages)


def unreadable(error: InputError, code: str = "bad-config") -> Diagnostic:
    """Return the diagnostic of a text that could not be read or edited, at its place."""
    return Diagnostic("error", code, error.message, Location(file=File(error.name, None, error.line, error.column)))


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort by severity, then by place, so that the same input gives the same text. Repeats are dropped."""
    ordered: list[Diagnostic] = []
    last, same = None, 0
    for key, diagnostic in sorted(((_key(diagnostic), diagnostic) for diagnostic in diagnostics), key=itemgetter(0)):
        same = len(ordered) if key != last else same
        if diagnostic not in ordered[same:]:
            ordered.append(diagnostic)
        last = key
    return tuple(ordered)


def _key(diagnostic: Diagnostic) -> tuple[object, ...]:
    resource, field, file = diagnostic.location
    return (
        _RANK[diagnostic.severity],
        file.path if file else "",
        (file.document or 0) if file else 0,
        resource or (),
        field.path if field else "",
        diagnostic.message,
    )
