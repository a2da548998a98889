"""`krmfn update`: newer images into manifests on disk, one value at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from krmfn import terminal
from krmfn.commands import completion, interrupting, options, output, ruling
from krmfn.commands.package import lock_note
from krmfn.commands.workspace import Examined, automation_of, examine
from krmfn.git import changelog

if TYPE_CHECKING:
    from krmfn.commands import committing
    from krmfn.config.records import Finish
    from krmfn.git.proposals import Proposal
    from krmfn.outcome import Run
    from krmfn.yamledit.text import Text


@options.verb(
    "krmfn update . --diff --check      # look first: nothing is written, exit 10 when something would change",
    "krmfn update .                     # edit in place",
    "krmfn update . --commit --push     # one commit, pushed to the branch",
    "krmfn update . --commit --branch images --push -o markdown > body.md   # a branch for a pull request, with its text",
    "krmfn update . --automation apps   # as the ImageUpdateAutomation says: path, policies, author, message, branch",
    exits="0 done, 1 an error (nothing is written), 2 usage, 10 with --check: something would change",
)
@options.PATHS
@options.SOURCE
@click.option("--mode", type=click.Choice(["update", "check", "frozen"]),
              help="frozen takes every choice from the lock.")  # fmt: skip
@click.option("--on-error", type=click.Choice(["fail", "keep"]),
              help="keep: a policy that failed leaves its fields alone.")  # fmt: skip
@click.option("--on-downgrade", type=click.Choice(["keep", "allow", "fail"]),
              help="When the list lacks what is deployed.")  # fmt: skip
@click.option("--keep-pins/--no-keep-pins", default=None,
              help="Whether a field that holds a digest goes on holding one, whatever the policy says.")  # fmt: skip
@ruling.RULES
@options.WINDOWS
@click.option(
    "--within", type=options.WITHIN, help="Images that no policy names follow newer tags of their shape in this bound."
)
@click.option("--pin", is_flag=True, help="Images that no policy names get a digest behind their tag.")
@options.CHECK
@options.STRICT
@options.DIFF
@options.output("text", "json", "markdown")
@click.option(
    "--commit/--no-commit", "commits", default=None, help="Commit with git; --automation does unless told otherwise."
)
@click.option("--push", is_flag=True, help="Commit, and push the branch.")
@click.option("--split", is_flag=True, help="One commit per image; with --branch NAME one branch per image, NAME-web.")
@click.option("--automation", metavar="NAME", shell_complete=completion.automations, help="Do as this ImageUpdateAutomation says.")
@click.option("--message", metavar="TEMPLATE", help="Message of the commit, a template as Flux's messageTemplate.")
@click.option("--branch", metavar="NAME", help="Propose on this branch, made anew each time; the checkout stays.")
@click.option("--base", metavar="REF", default="", help="Where proposals start; default: HEAD.")
@click.option(
    "--prune", is_flag=True, help="Delete branches of earlier proposals that have nothing to propose any more."
)
@click.option("--remote", metavar="NAME", default="", help="Push to this remote; default: the branch's, or origin.")
@click.option("--sign", is_flag=True, help="Sign commits with git's own signing.")
def command(
    paths: tuple[Path, ...], source: str | None, mode: str | None, on_error: str | None, on_downgrade: str | None,
    keep_pins: bool | None, within: str | None, pin: bool, check: bool, strict: bool, diff: bool, form: str,
    commits: bool | None, **git: Any,
) -> int:  # fmt: skip
    """Write newer images into the manifests below PATHS.

    Policies, markers and snapshots are read from the same files. Only the values change, every other byte stays.

    Commits are made by git, with its hooks and signing, from what is committed; changes that are not stay untouched.
    """
    is_commit = _is_commit(commits, git, check=check)
    finish = options.finishing(
        _anchored(source) if is_commit else source, is_check=check, strict=strict, mode=mode, on_error=on_error,
        on_downgrade=on_downgrade, keep_pins=keep_pins, unnamed=options.unnamed(within, on_error, pin=pin),
    )  # fmt: skip
    show = partial(_show, form, diff)
    if is_commit:
        return _commit(paths, finish, git, show)
    examined = examine(paths, options.on_files(finish), git["automation"], is_patient=True)
    if examined.automation and examined.automation.is_suspended:
        return _suspended(examined.automation.key)
    if examined.source.is_cut:
        _show_cut(examined, form)
        return interrupting.EXIT
    written, is_check = examined.written(), examined.run.config.settings.is_check
    if not is_check:
        examined.write(written)
    show(examined, written)
    return options.exit_code(is_error=examined.run.is_error, is_check=is_check, would_change=bool(written))


def _anchored(source: str | None) -> str | None:
    """Make a layout's folder absolute: commits are computed in another folder."""
    source = source or (f"layout:{os.environ['KRMFN_LAYOUT']}" if os.environ.get("KRMFN_LAYOUT") else None)
    kind, colon, place = (source or "").partition(":")
    return f"layout:{Path(place).absolute()}" if kind == "layout" and colon and place else source


def _is_commit(wanted: bool | None, git: Mapping[str, Any], *, check: bool) -> bool:
    if check:
        return False
    is_commit = bool(git["automation"] or git["push"]) if wanted is None else wanted
    needing = ("push", "split", "message", "branch", "remote", "sign", "base", "prune")
    if not is_commit and (asked := next((name for name in needing if git[name]), None)):
        raise click.UsageError(f"--{asked} needs --commit")
    return is_commit


