"""Every directory under fixtures/golden is a case: input.yaml in, output.yaml out, under the tags of tags.yaml.

`tags.yaml` maps a repository to its tags; a digest is the sha256 of the reference unless it is given; `!: text` makes
the repository fail. `errors.txt` holds the errors that are expected on stderr, one a line, and means exit 1.
`--update-golden` rewrites both.
"""

import hashlib
from pathlib import Path

import pytest
import yaml

from krmfn import function, pipeline
from krmfn.config.settings import overridden
from krmfn.errors import KrmfnError, RegistryError
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit.results import entry
from krmfn.yamledit.text import Text

GOLDEN = Path(__file__).parent.parent / "fixtures" / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/input.yaml"))


def digest_of(reference: str) -> str:
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()


def source_of(case: Path) -> StaticTags:
    path = case / "tags.yaml"
    data = yaml.load(path.read_text(), yaml.BaseLoader) if path.exists() else {}
    tags, failures = {}, {}
    for image, entries in (data or {}).items():
        if isinstance(entries, dict) and "!" in entries:
            failure, _, message = entries["!"].partition(": ")
            failures[image] = RegistryError(failure, image, message)
            continue
        one = entries if isinstance(entries, dict) else dict.fromkeys(entries, "")
        tags[image] = {tag: digest or digest_of(f"{image}:{tag}") for tag, digest in one.items()}
    return StaticTags(tags, failures=failures)


def run(case: Path) -> tuple[bytes, list[str]]:
    env = {}
    if (case / "env").exists():
        env = dict(line.split("=", 1) for line in (case / "env").read_text().splitlines())
    data = (case / "input.yaml").read_bytes()
    try:
        outcome = pipeline.run(Text(data), lambda _: source_of(case), lambda settings: overridden(settings, env))
    except KrmfnError as error:
        outcome = function.refused(data, error)
    return outcome.text, [str(entry(one)["message"]) for one in outcome.results if one.severity == "error"]


def test_the_golden_cases_are_there():
    folders = [path for path in GOLDEN.iterdir() if path.is_dir()]
    assert len(CASES) == len(folders) >= 12


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_golden(case, golden):
    text, errors = run(case)
    golden(text.decode(), case / "output.yaml")
    if errors:
        golden("".join(f"{error}\n" for error in errors), case / "errors.txt")
    assert bool(errors) == (case / "errors.txt").exists()


@pytest.mark.parametrize(
    "case", [case for case in CASES if not (case / "errors.txt").exists()], ids=lambda path: path.name
)
def test_a_second_run_changes_nothing(case, tmp_path):
    text, _ = run(case)
    again = pipeline.run(Text(text), lambda _: source_of(case))
    assert again.text == text
