"""The rooms of the house: who may import whom, and who may touch the world. This table is the architecture.

A room is a package under krmfn, or `values` for the modules at the top. Imports under TYPE_CHECKING do not count, lazy
ones do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from krmfn.diagnostics import CODES

ROOT = Path(__file__).resolve().parent.parent / "krmfn"
FILES = {
    ".".join(("krmfn", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
VALUES = {"access", "bug", "diagnostics", "errors", "sanitize", "strict_json", "globs", "outcome", "image", "model", "namedtuple", "singleflight", "about", "terminal"}
"""Modules at the top that every room may use; `terminal` belongs to the command line, see EDGES."""
DOORS = {"__main__", "api", "cli", "function", "optional", "pipeline"}
"""Modules at the top that no room may use, but for the commands."""

ROOMS = {
    "yamledit": set(),
    "kubernetes": {"yamledit"},
    "disk": set(),
    "policies": set(),
    "config": {"yamledit", "kubernetes", "policies", "signatures"},
    "plan": {"yamledit", "kubernetes", "policies", "config", "signatures"},
    "signatures": {"policies"},  # patterns
    "sources": {"config", "plan", "disk", "signatures", "yamledit", "policies"},  # the protocol TagSource, and what is configured
    "inventory": {"disk", "yamledit", "kubernetes", "policies", "config", "plan", "sources"},
    "adopt": {"yamledit", "policies", "config"},  # patterns, ranges and durations
    "gotemplate": set(),  # not even values, see OUTSIDE
    "git": {"disk", "yamledit", "policies", "config", "plan", "gotemplate"},
    "fleet": {"disk", "yamledit", "kubernetes", "policies", "config", "plan", "sources", "inventory", "git"},
    "commands": {
        "fleet",
        "disk",
        "yamledit",
        "kubernetes",
        "policies",
        "config",
        "plan",
        "signatures",
        "sources",
        "inventory",
        "adopt",
        "git",
        "doors",
    },
    "doors": {"disk", "yamledit", "kubernetes", "policies", "config", "plan", "sources", "commands"},
}
"""Room -> rooms that it may import, besides the values."""

OUTSIDE = {"gotemplate"}
"""Rooms that could leave the house: they import nothing of krmfn."""

MEETING = {"current", "entries", "inspection", "refusals", "target", "records", "resolve", "tag_source"}
"""The modules of `plan` that others of them may import: records, what is deployed, what a single tag has to meet, lines of YAML, and the protocol of a source."""

EDGES = {
    "click": {"cli", "terminal", "commands"},
    "rich": {"terminal"},
    "oras": {"sources.registry"},
    "requests": {"sources.registry"},
    "urllib3": {"sources.registry"},
    "http": {"sources.registry"},
    "socket": {"sources.registry"},
    "ssl": {"sources.registry", "inventory.doctor"},
    "subprocess": {"sources.credential_helper", "git.program", "inventory.doctor", "commands.fleet"},
    "cryptography": {"signatures.keys", "signatures.keyless"},
    "sigstore": {"signatures.keyless"},
    "re2": {"policies.engine", "kubernetes.kustomize.expressions", "git.regexp_functions"},
    "semver": {"policies.version"},
    "jinja2": {"fleet.page"},
    "jsonpath_ng": {"kubernetes.jsonpath"},
    "yaml": {"yamledit", "kubernetes", "config.recorded", "plan.bind_named", "plan.lockfile", "inventory", "adopt", "function"},
    "os": {
        "__main__", "cli", "inventory.survey", "function", "terminal", "commands", "git.program", "git.workspace", "git.drafts", "inventory.doctor",
        "sources", "disk", "fleet.journal",
    },
    "tempfile": {"disk.writing", "git.program", "fleet.trees", "sources.registry.connections"},
    "pathspec": {"inventory.ignore"},
    "cronsim": {"config.windows"},
    "zoneinfo": {"config.windows"},
    "random": {"sources.registry"},
    "time": {"sources", "commands", "git", "terminal"},
}  # fmt: skip
"""What leads out of the program, or is heavy -> who may import it."""

LINES = 300
CHAIN = 10
"""How many modules a chain of imports may have, those left out that wait until something is needed, or are for types alone.

