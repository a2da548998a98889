"""What the function says of itself agrees everywhere: `--doc`, kpt's catalog entry, the function definition, SECURITY.md."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from krmfn import __version__
from krmfn.about import ABOUT
from krmfn.config import schema
from krmfn.disk import reading
from krmfn.sources.registry import listing
from krmfn.sources.registry.limits import Settings
from krmfn.yamledit import yamltree
from tests.tools import ROOT

DEFINITION = ROOT / "docs" / "function-definition.yaml"


def definition() -> dict[str, Any]:
    """Make the KRMFunctionDefinition (kubernetes-sigs/kustomize, KEP-2906) out of the schema that the function checks by."""
    document = schema.document("ImageAutomation")
    kind: dict[str, Any] = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    return {
        "apiVersion": "config.kubernetes.io/v1alpha1",
        "kind": "KRMFunctionDefinition",
        "metadata": {"name": "imageautomations.krmfn.dev"},
        "spec": {
            "group": schema.API_VERSION.partition("/")[0],
            "names": {"kind": "ImageAutomation"},
            "description": ABOUT["description"],
            "publisher": "krmfn",
            "versions": [
                {
                    "name": schema.API_VERSION.partition("/")[2],
                    "idempotent": True,
                    "license": ABOUT["license"],
                    "usage": f"{ABOUT['sourceURL']}/blob/main/README.md",
                    "examples": [f"{ABOUT['sourceURL']}/tree/main/examples/kustomize"],
                    "runtime": {"container": {"image": ABOUT["image"], "requireNetwork": True}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "required": document["required"],
                            "properties": kind
                            | {"metadata": {"type": "object"}, "spec": document["properties"]["spec"]},
                        }
                    },
                }
            ],
        },
    }


def test_the_function_definition_holds_the_schema_that_is_checked(golden):
    plain = json.loads(json.dumps(definition()))  # no anchors for parts that the schema shares
    text = yaml.safe_dump(plain, sort_keys=False, width=120)
    golden(f"# Made by `pytest tests/test_metadata.py --update-golden`\n{text}", DEFINITION)


def test_the_catalog_entry_says_what_the_program_says():
    entry = yaml.safe_load((ROOT / "metadata.yaml").read_text())
    shared = entry.keys() & ABOUT.keys()
    assert shared >= {"image", "description", "tags", "sourceURL", "license", "hidden"}
    assert {name: entry[name] for name in shared} == {name: ABOUT[name] for name in shared}


def test_the_labels_of_the_image_name_the_same_source():
    assert f'image.source="{ABOUT["sourceURL"]}"' in (ROOT / "Dockerfile").read_text()


def test_security_tells_the_limits_of_the_code():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    told = dict(rows)
    settings = Settings()
    assert {
        "input": f"{reading.MAX_MIB} MiB",
        "values of one configuration object, aliases expanded": f"{yamltree.MAX_VALUES:,}",
        "pages of one repository": f"{listing.PAGES_LIMIT:,}",
        "tags of one repository": f"{listing.TAGS_LIMIT:,}",
        "bytes of one repository's list": f"{listing.BYTES_LIMIT >> 20} MiB",
        "whole run": f"{settings.run_seconds:.0f} s",
        "one repository": f"{settings.repository_seconds:.0f} s",
        "one request": f"{settings.request_seconds:.0f} s",
        "requests at once": f"{settings.workers}, {settings.per_host} to one host",
    }.items() <= told.items()


def test_the_supported_version_is_this_one():
    assert f"| {'.'.join(__version__.split('.')[:2])}.x |" in (ROOT / "SECURITY.md").read_text()
