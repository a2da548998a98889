"""What docs/ claims is held against the code: tables, limits, variables, messages, proofs, links, and every YAML example.

Commands (`console` blocks) are run by test_e2e_documents.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from krmfn import strict_json
from krmfn.config import schema
from krmfn.config.flat_config import KEYS
from krmfn.config.loading import load
from krmfn.disk import reading
from krmfn.inventory import files, policytest
from krmfn.policies import pattern
from krmfn.policies.constraint import Constraint
from krmfn.policies.version import Version
from krmfn.sources import artifact, credential_helper, keychain, manifest, shard
from krmfn.sources.registry import auth, client, listing
from krmfn.sources.registry.limits import Settings
from krmfn.yamledit import compose, yamltree
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import picture, reference
from tests.running import succeed
from tests.tools import ROOT

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

DOCS = ROOT / "docs"
PAGES = {page.name: page.read_text() for page in sorted(DOCS.glob("*.md"))}
LINK = re.compile(r"\]\(([^)\s]+)\)")
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)
EXAMPLES = [
    pytest.param(text, id=f"{name} {number}")
    for name, page in PAGES.items()
    for number, text in enumerate(YAML.findall(page), 1)
]


def rows(page: str, head: str) -> list[list[str]]:
    """Read the rows of every table whose head starts with these words."""
    found: list[list[str]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", PAGES[page], re.MULTILINE):
        lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        if " | ".join(lines[0]).startswith(head):
            found += lines[2:]
    assert found, f"{page} has no table that starts with {head}"
    return found


@cache
def messages() -> str:
    """Collect every text of krmfn's source, the parts of an f-string joined by a mark."""
    return "\n".join(
        text for path in sorted((ROOT / "krmfn").rglob("*.py")) for text in _texts(ast.parse(path.read_text()))
    )


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a module, docstrings left out: a text that stands alone is nobody's message."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in alone:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def anchors(page: str) -> set[str]:
    """Name the headings of a page as GitHub links to them."""
    heads = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_index_names_every_page():
    assert {
        link for link in LINK.findall(PAGES["README.md"]) if link.endswith(".md") and "/" not in link
    } == PAGES.keys() - {"README.md"}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str):
    for link in LINK.findall(PAGES[name]):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = DOCS / file if file else DOCS / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_pages_hold_the_schema_the_policies_and_the_reasons_that_count():
    written = [name for path in reference.PAGES for _, name, _ in reference.SECTION.findall(path.read_text())]
    assert sorted(written) == sorted([*schema.KINDS, *reference.TABLES])
    for path in reference.PAGES:
        assert path.read_text() == reference.renewed(path.read_text()), "run python -m tests.reference"


def test_the_configuration_page_names_every_key_of_the_flat_config_map():
    told = {word for head in ("key | means", "key of a policy | gives") for row in rows("configuration.md", head) for word in CODE.findall(row[0])}
    assert told == set(KEYS), "the tables of the flat ConfigMap have other keys than config/flat_config.py"


def test_the_configuration_page_names_every_variable_of_krmfn():
    used = set(re.findall(r"(?<!_)\bKRMFN_[A-Z_]+", messages()))
    assert len(used) >= 5
    assert used <= set(re.findall(r"KRMFN_[A-Z_]+", PAGES["configuration.md"]))


def test_there_are_examples():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("text", EXAMPLES)
def test_krmfn_accepts_the_examples(text: str):
    """Every YAML example is YAML, and its own and Flux's objects are configuration without a problem."""
    blocks: list[Block] = [block for block in documents(Text(text.encode())) if block.root is not None]
    assert blocks
    load(blocks)


def test_every_policy_test_in_the_pages_passes(tmp_path: Path):
    page = tmp_path / "tests.yaml"
    page.write_text(
        "---\n".join(text for name in PAGES for text in YAML.findall(PAGES[name]) if "kind: PolicyTest" in text)
    )
    verdicts = [policytest.run(case) for case in policytest.read(files.read([page]).blocks)]
    assert len(verdicts) >= 12
    assert not [(verdict.case.name, verdict.actual) for verdict in verdicts if not verdict.passed]


