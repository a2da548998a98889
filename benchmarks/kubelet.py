"""Nodes without containers: pods run as processes in a root of their own, and are reported as a kubelet reports them.

A process has the read-only root, the user, the volumes and the environment that its pod asks for, and the network of the host.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.control_plane import ROOT, Api, ApiError, path_of

INDEX = "batch.kubernetes.io/job-completion-index"
ENTRYPOINT = (str(Path(sys.executable).parent / "krmfn"),)
"""What the image of krmfn starts."""
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc", "/dev", sys.base_prefix, str(ROOT))
"""What stands for the content of the image, read-only."""
_BEAT = 10.0
"""Seconds between heartbeats of the nodes."""
MERGE = "application/strategic-merge-patch+json"


class Running:
    """A pod whose process was started. `reason` and `condition` are what its end will be reported with."""

    def __init__(self, pod: dict[str, Any], process: subprocess.Popen[bytes], folder: Path) -> None:
        self.pod, self.process, self.folder = pod, process, folder
        self.started = now()
        self.reason = self.pod_reason = ""
        self.condition: dict[str, str] | None = None
        self.kill_at = 0.0
        self.is_lost = False
        """True when its node is switched off, so that nobody reports its end."""
        self.peak = 0
        """KiB of memory at most."""

    @property
    def index(self) -> str:
        """Return its index within the Job."""
        return str(self.pod["metadata"].get("annotations", {}).get(INDEX, ""))

    @property
    def name(self) -> str:
        """Return the name of its Job."""
        return f"{self.pod['metadata']['namespace']}/{self.pod['metadata']['labels']['job-name']}"

    @property
    def disruption(self) -> str:
        """Return the reason of its DisruptionTarget; empty without one."""
        conditions = [*self.pod["status"].get("conditions", []), *([{"type": "DisruptionTarget", **self.condition}] if self.condition else [])]
        return next((str(one["reason"]) for one in conditions if one["type"] == "DisruptionTarget"), "")

    def end(self) -> str:
        """Return how it ended."""
        told = "never reported" if self.is_lost else f"exit {self.poll()}"
        return ", ".join(part for part in (told, self.reason, self.disruption) if part)

    def poll(self) -> int | None:
        """Return the exit code as a container has it, None while it runs."""
        if self.process.returncode is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if not pid:
                return None
            self.peak = usage.ru_maxrss
            self.process.returncode = os.waitstatus_to_exitcode(status)
        code = self.process.returncode
        return 128 - code if code < 0 else code


class Kubelet:
    """A scheduler and the kubelets of some nodes, in one loop: `step` does what is to be done now.

    A node takes the pods of the namespace that its name begins with, so that trouble with nodes stays there.
    """

    def __init__(self, api: Api, nodes: list[str], folder: Path) -> None:
        self.api, self.nodes, self.folder = api, nodes, folder
        self.running: dict[str, Running] = {}
        self.done: list[Running] = []
        self._beat_at = 0.0
        for name in nodes:
            api.create("Node", "", name, metadata={"labels": {"kubernetes.io/hostname": name}})

    def step(self) -> None:
        """Bind what is new, start what is bound, end what is deleted, and report what ended."""
        if time.monotonic() > self._beat_at:
            self._beat_at = time.monotonic() + _BEAT
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
            for name in self.nodes:
                self.api.call("PATCH", f"{path_of('Node', '')}/{name}/status", {"status": {"conditions": [ready]}}, MERGE)
        for pod in self.api.call("GET", "api/v1/pods")["items"]:
            uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
            mine, phase = self.running.get(uid), pod["status"]["phase"]
            if node is None and "deletionTimestamp" not in pod["metadata"]:
                self._bind(pod)
            elif mine is None and phase in ("Pending", "Running") and node in self.nodes:
                self._delete(pod) if "deletionTimestamp" in pod["metadata"] else self._start(pod)
            elif mine is not None:
                mine.pod = pod
                self._watch(mine)

    def of(self, namespace: str, index: int) -> Running | None:
        """Return the pod that runs an index of a Job."""
        return next((one for one in self.running.values() if one.pod["metadata"]["namespace"] == namespace and one.index == str(index)), None)

    def kill(self, one: Running, reason: str) -> None:
        """Kill the process as the kernel does; nothing but the exit code, 137, and the reason will be reported."""
        one.reason = reason
        one.process.send_signal(signal.SIGKILL)

    def evict(self, one: Running) -> None:
        """End a pod because the node runs short of something, as a kubelet does by itself."""
        one.pod_reason, one.condition = "Evicted", {"reason": "TerminationByKubelet", "message": "The node was low on resource: ephemeral-storage."}
        one.process.send_signal(signal.SIGKILL)

    def lose(self, node: str) -> None:
        """Switch a node off: its processes are gone, nobody reports that, and the cloud deletes the Node."""
        self.nodes.remove(node)
        gone = [uid for uid, one in self.running.items() if one.pod["spec"].get("nodeName") == node]
        for uid in gone:
            one = self.running.pop(uid)
            one.is_lost = True
            self.done.append(one)
            _end(one)
        self.api.call("DELETE", f"{path_of('Node', '')}/{node}")

    def close(self) -> None:
        """Kill what runs still."""
        for one in self.running.values():
            _end(one)

    def _bind(self, pod: dict[str, Any]) -> None:
        load = Counter(one.pod["spec"].get("nodeName") for one in self.running.values())
        metadata = pod["metadata"]
        tainted = {one["metadata"]["name"] for one in self.api.call("GET", path_of("Node", ""))["items"] if one["spec"].get("taints")}
        mine = (name for name in self.nodes if name.startswith(metadata["namespace"]) and name not in tainted)
        node = min(mine, key=lambda name: load[name], default="")
        if not node:
            return
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
        self.api.call("POST", f"{_path(pod)}/binding", body)

    def _start(self, pod: dict[str, Any]) -> None:
        folder = self.folder / pod["metadata"]["uid"]
        (folder / "root").mkdir(parents=True)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            script = "\n".join(self._script(pod, folder))
            process = subprocess.Popen(["unshare", "--mount", "sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={})
        one = self.running[pod["metadata"]["uid"]] = Running(pod, process, folder)
        self._report(one, "Running", {"running": {"startedAt": one.started}})

    def _script(self, pod: dict[str, Any], folder: Path) -> Iterator[str]:
        """Yield the shell commands that make the root, and become the process."""
        (container,) = pod["spec"]["containers"]
        user, group = (pod["spec"]["securityContext"][name] for name in ("runAsUser", "fsGroup"))
        root = shlex.quote(str(folder / "root"))
        yield f"mount -t tmpfs -o mode=755 tmpfs {root}; cd {root}"
        for place in SYSTEM:
            if Path(place).is_symlink():
                yield f"ln -s {shlex.quote(str(Path(place).readlink()))} .{place}"
            else:
                yield f"mkdir -p .{place}; mount --rbind {place} .{place}; mount -o remount,bind,ro .{place}"
        volumes = {one["name"]: self._volume(pod, one, folder, group) for one in pod["spec"]["volumes"]}
        for mount in container["volumeMounts"]:
            place = f".{mount['mountPath']}"
            yield f"mkdir -p {place}; mount --bind {shlex.quote(str(volumes[mount['name']]))} {place}"
            yield f"mount -o remount,bind,ro {place}" if mount.get("readOnly") else ""
        yield "mount -o remount,ro ." if container["securityContext"]["readOnlyRootFilesystem"] else ""
        variables = {"PATH": "/usr/bin:/bin", "HOSTNAME": pod["metadata"]["name"], "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {one["name"]: one["value"] if "value" in one else _field(pod, one) for one in container["env"]}
        words = [*(container.get("command") or ENTRYPOINT), *container["args"]]
        rights = f"setpriv --reuid={user} --regid={group} --groups={group} --no-new-privs --bounding-set=-all --inh-caps=-all"
        told = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *words])
        yield f"exec chroot . {rights} {told}"

    def _volume(self, pod: dict[str, Any], volume: dict[str, Any], folder: Path, group: int) -> Path:
        """Return the folder of the host that a volume is."""
        namespace = pod["metadata"]["namespace"]
        if "persistentVolumeClaim" in volume:
            claim = self.api.call("GET", f"{path_of('PersistentVolumeClaim', namespace)}/{volume['persistentVolumeClaim']['claimName']}")
            bound = self.api.call("GET", f"{path_of('PersistentVolume', '')}/{claim['spec']['volumeName']}")
            return _shared(Path(bound["spec"]["local"]["path"]), group)
        there = folder / "volumes" / volume["name"]
        there.mkdir(parents=True)
        if "secret" in volume:
            wanted = volume["secret"]
            try:
                data = self.api.call("GET", f"{path_of('Secret', namespace)}/{wanted['secretName']}")["data"]
            except ApiError:
                if not wanted.get("optional"):
                    raise
                data = {}
            for item in wanted["items"]:
                if item["key"] in data:
                    (there / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
        return _shared(there, group)

    def _watch(self, one: Running) -> None:
        is_deleted = "deletionTimestamp" in one.pod["metadata"]
        code = one.poll()
        if code is not None:
            self.done.append(one)
            del self.running[one.pod["metadata"]["uid"]]
            reason = one.reason or ("Completed" if code == 0 else "Error")
            self._report(one, "Failed" if code else "Succeeded", {"terminated": {"exitCode": code, "reason": reason, "startedAt": one.started, "finishedAt": now()}})
            shutil.rmtree(one.folder / "volumes", ignore_errors=True)
            if is_deleted:
                self._delete(one.pod)
        elif is_deleted and not one.kill_at:
            one.kill_at = time.monotonic() + one.pod["metadata"].get("deletionGracePeriodSeconds", 30)
            one.process.send_signal(signal.SIGTERM)
        elif is_deleted and time.monotonic() > one.kill_at:
            one.process.send_signal(signal.SIGKILL)

    def _report(self, one: Running, phase: str, state: dict[str, Any]) -> None:
        (container,) = one.pod["spec"]["containers"]
        is_running = "running" in state
        told = {"name": container["name"], "image": container["image"], "imageID": "", "ready": is_running, "started": is_running, "restartCount": 0, "state": state}
        ready = {"type": "Ready", "status": str(is_running), "lastTransitionTime": now()}
        disrupted = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": now(), **one.condition}] if one.condition else []
        status = {"phase": phase, "startTime": one.started, "conditions": [ready, *disrupted], "containerStatuses": [told]}
        if one.pod_reason:
            status["reason"] = one.pod_reason
        self.api.call("PATCH", f"{_path(one.pod)}/status", {"status": status}, MERGE)

    def _delete(self, pod: dict[str, Any]) -> None:
        self.api.call("DELETE", _path(pod), {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})


def _end(one: Running) -> None:
    one.process.send_signal(signal.SIGKILL)
    while one.poll() is None:
        time.sleep(0.01)


def _path(pod: dict[str, Any]) -> str:
    return f"{path_of('Pod', pod['metadata']['namespace'])}/{pod['metadata']['name']}"


def _field(pod: dict[str, Any], variable: dict[str, Any]) -> str:
    """Return what the downward API says for a field of the pod."""
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert path in (f"metadata.annotations['{INDEX}']", f"metadata.labels['{INDEX}']"), path
    return str(pod["metadata"]["annotations"][INDEX])


def _shared(folder: Path, group: int) -> Path:
    """Give a folder to the group of the pod, as fsGroup says."""
    os.chown(folder, -1, group)
    folder.chmod(0o2775)
    return folder


def now() -> str:
    """Return the time as the API has it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
