"""`krmfn create image`: print Flux objects, with the flags of `flux create image` (flux2 cmd/flux/create_image_*.go).

Nothing is applied; `--export` is accepted and changes nothing. Where flux lets a mistake through, krmfn refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import click

from krmfn import terminal
from krmfn.commands import create_flags, options
from krmfn.commands.create_flags import FLAGS, REFLECTIONS, duration_of
from krmfn.config.objects import GROUP
from krmfn.diagnostics import misconfigured
from krmfn.errors import RuleError
from krmfn.image import parse_repository
from krmfn.policies.policy import POLICIES

Verb = TypeVar("Verb", bound=Callable[..., Any])
_VERSION = f"{GROUP}/v1"
_EXITS = "0 printed, 1 a flag is wrong, 2 usage"


@click.group(short_help="Print ImageRepository, ImagePolicy and ImageUpdateAutomation objects.")
def command() -> None:
    """Print Flux objects, with the flags of `flux create`."""


@click.group(
    epilog=options.examples(
        "krmfn create image repository web --image ghcr.io/acme/web > web.yaml",
        "krmfn create image policy web --image-ref web --select-semver '>=1.2.0 <2.0.0' >> web.yaml",
        exits=_EXITS,
    )
)
def image() -> None:
    """Print an ImageRepository, ImagePolicy or ImageUpdateAutomation."""


command.add_command(image)
command.add_command(image, "images")
_verb = partial(options.verb, exits=_EXITS, group=image)


def _shared(verb: Verb) -> Verb:
    return options.adding(
        verb,
        click.argument("name"),
        click.option("--namespace", "-n", default="flux-system", show_default=True, help="Namespace of the object."),
        click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Set a label; may be repeated."),
        click.option("--export", is_flag=True, hidden=True, expose_value=False),
    )


def _selections(verb: Verb) -> Verb:
    flags = ((f"--select-{one.name}", policy, one) for policy, one in FLAGS.items())
    each = (click.option(name, policy, metavar=one.metavar, help=one.help) for name, policy, one in flags)
    return options.adding(verb, *each)


@_verb("krmfn create image repository web --image ghcr.io/acme/web")
@_shared
@click.option("--image", "image_name", metavar="REPOSITORY", help="The repository, without tag: ghcr.io/acme/web.")
@click.option("--interval", default="1m", show_default=True, help="How often the controller scans.")
@click.option("--secret-ref", help="Secret with a docker config.")
@click.option("--cert-ref", "--cert-secret-ref", "cert_ref", help="Secret with TLS certificates.")
@click.option("--scan-timeout", help="How long a scan may take.")
def repository(
    name: str, namespace: str, labels: tuple[str, ...], image_name: str | None, interval: str, secret_ref: str | None,
    cert_ref: str | None, scan_timeout: str | None,
) -> None:  # fmt: skip
    """Print an ImageRepository."""
    if not image_name:
        raise misconfigured("an image repository (--image) is required")
    try:
        parse_repository(image_name)
    except RuleError as error:
        raise misconfigured(f"unable to parse image value: {error}") from None
    spec = {
        "certSecretRef": _reference(cert_ref),
        "image": image_name,
        "interval": duration_of("--interval", interval),
        "secretRef": _reference(secret_ref),
        "timeout": scan_timeout and duration_of("--scan-timeout", scan_timeout),
    }
    _print("ImageRepository", _filled(spec), name, namespace, labels)


@_verb(
    "krmfn create image policy web --image-ref web --select-semver '>=1.2.0 <2.0.0'",
    "krmfn create image policy web --image-ref web --select-numeric asc "
    "--filter-regex '^main-[0-9a-f]+-(?P<time>[0-9]+)$' --filter-extract '$time'",
    "krmfn create image policy web --image-ref web --select-semver 1.x --reflect-digest Always --interval 10m",
)
@_shared
@click.option("--image-ref", metavar="NAME", help="The ImageRepository whose tags are chosen from.")
@_selections
@click.option("--filter-regex", metavar="RE2", help="Only tags that match.")
@click.option("--filter-extract", metavar="TEMPLATE", help="Compare by this part of the match: $ts.")
@click.option("--reflect-digest", metavar="|".join(REFLECTIONS), help="Write the digest behind the tag.")
@click.option("--interval", help="How often the digest is asked for; only with --reflect-digest=Always.")
def policy(
    name: str, namespace: str, labels: tuple[str, ...], image_ref: str | None, filter_regex: str | None,
    filter_extract: str | None, reflect_digest: str | None, interval: str | None, **selections: str | None,
) -> None:  # fmt: skip
    """Print an ImagePolicy."""
    if not image_ref:
        raise misconfigured("the name of an ImageRepository in the namespace is required (--image-ref)")
    spec: dict[str, Any] = {
        "digestReflectionPolicy": reflect_digest and create_flags.reflection_of(reflect_digest),
        "filterTags": create_flags.filter_of(filter_regex, filter_extract),
        "imageRepositoryRef": _reference(image_ref),
        "interval": create_flags.digest_interval(interval, reflect_digest),
    }
    selected, value = create_flags.selection_of(selections)
    option, is_of_flux = POLICIES[selected].key_option, POLICIES[selected].is_of_flux
    spec = _filled(spec | {"policy": {selected: {option: value} if option else {}}})
    create_flags.check_rules(spec)
    annotations = {} if is_of_flux else {"config.kubernetes.io/local-config": "true"}
    _print("ImagePolicy", spec, name, namespace, labels, annotations)
    if not is_of_flux:
        note = f"krmfn: note: Flux's controllers know no policy {selected}: the object is marked local-config, which kustomize leaves out"
        terminal.tell(note, err=True)


@_verb(
    "krmfn create image update apps --git-repo-ref flux-system --git-repo-path ./apps --checkout-branch main "
    "--push-branch images --author-name flux --author-email flux@example.com "
    "--commit-template 'Update {{ len .Changed.Changes }} images'",
)
@_shared
@click.option("--git-repo-ref", help="The GitRepository that holds the manifests.")
@click.option("--git-repo-namespace", help="Its namespace, when it is another.")
@click.option("--git-repo-path", help="The folder with the manifests; default: the whole repository.")
@click.option("--checkout-branch", help="The branch to check out.")
@click.option("--push-branch", help="The branch to push to, when it is another.")
@click.option("--commit-template", help="Template of the commit message.")
@click.option("--author-name", help="Name of the commits' author.")
@click.option("--author-email", help="Address of the commits' author.")
@click.option("--signing-key-secret", help="Secret with the key that signs commits.")
@click.option("--signing-key-type", metavar="gpg|ssh", help="Kind of that key.")
@click.option("--interval", default="1m", show_default=True, help="How often the controller runs.")
def update(name: str, namespace: str, labels: tuple[str, ...], interval: str, **flags: str | None) -> None:
    """Print an ImageUpdateAutomation."""
    _require(flags)
    repository_ref = {"kind": "GitRepository", "name": flags["git_repo_ref"], "namespace": flags["git_repo_namespace"]}
    git = {
        "checkout": {"ref": {"branch": flags["checkout_branch"]}},
        "commit": _commit(flags),
        "push": {"branch": flags["push_branch"]} if flags["push_branch"] else None,
    }
    spec = {
        "git": _filled(git),
        "interval": duration_of("--interval", interval),
        "sourceRef": _filled(repository_ref),
        "update": {"path": flags["git_repo_path"] or ".", "strategy": "Setters"},
    }
    _print("ImageUpdateAutomation", spec, name, namespace, labels)


def _require(flags: dict[str, str | None]) -> None:
    needed = {
        "git_repo_ref": "a reference to a GitRepository is required (--git-repo-ref)",
        "checkout_branch": "the Git repository branch is required (--checkout-branch)",
        "author_name": "the author name is required (--author-name)",
        "author_email": "the author email is required (--author-email)",
    }
    missing = [message for flag, message in needed.items() if not flags[flag]]
    if flags["signing_key_type"] and not flags["signing_key_secret"]:
        missing.append("--signing-key-type needs --signing-key-secret")
    if flags["signing_key_type"] not in (None, "gpg", "ssh"):
        missing.append("--signing-key-type must be one of gpg, ssh")
    if missing:
        raise misconfigured(*missing)


def _commit(flags: dict[str, str | None]) -> dict[str, Any]:
    if flags["commit_template"]:
        from krmfn.git.message import check

        check(flags["commit_template"])
    signing = {"secretRef": _reference(flags["signing_key_secret"]), "type": flags["signing_key_type"]}
    commit = {
        "author": {"email": flags["author_email"], "name": flags["author_name"]},
        "messageTemplate": flags["commit_template"],
        "signingKey": _filled(signing),
    }
    return _filled(commit)


def _reference(name: str | None) -> dict[str, str] | None:
    return {"name": name} if name else None


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that hold something, in their order, which is that of flux's output."""
    return {name: value for name, value in fields.items() if value}


def _print(
    kind: str, spec: Mapping[str, Any], name: str, namespace: str, labels: Iterable[str],
    annotations: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    from krmfn.yamledit.authored import document

    pairs = dict(map(create_flags.label_of, labels))
    create_flags.check_name(name)
    metadata = _filled({"labels": pairs, "annotations": annotations}) | {"name": name, "namespace": namespace}
    terminal.echo("---\n" + document({"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "spec": spec}), nl=False)
