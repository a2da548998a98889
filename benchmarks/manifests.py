"""Make ResourceLists of any size: Deployments, ConfigMaps with look-alikes, Services and CronJobs, with their policies."""

from __future__ import annotations

IMAGES = ("web", "api", "worker", "cache", "proxy", "queue", "mail", "search", "cron", "auth", "edge")
OLD, NEW = "1.2.0", "1.3.1"

_CONFIG = """\
- apiVersion: krmfn.dev/v1alpha1
  kind: TagSnapshot
  metadata:
    name: {image}-tags
    annotations:
      config.kubernetes.io/local-config: "true"
  spec:
    image: ghcr.io/acme/{image}
    tags: [1.0.0, 1.1.0, 1.2.0, 1.3.1, 2.0.0]
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImageRepository
  metadata:
    name: {image}
    namespace: flux-system
  spec:
    image: ghcr.io/acme/{image}
    interval: 5m
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImagePolicy
  metadata:
    name: {image}
    namespace: flux-system
  spec:
    imageRepositoryRef:
      name: {image}
    policy:
      semver:
        range: ">=1.0.0 <2.0.0"
"""

_DEPLOYMENT = """\
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: {name}
    namespace: team-{team}
    annotations:
      internal.config.kubernetes.io/index: '0'
      internal.config.kubernetes.io/path: 'apps/{name}/deployment.yaml'
      config.kubernetes.io/index: '0'
      config.kubernetes.io/path: 'apps/{name}/deployment.yaml'
    labels:
      app.kubernetes.io/name: {name}
      app.kubernetes.io/part-of: shop # the whole shop
  spec:
    replicas: {replicas}
    revisionHistoryLimit: 3
    selector:
      matchLabels:
        app.kubernetes.io/name: {name}
    template:
      metadata:
        labels: {{app.kubernetes.io/name: {name}, tier: "backend"}}
        annotations:
          prometheus.io/scrape: "true"
          prometheus.io/port: "9090"
      spec:
        serviceAccountName: {name}
        # the main container
        containers:
        - name: main
          image: {quote}ghcr.io/acme/{image}:{version}{quote}{marker}
          imagePullPolicy: IfNotPresent
          args: ["--listen=:8080", '--log-level', info]
          ports:
          - containerPort: 8080
            name: http
          - {{containerPort: 9090, name: metrics}}
          env:
          - name: POD_NAME
            valueFrom:
              fieldRef:
                fieldPath: metadata.name
          - name: DATABASE_URL
            value: postgres://db.team-{team}.svc:5432/{name}?sslmode=disable
          - name: GREETING
            value: 'it''s #1'
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              memory: 256Mi
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
            initialDelaySeconds: 5
          readinessProbe:
            httpGet: {{path: /readyz, port: http}}
          volumeMounts:
          - name: config
            mountPath: /etc/app
            readOnly: true
{sidecar}        volumes:
        - name: config
          configMap:
            name: {name}
"""

_SIDECAR = """\
        - name: sidecar
          image: ghcr.io/acme/{image}:{version}{marker}
          args:
          - --upstream=localhost:8080
"""

_CONFIG_MAP = """\
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: {name}
    namespace: team-{team}
  data:
    # image: ghcr.io/acme/web:0.1.0
    compose.yaml: |
      services:
        web:
          image: ghcr.io/acme/web:1.2.0 # {{"$imagepolicy": "flux-system:web"}}
    note: >-
      folded text about
      image: things
"""

_SERVICE = """\
- apiVersion: v1
  kind: Service
  metadata:
    name: {name}
    namespace: team-{team}
  spec:
    selector:
      app.kubernetes.io/name: {name}
    ports:
    - name: http
      port: 80
      targetPort: http
"""

_CRON_JOB = """\
- apiVersion: batch/v1
  kind: CronJob
  metadata:
    name: {name}-cleanup
    namespace: team-{team}
  spec:
    schedule: "*/5 * * * *"
    jobTemplate:
      spec:
        template:
          spec:
            restartPolicy: Never
            containers:
            - name: cleanup
              image: ghcr.io/acme/cron:{version}{marker}
"""


def resource_list(count: int, marked: float = 1.0, *, look_alikes: bool = True) -> bytes:
    """Write a list with `count` Deployments; `marked` is the share of them whose images carry markers and are old."""
    parts = ["apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n"]
    parts += [_CONFIG.format(image=image) for image in IMAGES]
    every = round(1 / marked)
    for index in range(count):
        parts += _items(index, is_marked=index % every == 0, look_alikes=look_alikes)
    return "".join(parts).encode()


def _items(index: int, *, is_marked: bool, look_alikes: bool) -> list[str]:
    image, second = IMAGES[index % len(IMAGES)], IMAGES[(index * 7 + 3) % len(IMAGES)]
    values = {
        "name": f"app-{index:05}", "team": index % 40, "replicas": 1 + index % 5, "image": image,
        "version": OLD if is_marked else NEW, "quote": ("", "", '"', "'")[index % 4],
    }  # fmt: skip
    sidecar = _SIDECAR.format(image=second, version=values["version"], marker=_marker(second, is_marked))
    found = [
        _DEPLOYMENT.format(**values, marker=_marker(image, is_marked), sidecar=sidecar if index % 20 < 9 else ""),
    ]
    if index % 5 == 0 and look_alikes:
        found.append(_CONFIG_MAP.format(**values))
    if index % 3 == 0:
        found.append(_SERVICE.format(**values))
    if index % 20 == 0:
        found.append(_CRON_JOB.format(**values, marker=_marker("cron", is_marked)))
    return found


def _marker(image: str, is_marked: bool) -> str:
    return f' # {{"$imagepolicy": "flux-system:{image}"}}' if is_marked else ""
