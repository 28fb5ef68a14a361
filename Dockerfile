# The image of the agent: one JavaScript file on Node.js, without shell and package manager.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.com/infrastructure/pullready:0.1.0 --push .
#
# It takes BuildKit, which docker builds with by default since version 23; before, DOCKER_BUILDKIT=1 asks for it.

# Both base images can come from a mirror of yours, best named by digest.
ARG BUILD_IMAGE=node:24-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian13

# Runs on the builder's own platform and only once: the bundle is the same for every architecture.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /src
# Before the sources, so that an edit of them does not install everything again.
COPY package.json package-lock.json .npmrc ./
# The install scripts of packages are not run: nothing in the bundle needs them.
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY agent agent
RUN npm run build

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="pullready" \
      org.opencontainers.image.description="Keeps a Kubernetes node's registry credentials fresh and its images warm" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# Where the distroless and the usual images of Node.js have their node, so that either can be the base.
ENV PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /opt/pullready
COPY --from=build /src/.build/pullready.mjs ./
# Root, because the files that it replaces on the node and the runtime's socket are root's. The DaemonSet takes every
# capability away from it.
USER 0:0
EXPOSE 9797
ENTRYPOINT ["node", "/opt/pullready/pullready.mjs"]
CMD ["run"]
