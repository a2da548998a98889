"""What a reply means for the one who asked: the class of failure, and a line that helps at three in the morning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from krmfn.image import HUB
from krmfn.sanitize import for_shell, printable
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.errors import RegistryError, RegistryFailure
    from krmfn.sources.keychain import Lookup
    from krmfn.sources.registry.endpoints import RequestContext
    from krmfn.sources.registry.exchange import NoReply, Reply
    from krmfn.sources.registry.origin import Origin
    from krmfn.sources.registry.secrets import Secrets

_code = re.compile(r"[A-Z][A-Z0-9_]{1,63}", re.ASCII).fullmatch
_FAILURES: Mapping[int, RegistryFailure] = {401: "denied", 403: "denied", 404: "not-found", 429: "rate-limited"}


def no_answer(context: RequestContext, reply: NoReply) -> RegistryError:
    """Turn the reason why nothing came back into an error."""
    registry = context.endpoint.registry
    text = reply.text if registry in reply.text else f"{registry} {reply.text}"
    if reply.kind == "time":
        text += f" ({context.time_allowed})"
    if reply.kind == "certificate":
        text += "; ".join(["", "add its CA through certSecretRef or SSL_CERT_FILE", *_missing(context)])
    return context.error(reply.failure, text)


def refusal(context: RequestContext, reply: Reply, what: str, lookup: Lookup, secrets: Secrets) -> RegistryError:
    """Turn a status that is no success into an error; `what` was asked for (`tags`, `tag 1.2.3`)."""
    code, words = _read(reply, secrets)
    failure = _FAILURES.get(reply.status, "integrity" if 300 <= reply.status < 400 else "unavailable")
    explained = ": ".join(filter(None, (code, words)))
    text = f"{context.endpoint.registry} answered {reply.status} for {what}{f' ({explained})' if explained else ''}"
    advice = _advice(context, reply, failure, lookup, code, secrets)
    return context.error(failure, text + advice, status=reply.status, code=code or None)


def _read(reply: Reply, secrets: Secrets) -> tuple[str, str]:
    """Read code and message of the first error (OCI distribution spec, error codes)."""
    try:
        first = parse(reply.body)["errors"][0]
        code, words = first.get("code"), first.get("message")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""
    shown = printable(secrets.scrub(words)) if isinstance(words, str) else ""
    return (code if isinstance(code, str) and _code(code) and secrets.scrub(code) == code else ""), shown


def _advice(
    context: RequestContext, reply: Reply, failure: RegistryFailure, lookup: Lookup, code: str, secrets: Secrets
) -> str:
    if failure == "denied":
        return "; " + "; ".join([_login(context, lookup), *_missing(context), *lookup.problems])
    if failure == "not-found":
        return _spelling(context, reply, code, lookup)
    if failure == "rate-limited":
        after = reply.headers.get("Retry-After", "")
        wait = f" and asks to wait ({printable(secrets.scrub(after), 40)})" if after else ""
        log_in = "; logging in raises the limit" if context.endpoint.registry == HUB and not lookup.credential else ""
        return f"; too many requests{wait}{log_in}"
    return ""


def _login(context: RequestContext, lookup: Lookup) -> str:
    registry = context.endpoint.registry
    if reasons := withheld(context, lookup):
        return reasons[0]
    if lookup.credential:
        return f"the credentials came from {lookup.credential.origin}: check that they may pull {context.endpoint.path}"
    places = ", ".join(lookup.searched) or "any docker or podman configuration"
    hub = " (Docker Hub says the same of repositories that do not exist)" if registry == HUB else ""
    login = for_shell("docker", "login", registry)
    return f"no credentials for {registry} were found in {places}: run `{login}` or give a secretRef{hub}"


def withheld(context: RequestContext, lookup: Lookup) -> list[str]:
    """Return that a login was not sent, why, and what in the environment allows it."""
    if not lookup.credential or not context.withheld:
        return []
    where, is_own = lookup.credential.origin, lookup.credential.provenance.is_machine
    setting = f"KRMFN_TRUST_CONFIG={','.join((*context.trust_config, context.endpoint.registry))}"
    if not context.endpoint.insecure and context.endpoint.plain and "plain http" in context.withheld:
        setting = setting if is_own else f"insecure: true, or {setting}"
        return [f"the credentials from {where} were not sent over plain http: set {setting}"]
    asked = f"{' and '.join(context.withheld)}: if they may go there all the same, set {setting}"
    return [f"the credentials from {where} were not sent, as the manifests, not this machine, ask for {asked}"]


def _spelling(context: RequestContext, reply: Reply, code: str, lookup: Lookup) -> str:
    if "json" not in reply.headers.get("Content-Type", "") and not code:
        return f"; check the spelling of {context.endpoint}, and that {context.endpoint.registry} is a registry"
    is_sent = lookup.credential and not context.withheld
    private = "" if is_sent else ", or that it is not private: no credentials were sent"
    return "; ".join(["", f"check the spelling of {context.endpoint}{private}", *_missing(context)])


def _missing(context: RequestContext) -> list[str]:
    """Return which Secrets could not help, as they are not among what krmfn was given."""
    names = context.repository.access.missing_secrets
    return [f"Secret {printable(name, 600)} is not among the items" for name in names]


def token_refusal(
    context: RequestContext, realm: Origin, reply: Reply, lookup: Lookup, *, is_sent: bool
) -> RegistryError:
    """Turn a token server's answer that is no token into an error; `is_sent` says that credentials were with the request."""
    status, failure = reply.status, "denied"  # type: int, RegistryFailure
    if status in {408, 429} or status >= 500:
        failure = "rate-limited" if status == 429 else "unavailable"
        text = f"answered {status}"
    elif 300 <= status < 400:
        failure, text = "integrity", "answered with a redirect, which is not followed"
    else:
        credential = lookup.credential if is_sent else None
        what = f"refused the credentials from {credential.origin}" if credential else "gives no anonymous token"
        text = "; ".join([f"{what} (status {status})", *withheld(context, lookup)])
    return context.error(failure, f"the token server {realm} of {context.endpoint.registry} {text}", status=status)
