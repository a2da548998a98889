"""`krmfn completion`: the script that makes a shell complete krmfn's commands, options and the names in manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from krmfn.config.objects import Object

_MORE = {"bash": "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n"}
"""bash would cut `namespace:name` at the colon, and complete the half."""
_CONFIGURATION = (b"ImagePolicy", b"ImageUpdateAutomation", b"krmfn.dev/v", b"imagePolicies")


@options.verb(
    "krmfn completion bash > ~/.local/share/bash-completion/completions/krmfn",
    'krmfn completion zsh > "${fpath[1]}/_krmfn"',
    "krmfn completion fish > ~/.config/fish/completions/krmfn.fish",
    exits="0 printed, 2 no such shell",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL. Names of policies and automations are those below PATHS, else below `.`."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    root = ctx.find_root().command
    if completion is not None:
        terminal.echo(completion(root, {}, "krmfn", "_KRMFN_COMPLETE").source() + _MORE.get(shell, ""))


def policies(ctx: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of policies, `namespace:name`; what was typed may leave the namespace out."""
    from krmfn.config.objects import key_of, listing, mapping, text

    names: set[str] = set()
    for resource in _objects(ctx):
        if resource.id.kind == "ImagePolicy":
            names.add(str(key_of(resource.id)))
        for entry in listing(resource.spec.get("policies" if resource.id.kind == "ImageAutomation" else "imagePolicies")):
            namespace = text(mapping(entry).get("namespace")) or resource.id.namespace or "default"
            names.add(f"{namespace}:{text(mapping(entry).get('name'))}")
    spellings = ((name, name.partition(":")[2]) for name in sorted(names))
    typed = ([one for one in each if one.startswith(incomplete)] for each in spellings)
    return _items(each[0] for each in typed if each)


def automations(ctx: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of ImageUpdateAutomations."""
    names = {resource.id.name for resource in _objects(ctx) if resource.id.kind == "ImageUpdateAutomation"}
    return _items(name for name in sorted(names) if name.startswith(incomplete))


def _items(names: Iterable[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names]


def _objects(ctx: click.Context) -> Iterator[Object]:
    """Yield what can be read of the configuration below the paths that were typed; a shell is told no errors."""
    from krmfn.config.plain import read
    from krmfn.errors import KrmfnError
    from krmfn.inventory import files
    from krmfn.yamledit.documents import documents

    paths = ctx.params.get("paths") or (Path(),)
    try:
        for text in files.texts((path for path in paths if path.exists()), _CONFIGURATION):
            try:
                yield from (resource for block in documents(text) for resource in read(block))
            except KrmfnError:
                continue
    except (KrmfnError, OSError):
        return