def test_the_security_page_tells_the_limits_of_the_code():
    settings = Settings()
    assert dict(rows("security.md", "what | limit")) == {
        "input": f"{reading.MAX_MIB} MiB",
        "all files of a run": f"{files.MAX_TOTAL >> 20:,} MiB",
        "nodes of one document or item": f"{compose.MAX_NODES:,}",
        "depth of YAML": f"{compose.MAX_DEPTH:,}",
        "values that a configuration object expands to, aliases included": f"{yamltree.MAX_VALUES:,}",
        "pattern": f"{pattern.MOST_PATTERN_BYTES:,} bytes",
        "template of `extract`": f"{pattern.MOST_TEMPLATE_BYTES:,} bytes",
        "text that it makes": f"{pattern.MOST_EXPANDED} characters",
        "pages of one repository": f"{listing.PAGES_LIMIT:,}",
        "tags of one repository": f"{listing.TAGS_LIMIT:,}",
        "one page": f"{listing.PAGE_LIMIT >> 20} MiB",
        "bytes of one repository's list": f"{listing.BYTES_LIMIT >> 20} MiB",
        "bytes of all lists of a run": f"{listing.RUN_BYTES_LIMIT >> 20} MiB",
        "tags of all lists of a run": f"{listing.RUN_TAGS_LIMIT:,}",
        "values in one page": f"{listing.VALUES_LIMIT:,}",
        "values in another JSON document": f"{strict_json.VALUES:,}",
        "manifest or image configuration": f"{manifest.LIMIT >> 20} MiB",
        "index or lane of a fleet's scan": f"{manifest.LIMIT >> 20} MiB",
        "plan of a scan": f"{artifact.PLAN_LIMIT >> 20} MiB",
        "shard of a scan": f"{shard.LIMIT >> 20} MiB",
        "values in one document of a shard": f"{shard._VALUES:,}",
        "all shards that a run needs": f"{artifact.RUN_LIMIT >> 20:,} MiB",
        "failures of a lane": f"{artifact.FAILURES_LIMIT >> 20} MiB",
        "token server's answer": f"{auth.TOKEN_LIMIT >> 10} KiB",
        "docker config file": f"{keychain.FILE_LIMIT >> 20} MiB",
        "credential helper's answer": f"{credential_helper._LIMIT >> 10} KiB",
        "redirects": f"{client._HOPS}",
        "whole run": f"{settings.run_seconds:g} s",
        "one repository": f"{settings.repository_seconds:g} s, or its `spec.timeout`",
        "one request": f"{settings.request_seconds:g} s",
        "to connect": f"{settings.connect_seconds:g} s",
        "silence of a server": f"{settings.idle_seconds:g} s",
        "credential helper": f"{settings.helper_seconds:g} s",
        "`Retry-After` that is waited for": f"{settings.retry_after_seconds:g} s",
        "tries of one request": f"{settings.tries}",
        "requests at once": f"{settings.workers}, {settings.per_host} to one host",
    }


def test_the_number_of_known_token_servers_is_told():
    assert len(auth._TOKEN_SERVERS) == 5
    assert "five known pairs" in PAGES["security.md"]


@cache
def proofs() -> frozenset[str]:
    """Name every test function and every golden case there is."""
    tests = {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    return frozenset(tests | {path.parent.name for path in (ROOT / "fixtures" / "golden").glob("*/input.yaml")})


PROVEN = [("security.md", "danger | "), ("security.md", "number | "), ("compatibility.md", "case | Flux"), ("compatibility.md", "case | Rancher")]


def test_every_attack_has_its_row():
    assert [row[0] for row in rows("security.md", "number | attack")] == [str(number) for number in range(1, 23)]


@pytest.mark.parametrize(("page", "head"), PROVEN)
def test_every_row_names_a_proof_that_is_there(page: str, head: str):
    for row in rows(page, head):
        named = CODE.findall(row[-1])
        assert named, row
        assert set(named) <= proofs(), row


CHANGES = re.findall(
    r"^```yaml\n((?:(?!```).*\n)*)```\n\n```diff\n((?:(?!```).*\n)*)```", "\n".join(PAGES.values()), re.MULTILINE
)


@pytest.mark.parametrize(("text", "shown"), CHANGES, ids=range(1, len(CHANGES) + 1))
def test_the_examples_change_as_shown(text: str, shown: str, tmp_path: Path):
    (tmp_path / "example.yaml").write_text(text)
    lines = succeed(["krmfn", "update", "example.yaml", "--diff"], cwd=tmp_path).splitlines(keepends=True)
    assert "".join(line for line in lines if re.match(r"[-+](?!--|\+\+)", line)) == shown


def test_there_are_examples_that_change():
    assert len(CHANGES) >= 3


MESSAGES = [CODE.findall(row[0])[0] for row in rows("troubleshooting.md", "message | why")]


def test_there_are_messages():
    assert len(MESSAGES) >= 50
    assert len(MESSAGES) == len(set(MESSAGES))


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_in_the_source(message: str):
    """Every text between the marks stands in one message of the source, in this order; a name in front of all may come later."""
    parts = [re.escape(part) for part in message.replace("\\|", "|").removeprefix("… ").split("…")]
    assert re.search("(?:[^\n]*)".join(parts), messages()), message


def test_ranges_mean_what_the_policies_page_says():
    bounded = [
        (row[0], re.fullmatch(r"from ([0-9.]+), below ([0-9.]+)(;.*)?", row[1]))
        for row in rows("policies.md", "range | means")
    ]
    ranges = [(text, found[1], found[2]) for cell, found in bounded if found for text in CODE.findall(cell)]
    assert len(ranges) >= 4
    for text, lowest, above in ranges:
        constraint = Constraint.parse(text)
        assert constraint.check(Version.parse(lowest)), text
        assert not constraint.check(Version.parse(above)), text
        major, minor, _ = map(int, above.split("."))
        assert constraint.check(Version.parse(f"{major}.{minor - 1}.999" if minor else f"{major - 1}.999.0")), text


def test_the_picture_of_the_terminal_is_current():
    """`python -m tests.picture` writes it anew."""
    assert picture.PICTURE.read_text() == picture.render()
