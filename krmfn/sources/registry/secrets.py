"""The secrets of a run, so that no message can show one."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

from krmfn.sanitize import printable
from krmfn.sources.registry.proxies import NAMES

_SHORTEST = 4
"""Characters; a shorter text would blank out ordinary words."""
_login = re.compile(r"(?:[^:/?#]*://)?([^/?#]*)@").match
_percent = re.compile(r"%[0-9A-F]{2}")


class Secrets:
    """Learns secrets and removes them from texts, in every form a server, a library or krmfn itself may write them in."""

    def __init__(self) -> None:
        self._learnt: set[str] = set()
        self._forms: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, secrets: Iterable[str]) -> None:
        """Remember secrets."""
        with self._lock:
            self._learnt = self._learnt.union(secrets)

    def learn_login(self, url: str) -> None:
        """Remember the login in the URL of a proxy or a mirror, as it is written and as it is sent."""
        login = _login(url)
        if login:
            texts = {login[1], unquote(login[1])}
            self.learn(texts | {text.partition(":")[2] for text in texts})

    def learn_proxies(self, env: Mapping[str, str]) -> None:
        """Remember the logins of the proxies that the environment names."""
        for name in env:
            if name.lower() in NAMES:
                self.learn_login(env[name])

    def scrub(self, text: str) -> str:
        """Replace every secret in `text`; do this before text is cut or escaped."""
        with self._lock:
            new, self._learnt = self._learnt, set()
            self._forms |= {form for secret in new for form in _forms(secret)}
            forms = [form for form in self._forms if form in text]
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret that are long enough to be one."""
    for text in {secret, secret.strip()}:
        if len(text) >= _SHORTEST:
            yield from (form for form in _written(text) if len(form) >= _SHORTEST)


def _written(text: str) -> Iterator[str]:
    """Yield a text as HTTP, JSON, HTML, Python and shells write it."""
    # Base64 of the text with the line ends that shells and editors leave behind it.
    data = text.encode(errors="surrogatepass")
    encoded = [text]
    for end in (b"", b"\n", b"\r\n"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(data + end).decode()
            encoded += [whole, whole.rstrip("=")]
    # In the middle of a longer text, as in `user:password`: three bytes are four characters, so there are three ways in
    # which a text can stand. The characters at both ends depend on its neighbours and are left out.
    for shift in (1, 2):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            middle = encode(b"\0" * shift + data).decode().rstrip("=")[shift + 1 :]
            encoded += [middle[:-1]] if len(middle) > 2 * _SHORTEST else []
    for plain in encoded:
        for safe, encode_percent in (("", quote), ("/", quote), ("", quote_plus)):
            percent = encode_percent(plain, safe, errors="replace")
            for once in (percent, _percent.sub(lambda match: match[0].lower(), percent)):
                yield from (once, quote(once, ""))
        yield plain
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text), ascii(text), repr(data)):
        inner = escaped.removeprefix("b")[1:-1]
        yield from (inner, inner.replace("/", "\\/"), json.dumps(inner)[1:-1])
    yield from (html.escape(text), html.escape(text, quote=False), text.encode("unicode_escape").decode())
    yield from (printable(text, len(text)), data.hex())