def _commit(paths: tuple[Path, ...], finish: Finish, git: Mapping[str, Any], show: committing.Report) -> int:
    from krmfn.commands import committing

    if git["automation"]:
        automation = automation_of(options.read(paths), git["automation"])
        if automation.is_suspended:
            return _suspended(automation.key)
    return committing.commit(paths, finish, committing.CommitRequest(**git), show)


def _suspended(key: object) -> int:
    terminal.say(f"ImageUpdateAutomation {key} is suspended: nothing done")
    return 0


def _show(
    form: str, has_diff: bool, examined: Examined, written: Mapping[Text, bytes], proposals: Sequence[Proposal] = ()
) -> None:
    """Print what a run came to, in one of the forms."""
    options.tell_skipped(examined.tree.skipped, "")
    if has_diff:
        output.print_diff(written)
    if form == "text":
        _print_text(examined, written, is_plan=examined.run.config.settings.is_check, has_diff=has_diff)
        return
    _tell_problems(examined)  # stdout is for a program or a file, which nobody may look at
    if form == "json":
        terminal.echo(output.to_json(_plain(examined, written, proposals)))
    else:
        terminal.echo(_bodies(examined, proposals), nl=False)


def _show_cut(examined: Examined, form: str) -> None:
    """Print what an interrupted run would have changed, as far as it got."""
    if form == "json":
        terminal.echo(output.to_json(_plain(examined, {}, ())))
    else:
        terminal.table((), [changelog.cells(row) for row in changelog.rows(examined.run.changes)])
    _tell_problems(examined)
    terminal.say(f"interrupted: {len(examined.run.changes)} fields would change so far; nothing was written")


def _tell_problems(examined: Examined) -> None:
    output.tell_all(one for one in examined.run.results if one.severity != "info")


def _bodies(examined: Examined, proposals: Sequence[Proposal]) -> str:
    """Return the body of the pull request; of several branches each under its name."""
    if len(proposals) < 2:
        return _body(examined, changelog.rows(examined.run.changes), lock_note(examined.run))
    parts = [
        f"## {changelog.safe(one.branch)}\n\n{_body(examined, one.rows, one.lock)}" for one in proposals if one.proposes
    ]
    return "\n".join(parts) or _body(examined, ())


def _body(examined: Examined, rows: Sequence[changelog.Row], lock: str = "") -> str:
    return changelog.markdown(rows, _links(examined, rows), examined.run.results, "" if rows else lock)


def _links(examined: Examined, rows: Iterable[changelog.Row]) -> dict[changelog.Row, changelog.Link]:
    """Ask the images' labels where their sources are."""
    repositories = {row: row.changes[0].policy.repository for row in rows}
    labels = examined.labels([(repositories[row], tag) for row in repositories for tag in row.tags if tag])
    pages = {}
    for row, repository in repositories.items():
        old, new = (labels.get((repository, tag), {}) for tag in row.tags)
        if (page := changelog.link(new, old)) is not None:
            pages[row] = page
    return pages


def _print_text(examined: Examined, written: Mapping[Text, bytes], *, is_plan: bool, has_diff: bool) -> None:
    run = examined.run
    rows = changelog.rows(run.changes) if written or run.is_error else ()
    if rows and not (run.is_error or has_diff):
        terminal.table((), [changelog.cells(row) for row in rows])
    output.tell_all(one for one in run.results if one.severity != "info" or one.code != "changed")
    for line in _summary(run, rows, len(written), len(examined.tree.texts), is_plan=is_plan).split("\n"):
        terminal.say(line)


def _summary(run: Run, rows: Iterable[changelog.Row], changed: int, read: int, *, is_plan: bool = False) -> str:
    """Return in one line what the run came to."""
    if run.is_error:
        errors = sum(result.severity == "error" for result in run.results)
        return f"{errors} error{'s' * (errors != 1)}, nothing written"
    if not (run.config.policies or run.config.unresolved):
        return (
            f"no policy in {read} file{'s' * (read != 1)}: nothing says which images to choose\n"
            "help: krmfn update --within minor needs none, krmfn init writes one for each image, krmfn check looks without"
        )
    if not changed:
        return f"up to date: nothing to change in {read} file{'s' * (read != 1)}"
    images, fields = changelog.images(tuple(rows)), len(run.changes)
    changes = f"{images} image{'s' * (images != 1)}, {fields} field{'s' * (fields != 1)} in {changed} of {read} file{'s' * (read != 1)}"
    return f"{changes} {'would change' if is_plan else 'changed'}"


def _plain(examined: Examined, written: Mapping[Text, bytes], proposals: Sequence[Proposal]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "changed": [text.name for text in written], "results": [output.plain(one) for one in examined.run.results],
    }  # fmt: skip
    if proposals:
        data["proposals"] = [
            {
                "branch": one.branch, "state": one.state, "commit": one.commit.name if one.commit else "",
                "title": one.subject, "body": _body(examined, one.rows, one.lock) if one.proposes else "",
            } | ({"error": str(one.error)} if one.error else {})
            for one in proposals
        ]  # fmt: skip
    return data
