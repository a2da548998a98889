"""`krmfn test`: run policy unit tests. Nothing is asked of any registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options
from krmfn.commands.output import to_json
from krmfn.disk import reading
from krmfn.errors import InputError
from krmfn.inventory import policytest
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.inventory.policytest import Verdict
    from krmfn.inventory.survey import Skipped

_HEADER = ("ID", "TEST", "CASE", "RESULT", "REASON")


@options.verb(
    "krmfn test policies/",
    "krmfn test . -o junit > report.xml",
    exits="0 every case passed, 1 a case failed or there was none, 2 usage",
)
@options.looking(options.LOOKED_AT)
@click.option("--fail-only", is_flag=True, help="Show the cases that failed alone.")
@options.output("text", "json", "junit")
def command(paths: tuple[Path, ...], fail_only: bool, form: str) -> int:
    """Run the PolicyTest documents in the files and directories PATHS."""
    tree = options.read(paths)
    _refuse_unreadable(tree.skipped)
    verdicts = [policytest.run(case) for case in policytest.read(tree.blocks)]
    if not verdicts:
        raise InputError("no case of kind PolicyTest (krmfn.dev/v1alpha1) is there", name=", ".join(map(str, paths)))
    shown = [verdict for verdict in verdicts if not (fail_only and verdict.passed)]
    failed = sum(not verdict.passed for verdict in verdicts)
    if form == "json":
        terminal.echo(to_json([verdict.as_data() for verdict in shown]))
    elif form == "junit":
        _print_junit(shown)
    else:
        _print_text(shown)
        terminal.tell(f"\nTest Summary: {len(verdicts) - failed} tests passed and {failed} tests failed")
    return int(failed > 0)


def _refuse_unreadable(skipped: Iterable[Skipped]) -> None:
    """Refuse a file that cannot be read and may hold tests: those must not pass in silence."""
    for one in skipped:
        try:
            is_test = policytest.KIND.encode() in reading.read_file(one.path, reading.max_bytes())
        except (OSError, reading.NotReadError):
            is_test = True
        if is_test and not Path(one.path).is_symlink():
            raise InputError(one.why, name=one.path, line=one.line, column=one.column)


def _print_text(verdicts: Sequence[Verdict]) -> None:
    rows = [
        (str(number), verdict.case.test, verdict.case.name, "Pass" if verdict.passed else "Fail", _reason(verdict))
        for number, verdict in enumerate(verdicts, 1)
    ]
    if rows:
        terminal.table(_HEADER, rows)


def _reason(verdict: Verdict) -> str:
    if verdict.passed:
        return policytest.in_words(verdict.expected)
    return f"expected {policytest.in_words(verdict.expected)}; found {policytest.in_words(verdict.actual)}"


def _print_junit(verdicts: Sequence[Verdict]) -> None:
    from xml.etree import ElementTree as ET

    top = ET.Element("testsuites", {"name": "krmfn test", **_counts(verdicts)})
    for file in dict.fromkeys(verdict.case.file for verdict in verdicts):
        some = [verdict for verdict in verdicts if verdict.case.file == file]
        suite = ET.SubElement(top, "testsuite", {"name": _xml(file), **_counts(some)})
        for verdict in some:
            case = ET.SubElement(
                suite, "testcase", classname=_xml(verdict.case.test), name=_xml(verdict.case.name), file=_xml(file)
            )
            if not verdict.passed:
                ET.SubElement(case, "failure", message=_xml(_reason(verdict))).text = _xml(_reason(verdict))
    ET.indent(top)
    terminal.echo('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode"))


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {"tests": str(len(verdicts)), "failures": str(sum(not verdict.passed for verdict in verdicts))}


def _xml(text: str) -> str:
    """Return a text with its control characters as escapes: XML has no way to hold them."""
    return printable(text, 2000)
