"""One value read as an image reference: what of it is the reference, and how much speaks for it being one.

A value that merely looks like `a:b` is no image. The evidence grows from a name that could be anything to a version of
a repository on a host that is known to be a registry; the table in `forms` says how much each kind of place asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from krmfn.errors import RuleError
from krmfn.image import HUB, ImageRef


class Evidence(IntEnum):
    """What speaks for a text being an image reference."""

    NAME = 0
    """It has the form of a name, such as `web`."""
    LOCATED = 1
    """It has a namespace or a registry, such as `acme/web`."""
    VERSION = 2
    """It has a tag or a digest, such as `web:1.25`."""
    OFFICIAL = 3
    """It is one of Docker's official images with a tag that is no port, such as `nginx:1.25`."""
    FULL = 4
    """A namespace or registry, and a tag that is no port, such as `acme/web:1.2.0`."""
    KNOWN = 5
    """A version on a host that is known to be a registry, or a digest."""
    NEVER = 6
    """More than any text has: for places that are shown and never written unasked."""


class Reading(NamedTuple):
    """A reference that ends a text, and the character at which it starts. Of one with a variable in it, that."""

    start: int
    ref: ImageRef
    evidence: Evidence
    variable: str = ""


_scheme = re.compile(r"(?:docker|docker-pullable|docker-image|docker-daemon|oci|oci\+[a-z]+)://").match
_flag = re.compile(r"(--?[A-Za-z0-9][\w.-]*|[A-Za-z_][\w.-]*)=").match
_HOSTS = (
    r"docker\.io|index\.docker\.io|registry-1\.docker\.io|ghcr\.io|quay\.io|lscr\.io|gcr\.io|cgr\.dev|nvcr\.io|icr\.io|zot\.[^/]+"
    r"|mcr\.microsoft\.com|public\.ecr\.aws|code\.forgejo\.org|codeberg\.org|factory\.talos\.dev|docker\.[^/]+"
    r"|(?:[^/]+\.)?(?:gcr\.io|pkg\.dev|azurecr\.io|azurecr\.cn|icr\.io|ocir\.io|amazonaws\.com|amazonaws\.com\.cn|aliyuncs\.com|myhuaweicloud\.com"
    r"|redhat\.com|redhat\.io|oracle\.com|jfrog\.io|cloudsmith\.io|gitlab\.com|crunchydata\.com|elastic\.co|upbound\.io|crossplane\.io|quay\.io|ghcr\.io)"
    r"|(?:[^/]+\.)?(?:registry|harbor|nexus|artifactory|cr|ecr|xpkg|oci|images?|containers?|repo)(?:-[^/.]+)?\.[^/]+|(?:(?!registry)[^/])*registry[^/.]*\.[^/]+"
    r"|[^/]+\.svc(?:\.[^/]+)?:[0-9]+|localhost:[0-9]+"
)
_OFFICIAL = (
    r"adminer|aerospike|almalinux|alpine|amazoncorretto|amazonlinux|arangodb|archlinux|bash|buildpack-deps|busybox|caddy|cassandra"
    r"|chronograf|clearlinux|clojure|composer|consul|couchbase|couchdb|crate|debian|docker|drupal|eclipse-mosquitto|eclipse-temurin"
    r"|elasticsearch|elixir|emqx|erlang|fedora|flink|fluentd|gcc|ghost|golang|gradle|groovy|haproxy|haskell|hello-world|httpd|influxdb"
    r"|jetty|joomla|jruby|julia|kapacitor|kibana|kong|krakend|liquibase|logstash|mariadb|matomo|maven|mediawiki|memcached|mongo"
    r"|mongo-express|mysql|nats|nats-streaming|neo4j|nextcloud|nginx|node|odoo|open-liberty|openjdk|oraclelinux|percona|perl|photon|php"
    r"|phpmyadmin|postgres|pypy|python|r-base|rabbitmq|redis|redmine|registry|rethinkdb|rocket\.chat|rockylinux|ruby|rust|sapmachine"
    r"|solr|sonarqube|spark|storm|swift|telegraf|tomcat|tomee|traefik|ubuntu|unit|varnish|vault|websphere-liberty|wordpress|xwiki"
    r"|zookeeper"
)
"""Docker's official images: https://github.com/docker-library/official-images."""
_NO_REGISTRY = frozenset({"github.com", "www.github.com", "gitlab.com", "bitbucket.org", "gitea.com", "raw.githubusercontent.com", "example.com"})  # fmt: skip
_NAMESPACED = frozenset({"ghcr.io", "quay.io", "lscr.io"})
"""Registries without repositories at their top."""
_FILES = (
    ".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp", ".ico", ".iso", ".img", ".qcow2", ".raw", ".vmdk", ".ova",
    ".json", ".yaml", ".yml", ".tar", ".gz", ".xz", ".zip", ".git", ".sh", ".md",
)  # fmt: skip
is_placeholder = re.compile(
    r"[A-Z][A-Z_]{2,}|v?[xX]\.[xXyY]\.[xXzZ]|(?i:.*(?:override|change|replace|fill)[_-]?me.*|(?:your|my|some)[_-].*|placeholder|tbd|todo|fixme|example)"
).fullmatch
"""Tags that somebody or a script replaces, such as `IMAGE_TAG`, `x.y.z` and `override_me`."""
variables = re.compile(r"\$\{[^{}]*\}|\$\([A-Za-z0-9_.-]+\)|\$[A-Za-z_][A-Za-z0-9_]*|\{\{[^{}]*\}\}")
_defaulted = re.compile(r"\{\{[^{}]*default +[\"'][^{}]*\}\}")