`namedtuple` does not count, as `typing` does not, which it stands for.
"""


def name(module: str) -> str:
    return module.removeprefix("krmfn.")


def room(module: str) -> str:
    head, _, rest = name(module).partition(".")
    if module == "krmfn" or head in VALUES:
        return "values"
    return head if rest or head in ROOMS else "doors"


def imports(module: str, *, lazily: bool = True) -> Iterator[str]:
    """Yield everything that a module imports by its full name, what its functions import included or not."""
    tree = ast.parse(FILES[module].read_text())
    left_out = (
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (not lazily and isinstance(node, ast.FunctionDef))
    )
    skipped = {id(inner) for node in left_out for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else str(node.module)


GRAPH = {module: set(imports(module)) for module in FILES}


def test_every_room_is_in_the_table_and_nothing_else():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(ROOMS) - {"doors"}
    top = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    assert top == VALUES | DOORS


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_what_its_room_may(module: str):
    own = room(module)
    allowed = {own, *ROOMS.get(own, ())} | (set() if own in OUTSIDE else {"values"})
    wrong = sorted(other for other in GRAPH[module] if other.startswith("krmfn") and room(other) not in allowed)
    assert not wrong, f"{module} ({own}) must not import {', '.join(wrong)}"


def test_imports_go_one_way():
    inside = {module: {other for other in found if other in FILES} for module, found in GRAPH.items()}
    assert len(list(TopologicalSorter(inside).static_order())) == len(FILES)


def test_no_chain_of_imports_is_long():
    """What a reader has to know before a module is what it imports, and what that imports, and so on."""
    at_once = {module: {other for other in imports(module, lazily=False) if other in FILES.keys() - {"krmfn.namedtuple"}} for module in FILES}
    longest: dict[str, tuple[str, ...]] = {}
    for module in TopologicalSorter(at_once).static_order():
        longest[module] = (name(module), *max((longest[other] for other in at_once[module]), key=len, default=()))
    chain = max(longest.values(), key=len)
    assert len(longest["krmfn.pipeline"]) > 3
    assert len(chain) <= CHAIN, " > ".join(chain)


def test_steps_meet_in_their_records_alone():
    steps = [module for module in FILES if room(module) == "plan"]
    assert {name(module).partition(".")[2] for module in steps} > MEETING
    for module in steps:
        own = f"{name(module).partition('.')[2]}_"
        others = {name(other).partition(".")[2] for other in GRAPH[module] if room(other) == "plan"}
        others = {other for other in others if not other.startswith(own)}  # a step may have parts, such as bind_images
        assert others - {""} <= MEETING, f"{module} imports another step: {sorted(others - MEETING)}"


@pytest.mark.parametrize("module", FILES)
def test_a_module_leaves_the_program_only_where_it_may(module: str):
    for imported in {other.partition(".")[0] for other in GRAPH[module]} & set(EDGES):
        places = EDGES[imported]
        is_let = any(name(module) == place or name(module).startswith(f"{place}.") for place in places)
        assert is_let, f"{module} imports {imported}, which only {', '.join(sorted(places))} may"


@pytest.mark.parametrize("module", FILES)
def test_a_module_is_not_longer_than_a_room(module: str):
    assert len(FILES[module].read_text().splitlines()) <= LINES


@pytest.mark.parametrize("module", FILES)
def test_a_module_says_what_it_is_for(module: str):
    assert ast.get_docstring(ast.parse(FILES[module].read_text())), f"{module} has no docstring"


def test_edits_become_bytes_through_the_proof_alone():
    splices = {"krmfn.yamledit.text.apply", "krmfn.yamledit.text.pieces"}
    named = {
        name(module): {f"{node.module}.{alias.name}" for node in ast.walk(ast.parse(path.read_text()))
                       if isinstance(node, ast.ImportFrom) for alias in node.names}
        for module, path in FILES.items()
    }  # fmt: skip
    assert {module for module, names in named.items() if names & splices} == {"yamledit.verification", "yamledit.resourcelist"}


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager"])
def test_no_module_is_a_drawer(word: str):
    assert not [module for module in FILES if module.endswith(word)]


def codes_in(module: str) -> Iterator[str]:
    """Yield every code that a module gives to a diagnostic: its second argument, or a text that is called code."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            values = node.args[1:2] if called in ("Diagnostic", "_say") else []
            values += [word.value for word in node.keywords if word.arg == "code"]
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["code"]:
            values = [node.value]
        for value in values:
            leaves = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (leaf.value for leaf in leaves if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str))


def test_every_code_of_a_diagnostic_is_in_the_table():
    in_plan = {code for module in FILES if room(module) in ("plan", "config", "pipeline") for code in codes_in(module)}
    assert {"changed", "no-order", "pin-kept", "lock"} <= in_plan
    assert sorted(in_plan - CODES.keys()) == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_what_a_page_says_of_the_code_is_there(page: str):
    """Modules of the flow, files and rooms that a page names exist; a table of rooms has them all."""
    text = (ROOT.parent / page).read_text()
    rooms = "|".join(sorted(ROOMS.keys() - {"doors"}))
    named = set(re.findall(rf"(?<![\w/.])(?:{rooms})\.(?!md\b)[a-z_]+(?![\w(])", text)) - {"cli.COMMANDS"}
    assert sorted(one for one in named if f"krmfn.{one}" not in FILES) == []
    files = set(re.findall(rf"`(?:krmfn/)?((?:(?:{rooms})/)?[a-z_]+\.py)`", text))
    assert sorted(one for one in files if not (ROOT / one).exists() and not list(ROOT.rglob(one))) == []
    assert len(named | files) > 5
    tables = set(re.findall(r"`([a-z_/]+\.py)`, `(_?[A-Z][A-Z_]+)`", text))
    tables |= {(file, one) for one, file in re.findall(r"`(_?[A-Z][A-Z_]+)` (?:in|of) `([a-z_/]+\.py)`", text)}
    for file, one in tables:
        defined = (ROOT.parent if file.startswith(("krmfn/", "tests/")) else ROOT) / file
        assert re.search(rf"(?m)^{one}\b", defined.read_text()), f"{page} says that {one} is in {file}"
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert not table or set(table) == ROOMS.keys() - {"doors"}


def test_no_two_rooms_import_each_other():
    pairs = [(one, other) for one, others in ROOMS.items() for other in others if one in ROOMS.get(other, ())]
    assert {frozenset(pair) for pair in pairs} <= {frozenset({"commands", "doors"})}


def test_commands_print_in_one_way():
    """`terminal.echo` makes sure that nothing is a command to a CI system; the annotations of findings are meant to be."""
    found = {name(module): FILES[module].read_text().count("click.echo") for module in FILES}
    assert {module: count for module, count in found.items() if count} == {"terminal": 1, "commands.output": 1}


def test_the_whole_flow_fits_on_a_screen():
    assert len(FILES["krmfn.pipeline"].read_text().splitlines()) <= 100
