"""What `check` says on stderr: what was passed over, what failed and why, where an update would stop, and the sum of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from krmfn import terminal
from krmfn.commands import output
from krmfn.kubernetes import forms

if TYPE_CHECKING:
    from krmfn.commands.judging import Verdict
    from krmfn.inventory import files
    from krmfn.inventory.survey import Skipped
    from krmfn.kubernetes.places import Place
    from krmfn.model import Diagnostic
    from krmfn.outcome import Run

_ALLOWED_SKIPPED = 3
"""How many files that are no YAML get a line each."""
_QUIET = ("tag-alone", "helm-release", *(row.code for row in forms.CHARTS))
"""Forms of which only the number of those left alone is told."""


def remark(tree: files.Tree, left: Sequence[Place], verdicts: Sequence[Verdict], run: Run) -> None:
    """Print what a check passed over, what failed, where an update would stop, and last the sum."""
    for one in left:
        if one.form not in _QUIET:
            terminal.say(f"{one.file.path}:{one.file.line}: {one.why}: passed over", "warning")
    stops = stopping(verdicts, run)
    unread = {one.file.path for one in stops if one.file and one.code == "not-read"}
    _tell_skipped([one for one in tree.skipped if (one.is_no_yaml or one.matters) and one.path not in unread])
    for message in _failures(verdicts):
        terminal.say(message, "warning")
    for problem in stops:
        terminal.say(f"{problem}: update would stop here", "warning")
    if run.is_error and not stops:
        message = "krmfn update would write nothing, as these have onError: fail (--on-error keep goes on)"
        terminal.say(message, "warning")
    output.tell_all(one for one in run.results if one.severity == "warning" and one.code == "unknown-policy")
    if run.edits and not (run.is_error or run.changes):
        names = ", ".join(sorted({text.name for text, _ in run.edits}))
        terminal.say(f"krmfn update would renew {names}: {run.recorded.renewal.described or 'holds'}", "note")
    counts = (
        ("tag without a repository", sum(place.form == "tag-alone" for place in left)),
        ("chart of an HTTP repository", sum(place.form in _QUIET and place.form != "tag-alone" for place in left)),
    )
    terminal.say(summary(verdicts))
    for what, count in counts:
        if count:
            terminal.say(f"left alone: {count} x {what} (-o json lists them)")


def stopping(verdicts: Sequence[Verdict], run: Run) -> list[Diagnostic]:
    """Return the errors of policies that exist, for which an update would stop."""
    asked = {verdict.fate.policy for verdict in verdicts if verdict.error and verdict.fate.policy}
    return [one for one in run.results if one.severity == "error" and one.policy not in asked]


def _tell_skipped(skipped: Sequence[Skipped]) -> None:
    """Report the files that hold something or were to be YAML: as a rule a chart's templates, which come by the dozen."""
    others = [one for one in skipped if one.is_no_yaml]
    is_many = len(others) > _ALLOWED_SKIPPED
    for one in skipped:
        if not (is_many and one.is_no_yaml):
            terminal.say(one.message, "warning")
    if is_many:
        named = ", ".join(one.place for one in others[:_ALLOWED_SKIPPED])
        more = f"{len(others) - _ALLOWED_SKIPPED} more files (krmfn check FILE tells why)"
        terminal.say(f"not valid YAML, so not read: {named} and {more}", "warning")


def _failures(verdicts: Iterable[Verdict]) -> list[str]:
    """Return every failure once; repositories that fail alike become one line."""
    lines = []
    for failed in failing(verdicts).values():
        line = output.in_one_line(one.error for one in failed if one.error)
        places = sum(len(one.places) for one in failed)
        lines.append(f"{line}; nothing is known about {places} fields" if is_about_many(failed) else line)
    return lines


def is_about_many(failed: Iterable[Verdict]) -> bool:
    """True if one failure leaves several images unknown."""
    return len({one.ref.canonical for one in failed}) > 1


def failing(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], list[Verdict]]:
    """Return what could not be asked about, by what it has in common."""
    return output.alike(verdicts, lambda one: one.error)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return in one line how the images stand."""
    if not verdicts:
        return "no image found: krmfn reads .yaml, .yml and Kustomization files"
    places = sum(len(verdict.places) for verdict in verdicts)
    counts = (
        ("updatable", sum(verdict.has_update for verdict in verdicts)),
        ("newer beyond the bound", sum(verdict.beyond is not None for verdict in verdicts)),
        ("mutable", sum("mutable" in verdict.states for verdict in verdicts)),
        ("drifted", sum(verdict.has_drifted for verdict in verdicts)),
        ("not listed", sum(verdict.is_gone for verdict in verdicts)),
        ("digest gone", sum(verdict.is_digest_gone for verdict in verdicts)),
        ("unknown", sum(verdict.error is not None for verdict in verdicts)),
    )
    standing = ", ".join(f"{count} {word}" for word, count in counts if count) or "all up to date"
    return f"{len(verdicts)} image{'s' * (len(verdicts) != 1)} in {places} place{'s' * (places != 1)}: {standing}"
