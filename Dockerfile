# The function as a container. BASE_IMAGE: any Python 3.11 or newer with venv, CA certificates and a user `nobody`.
# Behind a private package index: --secret id=pip.conf,src=/etc/pip.conf
ARG BASE_IMAGE=docker.io/library/python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/krmfn
WORKDIR /src
COPY requirements-verify.txt requirements-build.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /build/bin/pip install -q --require-hashes --no-deps --only-binary :all: -r requirements-build.txt \
 && /build/bin/pip --python /opt/krmfn/bin/python install -q --require-hashes --no-deps --only-binary :all: \
    --no-compile -r requirements-verify.txt
COPY pyproject.toml README.md LICENSE ./
COPY krmfn krmfn
RUN /build/bin/pip wheel -q --no-index --no-deps --no-build-isolation -w /wheels . \
 && /build/bin/pip --python /opt/krmfn/bin/python install -q --no-index --no-deps --no-compile /wheels/*.whl \
 && /opt/krmfn/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/krmfn/lib \
 && /opt/krmfn/bin/krmfn --version

FROM ${BASE_IMAGE}
# Images without a compiled standard library (python:slim) would compile it at every start: the root is read-only.
RUN python3 -c 'import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path("stdlib"), quiet=2, workers=0, rx=re.compile("/(test|idlelib|lib2to3|tkinter|turtledemo|ensurepip|site-packages|dist-packages)/"))'
COPY --from=build /opt/krmfn /opt/krmfn
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="krmfn" \
      org.opencontainers.image.description="Flux's image automation as a pure KRM function" \
      org.opencontainers.image.source="https://github.com/krmfn/krmfn" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/krmfn/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65534:65534
ENTRYPOINT ["krmfn"]
