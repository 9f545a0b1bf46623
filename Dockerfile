# Two stages: the first builds a virtual environment, the second carries that and nothing to build with.
#   docker build -t deid-node .
#   docker run -p 11112:11112 -v deid-node:/var/lib/deid-node deid-node
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY deid_node deid_node
COPY profiles profiles
COPY locks locks
COPY tools/install_locked.sh tools/install_locked.sh
# What locks/ names with versions and hashes, and nothing else: the environment has no pip.
RUN tools/install_locked.sh /opt/deid-node \
 && /opt/deid-node/bin/python -m compileall -q /opt/deid-node/lib

FROM python:${PYTHON}
# Nothing in it needs to become another account: no file of the image can (su, mount, passwd and the like).
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
# A fixed number, so that the owner of a mounted volume can be set without knowing the image.
RUN groupadd --system --gid 10104 deid-node \
 && useradd --system --uid 10104 --gid 10104 --home-dir /var/lib/deid-node --shell /usr/sbin/nologin deid-node \
 && install -d -o 10104 -g 10104 -m 0700 /var/lib/deid-node
COPY --from=build /opt/deid-node /opt/deid-node
ENV PATH=/opt/deid-node/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10104:10104
WORKDIR /var/lib/deid-node
VOLUME /var/lib/deid-node
EXPOSE 11112
STOPSIGNAL SIGTERM
# A C-ECHO over the loopback interface: the whole receiving side has to be alive to answer it.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
  CMD ["deid-node", "echo"]
ENTRYPOINT ["deid-node"]
CMD ["serve"]
