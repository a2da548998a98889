"""The forms in which manifests name images: one table, to which a stranger adds a row.

`REFERENCES` are whole references in one scalar, `PAIRS` are spelled in several, `CHARTS` are charts that registries
hold. A row says which key, where it stands, and how much must speak for the value (`Evidence`) before the place is
shown and before it is sure, which is what `krmfn update` writes by image name. The first row that takes a value has it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from krmfn.kubernetes import reference
from krmfn.kubernetes.reference import Evidence, Reading
from krmfn.kubernetes.resource import CONTAINERS

NAME, LOCATED, VERSION, OFFICIAL, FULL, KNOWN, NEVER = Evidence

_IMAGE = r"(?:.*[a-z0-9])?Image|image|images?|.*[_.-]image|.*IMAGE"
_IMAGE_KEY = rf"(?:{_IMAGE})(?:[_.-]?(?:[nN]ame|NAME|[rR]ef|REF|[rR]eference|[uU]r[il]|UR[IL]))?"
_LIST_KEY = r"images|.*[a-z0-9]Images|.*[_-]images|(?:.*_)?IMAGES"
_MAP_KEY = rf"{_LIST_KEY}|images(?:[A-Z_-].*)"
_UNVERSIONED = "it has neither tag nor digest"
_NO_KEY = "the key does not say that it is an image"
_BARE = "its name has no namespace and no registry, and is no official image"
Named = Literal["repository", "image", "name"]


class Reference(NamedTuple):
    """A whole reference in one scalar: the value of `key` (a regular expression) in a mapping or list `within`.

    `is_item` wants an item of the list `within` instead, `grammar` names how the reference stands in the scalar:
    `whole`, `url` (`oci://REF`), `flag` (`--flag=REF`, where `key` is the flag's name), `argo` (`name=REF`).
    """

    code: str
    looks: str
    key: str = ".*"
    within: str = ".*"
    groups: str = ".*"
    shown: Evidence = VERSION
    sure: Evidence = NEVER
    is_item: bool = False
    grammar: str = "whole"
    why: str = ""

    def read(self, text: str) -> Reading | None:
        """Return the reference that a scalar holds by the grammar of the row."""
        return reference.read_by(self.grammar, text, lambda flag: _matches(self.key, flag))


@lru_cache(16384)
def _matches(pattern: str, text: str) -> bool:
    return len(text) <= 253 and re.fullmatch(pattern, text) is not None  # no name in Kubernetes is longer


REFERENCES = (
    Reference("container", "containers[].image", "image", "|".join(sorted(CONTAINERS)), shown=NAME, sure=NAME),
    Reference("image-volume", "volumes[].image.reference", "reference", "image", shown=NAME, sure=NAME),
    Reference("crossplane-package", "spec.package of pkg.crossplane.io", "package", "spec", r"pkg\.crossplane\.io", LOCATED, VERSION, why=_UNVERSIONED),
    Reference("docker-image", "from: {kind: DockerImage, name}", "DockerImage", shown=LOCATED, sure=VERSION, why=_UNVERSIONED),
    Reference("image-stream", "{kind: ImageStreamTag, name: image:tag}", "ImageStream(?:Tag|Image)|ImageTag", shown=VERSION, why="it is a tag of the cluster's own image stream"),
    Reference("argo-image", "kustomize.images: [name=image:tag]", within="images", shown=VERSION, sure=VERSION, is_item=True, grammar="argo"),
    Reference("list-item", "images: [image:tag]", within=_LIST_KEY, shown=VERSION, sure=OFFICIAL, is_item=True, why=_BARE),
    Reference("tekton-bundle", "taskRef: {bundle: image:tag}, or a parameter bundle", "bundle", groups=r"tekton\.dev", shown=FULL, sure=KNOWN),
    Reference("cloud-build", "steps: [{name: known-registry/image:tag}]", "name", "steps", shown=KNOWN, sure=KNOWN),
    Reference("flag", "--destination=image:tag", within="args|command|.*[aA]rgs", key="destination|dest|push|output|tag|t|cache-repo", shown=FULL, is_item=True, grammar="flag", why="it is what is built, not what runs"),
    Reference("flag", "--any-image=image:tag", within="args|command|literals|.*[aA]rgs", key=_IMAGE_KEY, shown=VERSION, sure=FULL, is_item=True, grammar="flag"),
    Reference("flag", "--flag=registry/image:tag", within="args|command|.*[aA]rgs", shown=KNOWN, sure=KNOWN, is_item=True, grammar="flag"),
    Reference("env", "env: [{name, value: known-registry/image:tag}]", within="env", shown=KNOWN, sure=KNOWN),
    Reference("image", "image: image:tag", "image", shown=LOCATED, sure=OFFICIAL, why="it has no version, or no namespace and no registry, and is no official image"),
    Reference("any-image", "webImage, imageName, WEB_IMAGE: image:tag", _IMAGE_KEY, shown=VERSION, sure=OFFICIAL, why="its name has no namespace and no registry, or its tag may be a port"),
    Reference("any-image", "anything with image in its name: acme/image:tag", ".*([iI]mage|IMAGE).*", shown=FULL, why="its key may say something else of an image"),
    Reference("image-map", "images: {any: image:tag}", within=_LIST_KEY, shown=VERSION, sure=OFFICIAL, why=_BARE),
    Reference("image-map", "images: {group: {any: known-registry/image:tag}}", within="images-[a-z]+", shown=KNOWN, sure=KNOWN),
    Reference("image-map", "imagesOrSo: {any: image:tag}", within=_MAP_KEY, shown=VERSION, why="the key above may be about other images than those that run"),
    Reference("image-name", "image: {name, ref or url: image:tag}", "name|ref|url|uri|fullName|pullSpec", _IMAGE_KEY, shown=VERSION, sure=OFFICIAL, why=_BARE),
    Reference("url", "distribution: {artifact: oci://image:tag}", "artifact", "distribution", shown=KNOWN, sure=KNOWN, grammar="url"),
    Reference("url", "url: oci://image:tag of a WasmPlugin", "url", "spec", r"extensions\.istio\.io", shown=KNOWN, sure=KNOWN, grammar="url"),
    Reference("value", "any scalar: known-registry/image:tag", shown=KNOWN, why=_NO_KEY),
    Reference("value", "any scalar: --flag=known-registry/image:tag", shown=KNOWN, grammar="flag", why=_NO_KEY),
)  # fmt: skip
"""Whole references. The order decides; the last rows are what is left when no key tells."""


class Pair(NamedTuple):
    """An image in several scalars of one mapping: a name key of a kind, and a version key, in a mapping `within`.

    `pairs` knows the spellings of both kinds of keys; keys of other names (`rev`) are a row of CHARTS.
    """

    code: str
    looks: str
    named: tuple[Named, ...]
    """The kinds of name keys, with any prefix and either spelling of compound words."""
    version: Literal["tag", "version"] = "tag"
    """`tag`, which stands for `digest` too, or `version`."""
    within: str = ".*"
    shown: Evidence = VERSION
    sure: Evidence = OFFICIAL
    why: str = _BARE

    def takes(self, named: str, version: str, within: str) -> bool:
        """True if the row is about keys of these kinds; a digest stands for a tag."""
        is_version = self.version == ("version" if version == "version" else "tag")
        return named in self.named and is_version and re.fullmatch(self.within, within) is not None


_OTHER_VERSION = "version may be the version of something else"
_WITHIN = rf"{_IMAGE_KEY}|{_LIST_KEY}"

PAIRS = (
    Pair("repository-tag", "{registry, repository, tag, digest}", ("repository",)),
    Pair("image-tag", "{registry, image, tag, digest}, {image, imageTag or imageVersion}, {imageRepository, imagePath, tag}", ("image",)),
    Pair("name-tag", "image: {name, tag, digest}", ("name",), within=_WITHIN),
    Pair("name-tag", "{name, tag, digest}", ("name",), shown=FULL, sure=KNOWN, why="no key says that this is an image"),
    Pair("image-version", "image: {repository or name, version}", ("repository", "image", "name"), "version", _WITHIN),
    Pair("image-version", "{repository, image or name, version}", ("repository", "image", "name"), "version", shown=KNOWN, sure=NEVER, why=_OTHER_VERSION),
    Pair("image-version", "{image: acme/image, version}", ("image",), "version", shown=OFFICIAL, sure=NEVER, why=_OTHER_VERSION),
)  # fmt: skip


class Chart(NamedTuple):
    """A chart in a registry: keys that may hold its name, its repository and its version; without `name` the URL has it."""

    code: str
    looks: str
    name: tuple[str, ...]
    url: tuple[str, ...]
    version: tuple[str, ...]
    is_bare: bool = False
    """True where a repository without scheme is a registry, as Argo CD has it."""
    within: str = ".*"
    is_tag: bool = False
    """True where the version is a tag as it stands, and no range."""
    why: str = ""


_CHART_NAMES = ("chart", "chartName", "chartname", "chart_ref", "remoteChart")
_CHART_URLS = ("url", "repo", "repoURL", "repoUrl", "repository", "repositoryURL", "chartRepo", "chartRepoUrl", "chart_repo_url")
_CHART_VERSIONS = ("version", "chartVersion", "chart_version")
CHARTS = (
    Chart("argo-chart", "Application source: {chart, repoURL, targetRevision}", ("chart",), ("repoURL",), ("targetRevision",), is_bare=True),
    Chart("argo-chart", "Application source: {repoURL: oci://, targetRevision}", (), ("repoURL",), ("targetRevision",)),
    Chart("chart-dependency", "Chart.yaml dependencies[]: {name, repository: oci://, version}", ("name",), ("repository",), ("version",)),
    Chart("kustomize-chart", "helmCharts[]: {name, repo: oci://, version}", ("name",), ("repo",), ("version",)),
    Chart("named-chart", "{chart, chartName or chart_ref; url, repo or repoURL: oci://; version, chartVersion or chart_version}", _CHART_NAMES, _CHART_URLS, _CHART_VERSIONS),
    Chart("artifact", "{url: oci://, tag}", (), ("url",), ("tag",), is_tag=True),
    Chart("artifact", "sync: {url: oci://, ref}", (), ("url",), ("ref",), within="sync", is_tag=True, why="it is what the cluster syncs, which somebody publishes"),
    Chart("artifact", "packages[]: {repository, ref}", (), ("repository",), ("ref",), is_bare=True, within="packages", is_tag=True),
    Chart("chart-url", "{chart, chartName or chart_ref: oci://; version, chartVersion or chart_version}", (), _CHART_NAMES, _CHART_VERSIONS),
    Chart("chart-url", "{url: oci://, version}", (), ("url",), ("version",)),
    Chart("crossplane-dependency", "dependsOn[]: {package or provider, version}", (), ("package", "provider", "configuration", "function"), ("version",), is_bare=True, within="dependsOn"),
)  # fmt: skip

OTHERS = {
    "kustomize-images": "images[]: {name, newName, newTag, digest}",
    "oci-repository": "OCIRepository: spec.url with spec.ref.tag, spec.ref.digest; spec.ref.semver is a range",
    "helm-release": "HelmRelease or HelmChart: chart, version, sourceRef to a HelmRepository of type oci",
    "helmfile-chart": "releases[]: {chart: name/chart, version} with repositories[]: {name, url, oci: true}",
    "upgrade-plan": "Plan of the system-upgrade-controller: spec.version with spec.upgrade.image",
    "renovate": "# renovate: datasource=docker depName=image above any: tag",
    "tag-alone": "image: {tag} without a repository, which the chart names",
    "key": "a key of a mapping: known-registry/image:tag",
    "line": "image: image:tag on a line of text that is no YAML, such as a template",
    "text": "known-registry/image:tag, or docker run image:tag, inside text",
    "marked": "any other scalar with an $imagepolicy or $imagescan marker",
}
"""Forms with rules of their own, in `charts` and `finder`."""


class Doubt(NamedTuple):
    """Nothing below a key (a regular expression) is sure, in resources of some API groups and kinds."""

    key: str
    why: str
    groups: str = ".*"
    kinds: str = ".*"
    is_name: bool = False
    """True where the key is the name of a parameter or variable."""


_BUILT = "it is what is built, not what runs"
DOUBTS = (
    Doubt(r"(?:x-|_)?examples?|.*\.(?:_?examples?|samples?|tmpl|tpl|template)", "it is an example or a template"),
    Doubt("outputs?|destinations?|publish|pushTo", _BUILT),
    Doubt(r"(?i:(?:output|target|built|dest(?:ination)?)?[_-]?image(?:[_-]?(?:url|ref|name))?)", "it may be what is built", r"tekton\.dev", is_name=True),
    Doubt("(?:expect|assert)[A-Za-z]*|.*(?:Before|After)[A-Z].*", "it is what a test expects"),
    Doubt("(?:sub)?questions", "it is what a form proposes"),
    Doubt("params", "it is a parameter of one run", r"tekton\.dev", "PipelineRun|TaskRun"),
)
SPOILERS = dict.fromkeys(("imageChangeParams", "image.openshift.io/triggers"), "an image change trigger of OpenShift sets the images of this resource")
"""Keys that make every place of their resource unsure."""
_RENDERED = re.compile(r"(?:.*/)?rendered/.*").fullmatch
_TEST_DATA = re.compile(r"(?:.*/)?(?:testdata|src/test|test-data|fixtures|__fixtures__|__snapshots?__|golden|[^/]*\.golden)/.*").fullmatch

NOT_RUN = (
    (r"image\.toolkit\.fluxcd\.io|krmfn\.dev", ".*"),
    (r"source\.toolkit\.fluxcd\.io", "HelmRepository|GitRepository|Bucket"),
    (r"(?:kbld|imgpkg)\..*|argocd-image-updater\..*|imagepolicy\..*", ".*"),
    (r"policy\.sigstore\.dev|config\.openshift\.io|operator\.openshift\.io", ".*Policy|Image.*|.*MirrorSet"),
    (r"apiextensions\.k8s\.io|fleet\.cattle\.io", "CustomResourceDefinition|ImageScan"),
)
"""API groups and kinds that speak of images and run none: configuration of updaters, policies, definitions."""


def is_image_key(key: str) -> bool:
    """True if a key says that its value is an image, or a list of images."""
    return _matches(_WITHIN, key)


def is_list_key(key: str) -> bool:
    """True if what stands under a key are several images."""
    return _matches(_MAP_KEY, key)


def is_pair(code: str) -> bool:
    """True if a form spells an image in several scalars."""
    return any(row.code == code for row in PAIRS)


@lru_cache(8192)
def doubt_of_key(key: str, group: str, kind: str, *, is_name: bool = False) -> str:
    """Return why nothing below a key, or under the name of a parameter, is sure; empty when nothing speaks against it."""
    return next(
        (
            row.why
            for row in DOUBTS
            if row.is_name == is_name
            and _matches(row.key, key) and _matches(row.groups, group) and _matches(row.kinds, kind)
        ),
        "",
    )


def doubt_of_file(path: str) -> str:
    """Return why nothing in a file is sure: it is data of tests, or made from a chart."""
    return "it is test data" if _TEST_DATA(path) else "it stands in a folder of rendered files" if _RENDERED(path) else ""


@lru_cache(4096)
def is_run(group: str, kind: str) -> bool:
    """True if the images that a resource of this API group and kind names may run."""
    return not any(re.fullmatch(groups, group) and re.fullmatch(kinds, kind) for groups, kinds in NOT_RUN)


@lru_cache(8192)
def references(key: str, within: str, group: str, *, is_item: bool) -> tuple[Reference, ...]:
    """Return the rows that a scalar may be of, by its key, what it stands in, and its resource's API group."""
    return tuple(
        row
        for row in REFERENCES
        if (is_item or not row.is_item)
        and (row.grammar == "flag" or _matches(row.key, key))
        and _matches(row.within, within)
        and _matches(row.groups, group)
    )


_WORDS = re.compile(
    rb"[iI]mage|IMAGE|datasource=docker|epository:|repoURL|oci://|docker://|package:|bundle|chart:|dependsOn|[tT]ag: |(?:docker|podman|nerdctl|crictl) |registry[.-]|harbor\.|\.svc:"
    rb"|(?:ghcr|quay|docker|gcr|lscr|azurecr|k8s|nvcr|icr|jfrog|upbound)\.io/[a-z0-9-]+/|(?:pkg|cgr)\.dev/|mcr\.|ecr\.|amazonaws|\\[xuU/\r\n]"
)


def may_hold_image(raw: bytes) -> bool:
    """True if a text has any word of any form; a cheap superset, without which no row of the table is looked at."""
    return _WORDS.search(raw) is not None


_COMPOUND = re.compile(
    rb"epository|Image|IMAGE|image[A-Za-z_.-]|[_.-]image|image: *[{&*|>#\r\n]|oci://|docker://|package:|bundle|dependsOn|chart:|: *[|>]"
    rb"|[tT]ag: |repoURL|env:|args:|command:|path: |datasource=docker|\\|imagepolicy|imagescan|: *[\"']?[{\[]"
)


def may_hold_compound(raw: bytes) -> bool:
    """True if a text may name an image in another way than by a line `image: REFERENCE`; a cheap superset."""
    return _COMPOUND.search(raw) is not None
