# The daemon in a container: docker build -t traefik-bluegreen .
# deploy/README.md says how to run it. Both stages need the same Python 3.11 or later; pip is needed by the first alone.

ARG BASE_IMAGE=python:3.13-slim
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
# notify is runtime and Apprise, for --notify-url.
ARG REQUIREMENTS=notify
# An index of your own, if need be.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /src
COPY requirements/ requirements/
RUN python3 -m venv --without-pip /opt/bluegreen \
    && python3 -m venv --without-pip /opt/build \
    && python3 -m pip --python /opt/bluegreen/bin/python install --only-binary :all: \
        --require-hashes -r "requirements/${REQUIREMENTS}.txt" \
    && python3 -m pip --python /opt/build/bin/python install --only-binary :all: \
        --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY provider/ provider/
RUN python3 -m pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --no-index -w /opt/wheel . \
    && python3 -m pip --python /opt/bluegreen/bin/python install --no-deps --no-index /opt/wheel/*.whl \
    # Sources that compiled modules were made from, and the tests of what is installed.
    && find /opt/bluegreen/lib \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' \) -delete \
    && find /opt/bluegreen/lib -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="traefik-bluegreen" \
      org.opencontainers.image.description="Blue-green releases for Docker and Traefik: proven, atomic, reversible." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# Fixed numbers, so that files on the host can be given to them. The state belongs to the daemon, nothing else does.
RUN groupadd --gid 8900 bluegreen \
    && useradd --uid 8900 --gid 8900 --no-create-home --home-dir /var/lib/bluegreen --shell /usr/sbin/nologin bluegreen \
    && install -d -m 0700 -o bluegreen -g bluegreen /var/lib/bluegreen \
    && install -d -m 0755 /etc/bluegreen \
    # Nothing is to be installed in a container.
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip
COPY --from=build /opt/bluegreen /opt/bluegreen

# The admin listener stays on the container's own loopback, for `docker exec`, until BLUEGREEN_ADMIN_LISTEN and a
# BLUEGREEN_TOKENS_FILE say otherwise.
ENV PATH=/opt/bluegreen/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BLUEGREEN_DESIRED_STATE=/etc/bluegreen/production.yaml \
    BLUEGREEN_STATE_DIR=/var/lib/bluegreen \
    BLUEGREEN_LISTEN=0.0.0.0:8900
USER 8900:8900
WORKDIR /var/lib/bluegreen
VOLUME /var/lib/bluegreen
EXPOSE 8900 8901
STOPSIGNAL SIGTERM
# Alive, not ready: a daemon that waits for a decision is well, and what depends on it (service_healthy) may start.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["bluegreen", "healthcheck"]
ENTRYPOINT ["bluegreen"]
CMD ["serve"]
