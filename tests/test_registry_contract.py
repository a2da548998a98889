"""What krmfn leans on in oras and urllib3, and what it loads: these fail when a new version moves it."""

from __future__ import annotations

import inspect
import ssl
import subprocess
import sys

import oras.client
import oras.container
import oras.provider
import urllib3


def test_the_parts_of_oras_that_are_leaned_on_are_as_they_were():
    registry = oras.provider.Registry
    assert list(inspect.signature(registry.get_tags).parameters) == ["self", "container", "N"]
    assert list(inspect.signature(registry._do_paginated_request).parameters) == ["self", "url", "callable"]
    expected = ["self", "url", "method", "data", "headers", "json", "stream"]
    assert list(inspect.signature(registry.do_request).parameters) == expected
    container = oras.container.Container.__new__(oras.container.Container)
    container.registry, container.namespace, container.repository = "r.example", "a/b", "c"
    assert container.tags_url() == "r.example/v2/a/b/c/tags/list"
    assert container.manifest_url("1.0") == "r.example/v2/a/b/c/manifests/1.0"
    assert container.get_blob_url("sha256:0") == "r.example/v2/a/b/c/blobs/sha256:0"
    container.namespace = ""
    assert container.tags_url() == "r.example/v2/c/tags/list"


def test_the_parts_of_urllib3_that_are_leaned_on_are_as_they_were():
    connection = urllib3.connection.HTTPSConnection("r.example")
    assert connection.proxy is None
    assert connection._dns_host == "r.example"
    assert list(inspect.signature(type(connection)._new_conn).parameters) == ["self"]
    assert urllib3.connectionpool.HTTPSConnectionPool.ConnectionCls is urllib3.connection.HTTPSConnection
    assert set(urllib3.PoolManager().pool_classes_by_scheme) == {"http", "https"}
    assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket


def test_oras_is_imported_without_jsonschema_but_finds_it_when_it_needs_it():
    code = (
        "import sys, krmfn.sources.registry.client, oras.provider\n"
        "assert 'jsonschema' not in sys.modules\n"
        "oras.provider.jsonschema.validate({}, {'type': 'object'})\n"
        "import jsonschema; assert jsonschema.__file__"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_the_door_loads_nothing_heavy_until_a_registry_is_asked():
    code = (
        "import sys\nfrom krmfn.config.records import Config\nfrom krmfn.sources.sources import Sources\n"
        "Sources(Config(), {'KRMFN_ALLOWED_REGISTRIES': 'ghcr.io'}); print(*sys.modules)"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {
        "requests",
        "urllib3",
        "oras",
        "ssl",
        "http.client",
        "krmfn.sources.keychain",
        "concurrent.futures",
    }