_versions = re.compile(r"/[a-z0-9._-]+(?::[A-Za-z0-9_]|@sha256:)").finditer
"""What a line must hold to name a version on any host; cheaper than the hosts."""


_WORD = (
    rf"(?:(?<=:-)|(?<![A-Za-z0-9_./@$}}-]))(?:[a-z+-]{{1,20}}://)?(?=[a-z0-9.:-]{{1,253}}/)(?>(?:{_HOSTS.replace('[^/]', '[a-z0-9.-]').replace('[^/.]', '[a-z0-9-]')})(?=/))(?:/[a-z0-9._-]++)++"
    rf"(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?:@sha256:[0-9a-f]{{64}})?(?![A-Za-z0-9_/:@${{(-])"
)
"""A reference on such a host inside text. Nothing is tried twice: a host ends at a slash, and its path where it can."""


@lru_cache(8192)
def read(text: str) -> Reading | None:
    """Read a text that is one reference, with `docker://` or `oci://` before it or not; None when it is none."""
    scheme = _scheme(text)
    start = scheme.end() if scheme else 0
    body = text[start:]
    if not body or "://" in body or ("{{" not in body and any(char.isspace() for char in body)) or body.lower().endswith(_FILES):
        return None
    # `${REGISTRY}/web:1.2` is a reference with a variable; of a template only a value with a default is read.
    held = variables.search(body)
    if held and held[0].startswith("{") and not _defaulted.fullmatch(held[0]):
        return None
    try:
        ref = ImageRef.parse(variables.sub("x", body) if held else body)
    except RuleError:
        return None
    if ref.registry in _NO_REGISTRY or (ref.registry in _NAMESPACED and "/" not in ref.path):
        return None
    evidence = weigh(ref)
    # Whoever writes `oci://` or `docker://` means an image, on whatever host.
    if start and "/" in ref.name and evidence >= Evidence.VERSION:
        evidence = Evidence.KNOWN
    if held:
        return Reading(start, _restored(ref, body), min(evidence, Evidence.FULL), held[0])
    return Reading(start, ref, evidence)


