# syntax=docker/dockerfile:1
FROM debian:bookworm AS build
WORKDIR /src
COPY scripts/packages scripts/
RUN scripts/packages build
COPY . .
RUN meson setup /build --buildtype=release && ninja -C /build gsq && scripts/check-hardening /build/gsq && strip /build/gsq

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends \
        ca-certificates libcurl4 libdeflate0 libevent-core-2.1-7 libjansson4 libsodium23 libsqlite3-0 libssl3 libyaml-0-2 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/gsq /usr/local/bin/gsq
# Fails here, not in the cluster, when a library is missing.
RUN gsq version
# A number, so that Kubernetes can check runAsNonRoot.
USER 65532:65532
EXPOSE 8080 5000
ENTRYPOINT ["gsq"]
CMD ["serve"]
