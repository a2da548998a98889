"""What differs from the commit that is checked out already: it counts for `maxChanges`, so that a second run proposes the same."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.config.lock import read_locks
from krmfn.config.objects import Object, Problems
from krmfn.config.plain import read
from krmfn.errors import GitError, InputError
from krmfn.plan.bind import bind
from krmfn.plan.current import Deployed
from krmfn.yamledit.documents import documents

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.model import PolicyKey
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Text


def with_changed(rules: Config, texts: Iterable[Text], root: Path) -> Config:
    """Return the configuration with the policies whose fields or lock differ from HEAD; without git none does."""
    if rules.rulebook.max_changes is None or not (root / ".git").exists():
        return rules
    from krmfn.git.program import Allowance, Git, seconds_allowed
    from krmfn.git.snapshot import manifests

    try:
        committed = {text.name.partition(":")[2]: text for text in manifests(Git(root, Allowance(seconds_allowed(os.environ))), "HEAD")}
    except GitError:  # there is no commit yet
        return rules
    every = tuple(texts)
    pairs = [(text, committed.get(os.path.relpath(Path(text.name).resolve(), root.resolve()))) for text in every]
    different = [(old, new) for new, old in pairs if old is not None and old.data != new.data]
    before, after = ([one for pair in different for one in _blocks(pair[at])] for at in (0, 1))
    # A policy has moved if its fields run other tags than in the committed files. An entry of a lock has moved if it
    # differs from the committed one, a new entry if it differs from what the fields ran: a first lock moves nothing.
    ran, runs = _running(before, rules), _running(after, rules)
    moved = {key for key in ran.keys() | runs.keys() if ran.get(key) != runs.get(key)}
    fields = {**_running((one for text in every for one in _blocks(text)), rules), **ran}
    old, new = _recorded(before), _recorded(after)
    moved |= {key for key, tags in new.items() if tags != old.get(key, set(fields.get(key, tags)))}
    return rules._replace(changed=frozenset(moved))


def _running(blocks: Iterable[Block], rules: Config) -> dict[PolicyKey, tuple[str, ...]]:
    """Return the tags that the fields of blocks hold, by policy."""
    deployed = Deployed(bind(blocks, rules).targets, rules.policies)
    return {key: deployed.tags(policy) for key, policy in rules.policies.items() if deployed.has(key)}


def _recorded(blocks: Iterable[Block]) -> dict[PolicyKey, set[str]]:
    """Return the tags that locks hold, by policy."""
    recorded: dict[PolicyKey, set[str]] = {}
    for entry in (entry for lock in read_locks(_objects(blocks), Problems()) for entry in lock.all):
        recorded.setdefault(entry.policy, set()).add(entry.tag)
    return recorded


def _blocks(text: Text) -> list[Block]:
    try:
        return [block for block in documents(text) if block.root is not None]
    except InputError:
        return []


def _objects(blocks: Iterable[Block]) -> list[Object]:
    return [one for block in blocks if b"ImageLock" in block.raw for one in read(block)]
