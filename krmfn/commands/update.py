"""`krmfn update`: newer images into manifests on disk, one value at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from krmfn import terminal
from krmfn.commands import completion, interrupting, options, output, ruling
from krmfn.commands.diffs import diffs
from krmfn.commands.workspace import examine
from krmfn.git import changelog

if TYPE_CHECKING:
    from krmfn.commands.examined import Examined
    from krmfn.config.records import Finish
    from krmfn.git.proposals import Proposal
    from krmfn.model import Diagnostic
    from krmfn.outcome import Run
    from krmfn.yamledit.text import Text


@click.command(
    epilog=options.examples(
        "krmfn update . --diff --check      # look first: nothing is written, exit 10 when something would change",
        "krmfn update .                     # edit in place",
        "krmfn update . --commit --push     # one commit, pushed to the branch",
        "krmfn update . --commit --branch images --push -o markdown > body.md   # a branch for a pull request, with its text",
        "krmfn update . --automation apps   # as the ImageUpdateAutomation says: path, policies, author, message, branch",
        exits="0 done, 1 an error (nothing is written), 2 usage, 10 with --check: something would change",
    )
)
@options.PATHS
@options.choosing
@ruling.RULES
@options.WINDOWS
@click.option(
    "--within", type=options.WITHIN, help="Images that no policy names follow newer tags of their shape in this bound."
)
@click.option("--pin", is_flag=True, help="Images that no policy names get a digest behind their tag.")
@click.option("--check", is_flag=True, help="Write nothing; exit 10 when something would change.")
@options.STRICT
@click.option("--diff", is_flag=True, help="Show the changes as a unified diff.")
@click.option(
    "--output", "-o", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
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
    keep_pins: bool | None, within: str | None, pin: bool, check: bool, strict: bool, diff: bool, form: str, **git: Any,
) -> int:  # fmt: skip
    """Write newer images into the manifests below PATHS.

    Policies, markers and snapshots are read from the same files. Only the values change, every other byte stays.

    Commits are made by git, with its hooks and signing, from what is committed; changes that are not stay untouched.
    """
    is_commit = _is_commit(git, check=check)
    finish = options.finishing(
        _anchored(source) if is_commit else source, mode, on_error, on_downgrade, is_check=check, strict=strict, keep_pins=keep_pins,
        unnamed=options.unnamed(within, on_error, pin=pin),
    )  # fmt: skip
    show = _Show(form, diff=diff)
    if is_commit:
        return _commit(paths, finish, git, show)
    examined = examine(paths, options.on_files(finish), git["automation"], is_patient=True)
    if examined.automation and examined.automation.is_suspended:
        return _suspended(examined.automation.key)
    if examined.source.is_cut:
        show.cut(examined)
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


def _is_commit(git: Mapping[str, Any], *, check: bool) -> bool:
    asked = [
        f"--{name}" for name in ("push", "split", "message", "branch", "remote", "sign", "base", "prune") if git[name]
    ]
    wanted = git["commits"] if git["commits"] is not None else bool(git["automation"] or git["push"])
    if asked and not wanted and not check:
        raise click.UsageError(f"{asked[0]} needs --commit")
    return bool(wanted) and not check


def _commit(paths: tuple[Path, ...], finish: Finish, git: Mapping[str, Any], show: _Show) -> int:
    from krmfn.commands import committing, workspace

    if git["automation"]:
        automation = workspace.automation_of(options.read(paths), git["automation"])
        if automation.is_suspended:
            return _suspended(automation.key)
    request = committing.CommitRequest(
        git["automation"], git["push"], git["split"], git["message"], git["branch"], git["remote"], git["sign"],
        git["base"], git["prune"],
    )  # fmt: skip
    return committing.commit(paths, finish, request, show)


def _suspended(key: object) -> int:
    terminal.say(f"ImageUpdateAutomation {key} is suspended: nothing done")
    return 0


class _Show:
    """Prints what a run came to, in one of the forms."""

    def __init__(self, form: str, *, diff: bool) -> None:
        self.form, self.diff = form, diff

    def __call__(self, examined: Examined, written: Mapping[Text, bytes], proposals: Sequence[Proposal] = ()) -> None:
        options.tell_skipped(examined.tree.skipped, "")
        if self.diff:
            terminal.echo("".join(diffs(written)), nl=False)
        if self.form == "json":
            _say_problems(examined.run.results)
            terminal.echo(output.to_json(_plain(examined, written, proposals)))
        elif self.form == "markdown":
            _say_problems(examined.run.results)
            terminal.echo(_bodies(examined, proposals), nl=False)
        else:
            _print_text(examined, written, is_plan=examined.run.config.settings.is_check, has_diff=self.diff)


    def cut(self, found: Examined) -> None:
        """Print what an interrupted run would have changed, as far as it got."""
        if self.form == "json":
            terminal.echo(output.to_json(_plain(found, {}, ())))
        else:
            terminal.table((), [changelog.cells(row) for row in changelog.rows(found.run.changes)])
        output.tell_all(one for one in found.run.results if one.severity != "info")
        terminal.say(f"interrupted: {len(found.run.changes)} fields would change so far; nothing was written")


def _bodies(examined: Examined, proposals: Sequence[Proposal]) -> str:
    """Return the body of the pull request; of several branches each under its name."""
    if len(proposals) < 2:
        lock = examined.run.recorded.renewal.described if examined.run.recorded.lock_edits else ""
        return _body(examined, changelog.rows(examined.run.changes), lock)
    parts = [
        f"## {changelog.safe(one.branch)}\n\n{_body(examined, one.rows, one.lock)}" for one in proposals if one.proposes
    ]
    return "\n".join(parts) or _body(examined, ())


def _body(examined: Examined, rows: Sequence[changelog.Row], lock: str = "") -> str:
    return changelog.markdown(rows, links(examined, rows), examined.run.results, "" if rows else lock)


def links(examined: Examined, rows: Iterable[changelog.Row]) -> dict[changelog.Row, changelog.Link]:
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
    for line in summary(run, rows, len(written), len(examined.tree.texts), is_plan=is_plan).split("\n"):
        terminal.say(line)


def _say_problems(results: Iterable[Diagnostic]) -> None:
    """Report on stderr what went wrong; stdout is for a program or a file, which nobody may look at."""
    output.tell_all(result for result in results if result.severity != "info")


def summary(run: Run, rows: Iterable[changelog.Row], changed: int, read: int, *, is_plan: bool = False) -> str:
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
