"""`krmfn doctor`: what krmfn finds on this machine, and what is missing."""

from __future__ import annotations

import os

from krmfn import terminal
from krmfn.commands import options
from krmfn.commands.output import to_json
from krmfn.inventory import doctor
from krmfn.sanitize import printable


@options.verb("krmfn doctor", exits="0 everything that is needed is there, 1 something is wrong, 2 usage")
@options.output("text", "json")
def command(form: str) -> int:
    """Look for the programs, logins and certificates that krmfn works with.

    No registry is asked, and no secret is shown.
    """
    findings = list(doctor.look(os.environ))
    if form == "json":
        terminal.echo(to_json([one._asdict() for one in findings]))
    else:
        terminal.table(("WHAT", "STATE", "FOUND"), [(one.name, one.state, one.found) for one in findings])
        for one in findings:
            if one.advice:
                terminal.tell(f"help: {printable(one.name)}: {printable(one.advice, 500)}", err=True)
    return int(any(one.state == "wrong" for one in findings))
