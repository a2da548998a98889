"""`krmfn completion`: the script that makes a shell complete krmfn's commands and options."""

from __future__ import annotations

import click

from krmfn.commands import options


@click.command(
    epilog=options.examples(
        "krmfn completion bash > ~/.local/share/bash-completion/completions/krmfn",
        'krmfn completion zsh > "${fpath[1]}/_krmfn"',
        "krmfn completion fish > ~/.config/fish/completions/krmfn.fish",
        exits="0 printed, 2 no such shell",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    root = ctx.find_root().command
    if made is not None:
        click.echo(made(root, {}, "krmfn", "_KRMFN_COMPLETE").source())