def read_by(grammar: str, text: str, is_flag: Callable[[str], bool]) -> Reading | None:
    """Return the reference that a text holds by a grammar (`Reference` in `forms`); its `start` counts in the text.

    Of a flag its name, without dashes, decides whether what it sets is read.
    """
    start = 0
    if grammar == "url" and not text.startswith(("oci://", "docker://")):
        return None
    if grammar == "flag":
        head = _flag(text)
        if head is None or not is_flag(head[1].lstrip("-")):
            return None
        start = head.end()
    elif grammar == "argo":
        name, equals, _ = text.partition("=")
        if not equals or read(name) is None:
            return None
        start = len(name) + 1
    reading = read(text[start:])
    return reading and reading._replace(start=start + reading.start)


def _restored(ref: ImageRef, body: str) -> ImageRef:
    """Return the reference with its variables as they are written, for people; its canonical parts mean nothing."""
    name, _, digest = body.partition("@")
    tag: str | None = None
    if ref.tag is not None:  # a colon inside a variable, as in `${TAG:=1.2}`, stands before no tag
        colon = variables.sub(lambda hit: "x" * len(hit[0]), name).rfind(":")
        name, tag = name[:colon], name[colon + 1 :]
    return ref._replace(name=name, tag=tag, digest=digest or None)


def weigh(ref: ImageRef) -> Evidence:
    """Return what speaks for a reference.

    >>> [weigh(ImageRef.parse(text)).name for text in ("web", "acme/web", "nginx:1.25", "acme/web:1.2.0", "ghcr.io/acme/web:1")]
    ['NAME', 'LOCATED', 'OFFICIAL', 'FULL', 'KNOWN']
    >>> [weigh(ImageRef.parse(text)).name for text in ("127.0.0.1:8080", "prometheus.example.org/graph:9090", "a/b/c:d")]
    ['VERSION', 'VERSION', 'VERSION']
    """
    if ref.tag is None and ref.digest is None:
        is_placed = "/" in ref.name and (ref.registry != HUB or ref.path.count("/") <= 1)
        return Evidence.LOCATED if is_placed else Evidence.NAME
    if ref.digest is not None and "/" in ref.name:
        return Evidence.KNOWN
    is_hosted = ref.name.lower().startswith(f"{ref.registry}/") or ref.registry != HUB
    # `acme/web` is on Docker Hub without saying so, and may as well be a path of a site or a folder.
    if "/" in ref.name and is_hosted and len(ref.registry) <= 253 and re.fullmatch(_HOSTS, ref.registry):
        return Evidence.KNOWN
    # `localhost:8080` reads like an image with a tag: four digits and more may be a port, as `3.19` cannot.
    is_port = ref.tag is not None and ref.tag.isdecimal() and len(ref.tag) > 3
    if is_port or is_too_deep(ref):
        return Evidence.VERSION
    if "/" not in ref.name:
        return Evidence.OFFICIAL if re.fullmatch(_OFFICIAL, ref.name) else Evidence.VERSION
    return Evidence.FULL


def is_too_deep(ref: ImageRef) -> bool:
    """True for a repository that Docker Hub cannot have: its registry is named elsewhere."""
    return ref.registry == HUB and ref.path.count("/") > 1


def words(text: str) -> list[tuple[int, int]]:
    """Return the spans of the references with a version, on hosts that are known to be registries, inside prose or code."""
    spans = []
    searched = 0
    # Lines without anything like a version are skipped: the pattern of the hosts costs far more than that of versions.
    for version in _versions(text):
        if version.start() < searched:
            continue
        line, end_of_line = text.rfind("\n", 0, version.start()) + 1, text.find("\n", version.end())
        searched = end_of_line if end_of_line >= 0 else len(text)
        for hit in re.compile(_WORD).finditer(text, line, searched):
            end = hit.start() + len(hit[0].rstrip(".-_"))
            reading = read(text[hit.start() : end])
            if reading is not None and reading.evidence is Evidence.KNOWN and not reading.variable:
                spans.append((hit.start(), end))
    return spans
