# AAM as a container that runs as an ordinary user. The working folder is /data; give yours with --volume "$PWD:/data".
#   docker build --tag aam .
#   docker run --rm --volume "$PWD:/data" --user "$(id -u):$(id -g)" aam demo
# With CUDA: the index of the build that fits your driver, as PyTorch's install selector shows it.
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 --tag aam:cuda .
FROM python:3.11-slim-bookworm AS build
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=tree,explain,tune
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY packaging/install.sh ./packaging/install.sh
COPY src ./src
RUN sh packaging/install.sh

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="AAM: Attention All Microbes" \
      org.opencontainers.image.licenses="BSD-3-Clause"
# What builds trees needs it of the system.
RUN apt-get update && apt-get install --no-install-recommends --yes libgomp1 && rm -r /var/lib/apt/lists/*
COPY --from=build /opt/aam /opt/aam
RUN useradd --uid 1000 --create-home aam && install --directory --owner aam /data
# Whoever runs it may have no home: what libraries keep goes to /tmp.
ENV PATH=/opt/aam/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba
USER 1000
WORKDIR /data
HEALTHCHECK --interval=10m --timeout=2m --start-period=1m CMD ["aam", "doctor"]
ENTRYPOINT ["aam"]
CMD ["--help"]
