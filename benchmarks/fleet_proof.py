"""The Job of examples/fleet in a real control plane, with pods that are killed, evicted and lost: `make fleet-proof`.

    python -m benchmarks.fleet_proof [REPOSITORIES]

The API server validates and admits the very manifests (Pod Security *restricted*), the Job controller starts, counts and replaces the
pods, `benchmarks.kubelet` runs them. Needs root (mount namespaces) and Go; the registries are those of the tests, on loopback. Twice at once:

* `fleet`: every kind of trouble, and the Job completes: the published digest is that of an undisturbed `krmfn fleet run`.
* `broken`: a registry that is away for good, and an index that no lane has: the Job fails those two, and the rest is published.

What is asserted: the Jobs' ends, what the Job controller counted against each index, the digests, and that no more was asked twice than
what was under way when a process was killed. It takes as long as the tries of `broken` (ten and a half minutes) or longer.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.control_plane import Api, build, control_plane, path_of
from benchmarks.kubelet import INDEX, Kubelet, Running, now
from tests import registries, tools
from tests.fleet_hosts import Host, Hosts
from tests.running import environment

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "fleet"
FILES = ("storage.yaml", "network.yaml", "scan.yaml", "publish.yaml")
HOSTS, TREES, IN_FLIGHT = 12, 100, 4
QUESTIONS = 2
"""What is asked of a repository: its tags, and the digest of the one that is deployed."""
LIMITED, CLOSED = 0, 11
"""Lanes: of the host with a rate limit, and of the one that wants a login that nobody has."""
REASONS = {"EvictionByEvictionAPI", "TerminationByKubelet", "PreemptionByScheduler", "DeletionByTaintManager"}
"""How pods have to have been disrupted, besides those that were lost with their node."""
PLACE = "oci://registry.example/fleet/scan"
JOB, PUBLISH = "krmfn-fleet-scan", "krmfn-fleet-publish"
FAILURES, IGNORED = (f"batch.kubernetes.io/job-index-{name}failure-count" for name in ("", "ignored-"))


class Cluster(NamedTuple):
    """What a run works with."""

    api: Api
    kubelet: Kubelet
    folder: Path


class Trouble(NamedTuple):
    """What happens to the pod of an index once its host answered a share of all questions."""

    index: int
    share: float
    name: str
    act: Callable[[Cluster, Running], object]
    counts: bool = False
    """True if the Job counts it as a failure of the index."""


def _drain(cluster: Cluster, one: Running) -> None:
    metadata = one.pod["metadata"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]}}
    cluster.api.call("POST", f"{path_of('Pod', metadata['namespace'])}/{metadata['name']}/eviction", body)


def _preempt(cluster: Cluster, one: Running) -> None:
    metadata = one.pod["metadata"]
    path = f"{path_of('Pod', metadata['namespace'])}/{metadata['name']}"
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "lastTransitionTime": now()}
    cluster.api.call("PATCH", f"{path}/status", {"status": {"conditions": [condition]}}, "application/strategic-merge-patch+json")
    cluster.api.call("DELETE", path)


def _taint(cluster: Cluster, one: Running) -> None:
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    cluster.api.call("PATCH", f"{path_of('Node', '')}/{one.pod['spec']['nodeName']}", {"spec": {"taints": [taint]}}, "application/strategic-merge-patch+json")


def _lose(cluster: Cluster, one: Running) -> None:
    cluster.kubelet.lose(one.pod["spec"]["nodeName"])


def _kill(cluster: Cluster, one: Running) -> None:
    cluster.kubelet.kill(one, "Error")


def _starve(cluster: Cluster, one: Running) -> None:
    cluster.kubelet.kill(one, "OOMKilled")


def _evict(cluster: Cluster, one: Running) -> None:
    cluster.kubelet.evict(one)


TROUBLES = (
    Trouble(1, 0.0, "SIGKILL at its start", _kill, counts=True),
    Trouble(2, 0.3, "OOMKilled", _starve, counts=True),
    Trouble(2, 0.7, "OOMKilled again", _starve, counts=True),
    Trouble(3, 0.4, "drained: the Eviction API", _drain),
    Trouble(4, 0.2, "evicted by its kubelet", _evict),
    Trouble(4, 0.5, "evicted by its kubelet again", _evict),
    Trouble(5, 0.5, "preempted", _preempt),
    Trouble(6, 0.6, "its node is tainted NoExecute", _taint),
    Trouble(7, 0.8, "its node is lost", _lose),
    Trouble(8, 0.5, "SIGKILL", _kill, counts=True),
    Trouble(9, 0.95, "SIGKILL near its end", _kill, counts=True),
    Trouble(LIMITED, 0.5, "drained while its host limits the rate", _drain),
)


def krmfn(*words: object, cwd: Path) -> subprocess.Popen[str]:
    """Start krmfn."""
    command = [str(Path(sys.executable).parent / "krmfn"), *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def printed(run: subprocess.Popen[str]) -> str:
    """Wait for its end and return its stdout; it has to succeed."""
    out, _ = run.communicate()
    if run.returncode:
        raise SystemExit(f"{run.args}: exit {run.returncode}")
    return out


def plan(images: list[str], folder: Path, trees: int) -> Path:
    """Write trees in which the repositories run, and plan them."""
    folder.mkdir()
    for number in range(trees):
        (folder / f"tree-{number:03}.yaml").write_text("---\n".join(_deployment(image) for image in images[number::trees]))
    path = folder / "plan.json"
    path.write_text(printed(krmfn("fleet", "plan", *(f"tree-{number:03}.yaml" for number in range(trees)), cwd=folder)))
    return path


def _deployment(image: str) -> str:
    name = image.rpartition("/")[2]
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: app, image: {image}:1.2.0}}]}}}}}}\n"
    )


def start(cluster: Cluster, namespace: str, planned: Path) -> Path:
    """Do what examples/fleet/README.md says up to the scan, and return the folder that is the volume."""
    volume = cluster.folder / namespace / "volume"
    volume.mkdir(parents=True)
    shutil.copy(planned, volume / "plan.json")
    restricted = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    cluster.api.create("Namespace", "", namespace, metadata={"labels": restricted})
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]
    cluster.api.create("PersistentVolume", "", namespace, spec={
        "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany"], "local": {"path": str(volume)}, "claimRef": {"namespace": namespace, "name": "krmfn-fleet"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    })  # fmt: skip
    login = {"auths": {"registry.example": {"auth": base64.b64encode(b"nobody:nothing").decode()}}}
    secret = {".dockerconfigjson": base64.b64encode(json.dumps(login).encode()).decode()}
    cluster.api.create("Secret", namespace, "krmfn-fleet-login", type="kubernetes.io/dockerconfigjson", data=secret)
    for name in FILES:
        cluster.api.apply((EXAMPLE / name).read_bytes(), namespace, dry_run=True)
    for name in FILES[:3]:
        cluster.api.apply((EXAMPLE / name).read_bytes(), namespace)
    return volume


def publish(cluster: Cluster, namespace: str, address: str) -> str:
    """Run the Job that publishes, and return what its pod printed."""
    manifest = (EXAMPLE / "publish.yaml").read_text().replace(PLACE, f"oci://{address}/fleet/{namespace}").encode()
    cluster.api.apply(manifest, namespace)
    while not (ended := end_of(cluster, namespace, PUBLISH)):
        cluster.kubelet.step()
        time.sleep(0.2)
    (pod,) = (one for one in cluster.kubelet.done if one.name == f"{namespace}/{PUBLISH}")
    assert ended[0] == "Complete", (ended, (pod.folder / "err").read_text())
    return (pod.folder / "out").read_text().strip()


def end_of(cluster: Cluster, namespace: str, name: str) -> tuple[str, str, dict[str, Any]] | None:
    """Return how a Job ended: its condition, the reason, and its status; None while it has not."""
    status = cluster.api.call("GET", f"{path_of('Job', namespace)}/{name}")["status"]
    for condition in status.get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition["type"], condition.get("reason", ""), status
    return None


def disturbed(cluster: Cluster, hosts: list[Host], begin: float, scanned: Callable[[], object]) -> dict[str, Any]:
    """Run both Jobs to their ends, with trouble in `fleet`, after which `scanned` is called; returns their ends by namespace."""
    left, ends, struck = list(TROUBLES), dict[str, Any](), ""
    while len(ends) < 2:
        cluster.kubelet.step()
        for host in hosts:
            host.seen.clear()
        for trouble in list(left) if struck not in cluster.kubelet.running else ():  # an end is told before the next trouble
            host, there = hosts[trouble.index], cluster.kubelet.of("fleet", trouble.index)
            is_due = there and len(host.answered) >= trouble.share * QUESTIONS * host.repositories
            if is_due and not there.disruption and "deletionTimestamp" not in there.pod["metadata"] and there.poll() is None:
                trouble.act(cluster, there)
                left.remove(trouble)
                struck = there.pod["metadata"]["uid"]
                say(begin, f"index {trouble.index}: {trouble.name}, after {len(host.answered)} answers")
                break
        for namespace in {"fleet", "broken"} - ends.keys():
            if ended := end_of(cluster, namespace, JOB):
                ends[namespace] = ended
                say(begin, f"the Job of {namespace}: {ended[0]} {ended[1]}; {sum(len(host.answered) for host in hosts)} answers so far")
                if namespace == "fleet":
                    assert not left, f"it ended before {left}"
                    scanned()
        time.sleep(0.2)
    return ends


def say(begin: float, line: str) -> None:
    """Say what happened, and when."""
    print(f"{time.monotonic() - begin:6.0f} s  {line}", flush=True)


def check_counts(cluster: Cluster) -> None:
    """Compare what the Job controller counted against each index with what happened to it; a lost node takes its done pods along."""
    done = [one.pod["metadata"]["annotations"] for one in cluster.kubelet.done if one.name == f"fleet/{JOB}" and one.end() == "exit 0"]
    assert sorted(int(one[INDEX]) for one in done) == list(range(HOSTS)), done
    for noted in done:
        mine = [one for one in TROUBLES if str(one.index) == noted[INDEX]]
        assert int(noted.get(FAILURES, 0)) == sum(one.counts for one in mine), noted
        assert int(noted.get(IGNORED, 0)) >= sum(not one.counts for one in mine), noted


def main(repositories: int) -> None:
    """Prove it, and print the numbers."""
    build()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-proof-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        hosts, few = stack.enter_context(Hosts(HOSTS, -(-repositories // HOSTS))), stack.enter_context(Hosts(HOSTS - 2, 5))
        every = sorted(hosts.every, key=lambda host: host.address)
        every[LIMITED].rate = every[LIMITED].repositories / 80
        for endpoint in ("tags", "ping"):
            every[CLOSED].misbehave(endpoint, lambda request: request.error(401, "UNAUTHORIZED", "log in", {"WWW-Authenticate": 'Basic realm="r"'}))
        store = stack.enter_context(registries.crane(tools.require("crane"), folder / "registry", folder))
        api = stack.enter_context(control_plane(folder / "plane"))
        kubelet = Kubelet(api, ["fleet-a", "fleet-b", "fleet-c", "broken-a"], folder / "pods")
        stack.callback(kubelet.close)
        cluster = Cluster(api, kubelet, folder)
        _prove(cluster, every, few, store)


def _prove(cluster: Cluster, hosts: list[Host], few: Hosts, store: str) -> None:
    begin = time.monotonic()
    dead = f"127.0.0.1:{registries.free_port()}"
    planned = plan([image for host in hosts for image in host.images()], cluster.folder / "trees", TREES)
    small = plan([*(image for host in few.every for image in host.images()), *(f"{dead}/acme/app-{number}" for number in range(5))], cluster.folder / "few", 1)
    say(begin, f"planned; API server {cluster.api.call('GET', 'version')['gitVersion']}")
    volumes = {namespace: start(cluster, namespace, path) for namespace, path in (("fleet", planned), ("broken", small))}
    counted: list[tuple[int, int, int]] = []
    undisturbed: list[subprocess.Popen[str]] = []
    calm = cluster.folder / "calm"
    begin = time.monotonic()

    def scanned() -> None:
        told = Counter((host.address, *one) for host in hosts for one in host.answered)
        counted.append((told.total(), told.total() - len(told), sum(len(host.turned_away) for host in hosts)))
        for host in hosts:
            host.answered.clear()
            host.rate = 0
        calm.mkdir()
        shutil.copy(planned, calm / "plan.json")
        undisturbed.append(krmfn("fleet", "run", "-", "--to", calm, "--publish", f"oci://{store}/fleet/calm:1", "-q", cwd=cluster.folder))

    ends = disturbed(cluster, hosts, begin, scanned)
    away = [one["host"] for one in json.loads(small.read_text())["lanes"]].index(dead)
    print(f"of broken failed {ends['broken'][2].get('failedIndexes')}, done are {ends['broken'][2].get('completedIndexes')}; index {away} is the registry that is away")
    assert ends["fleet"][:2] == ("Complete", "CompletionsReached"), ends["fleet"]
    assert ends["broken"][:2] == ("Failed", "FailedIndexes"), ends["broken"]
    assert ends["broken"][2]["failedIndexes"] == f"{away},{HOSTS - 1}", ends["broken"]
    names = {namespace: publish(cluster, namespace, store) for namespace in volumes}
    pods = Counter((one.name, one.end()) for one in cluster.kubelet.done)
    for (job, end), count in sorted(pods.items()):
        print(f"{job}: {count} pods: {end}")
    killed = sum(count for (name, end), count in pods.items() if name == f"fleet/{JOB}" and end != "exit 0")
    (asked, again, limited), peak = counted[0], max(one.peak for one in cluster.kubelet.done)
    print(f"{asked} answers, {again} of them again after {killed} ends, {limited} of 429; a pod took {peak // 1024} MiB at most")
    name = printed(undisturbed[0]).strip()
    say(begin, f"undisturbed: {sum(len(host.answered) for host in hosts)} answers; {name}")
    print(f"as a Job: {names['fleet']}")
    assert again <= killed * IN_FLIGHT, (again, killed)
    check_counts(cluster)
    assert {one.disruption for one in cluster.kubelet.done} >= REASONS
    assert name.rpartition("@")[2] == names["fleet"].rpartition("@")[2]
    printed(krmfn("fleet", "pull", names["broken"], "--to", cluster.folder / "pulled", "-q", cwd=cluster.folder))
    lanes = sorted(path.name for path in (cluster.folder / "pulled").iterdir() if path.is_dir())
    assert len(lanes) == HOSTS - 1, lanes


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
