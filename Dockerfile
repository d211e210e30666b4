# The service: CPU, without torch, as a user without rights. Its steps are the ones of
# `docker/install` and `docker/health`, which the tests run in a clean environment.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 facegallery \
    && mkdir --mode=0700 /data && chown facegallery /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY embedding embedding
COPY index index
COPY service service
COPY training training
COPY docker docker
RUN docker/install

USER facegallery
ENV FACEGALLERY_DATA_FOLDER=/data \
    FACEGALLERY_HOST=0.0.0.0
VOLUME /data
EXPOSE 8321
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s CMD ["docker/health"]
# A TLS proxy in front, or certificate files: see docs/operation.md.
CMD ["facegallery", "serve"]
