# One image for every role; docs/supervisor.md says how to build and run it.
#
# BASE             Debian 12 with or without more in it
# EXTRAS           classifier for workers, local for the embedded AWS; empty: web and scaler alone
# TORCH_INDEX_URL  where torch is, for the CPU; empty: as pip is set up
ARG BASE=docker.io/library/debian:12-slim

FROM $BASE AS made
ARG EXTRAS=classifier,local
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN apt-get -qq update && apt-get -qq -y install --no-install-recommends ca-certificates python3-venv
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# By their hashes where a lock is of just these extras, else of the versions in the locks.
COPY packer /packer
RUN python3 -m venv /opt/visionfleet && \
    case "$EXTRAS" in \
        classifier,local) locks="requirements torch local" ;; \
        classifier) locks="requirements torch" ;; \
        *) locks= ;; \
    esac && \
    sh /packer/packages.sh /opt/visionfleet $locks && \
    sed -nE 's/^([^ #]+==[^ ]+).*/\1/p' /packer/*.lock >/versions
COPY . /source
RUN PIP_CONSTRAINT=/versions \
    /opt/visionfleet/bin/pip install --quiet "/source${EXTRAS:+[$EXTRAS]}" supervisor

FROM $BASE
RUN apt-get -qq update && apt-get -qq -y install --no-install-recommends ca-certificates python3 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --home-dir /var/cache/visionfleet --create-home visionfleet
COPY --from=made /opt/visionfleet /opt/visionfleet
COPY etc/visionfleet.yaml /etc/visionfleet/visionfleet.yaml
COPY etc/supervisor/workers.conf /etc/visionfleet/workers.conf
COPY etc/container/run etc/container/healthy /usr/bin/
ENV PATH=/opt/visionfleet/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 CACHE_DIRECTORY=/var/cache/visionfleet
USER visionfleet
EXPOSE 8080
# A worker that makes its model's artefact has half a minute for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/bin/healthy"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/run"]
CMD ["web"]
