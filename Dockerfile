# syntax=docker/dockerfile:1
# The HTTP API and the web page: `docker build -t binsight .`, then `docker run -p 9696:9696 binsight`.
# docs/deploy.md says how to run it with a read-only root, corrections, TLS and several replicas.

# The tests run on this version; any from 3.11 on works.
ARG PYTHON_VERSION=3.11


FROM python:${PYTHON_VERSION}-slim-bookworm AS build
# "serve,heic" also reads photos from iPhones as they are.
ARG EXTRAS=serve
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY web-offline web-offline
# The wheel, as it would be published.
RUN python -m pip install "build>=1.2,<2" && python -m build --wheel --outdir /dist
# An environment with the wheel and nothing to install more with: no tests, no tools to make ONNX files. Its byte code is
# compiled here, because the final image may be mounted read-only.
RUN python -m venv --without-pip /opt/binsight \
    && wheel="$(find /dist -name '*.whl')" \
    && python -m pip --python /opt/binsight/bin/python install --no-compile "${wheel}[${EXTRAS}]" \
    && find /opt/binsight -depth -type d -path '*/site-packages/*' \( -name tests -o -path '*/onnxruntime/transformers' \
       -o -path '*/onnxruntime/quantization' -o -path '*/onnxruntime/tools' -o -path '*/onnxruntime/datasets' \) -exec rm -r {} + \
    && /opt/binsight/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/binsight/lib
# An image that cannot classify is not built.
RUN /opt/binsight/bin/binsight model verify


FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="binsight" \
      org.opencontainers.image.description="Sort waste by camera: the HTTP API and the web page" \
      org.opencontainers.image.licenses="Apache-2.0"
# Corrections go to /data when BINSIGHT_FEEDBACK=/data is set.
RUN groupadd --system --gid 10001 binsight \
    && useradd --system --uid 10001 --gid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin binsight \
    && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/binsight /opt/binsight
# ONNX Runtime reports its use to its maker unless it is told not to (ORT_DISABLE_TELEMETRY).
ENV PATH=/opt/binsight/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    BINSIGHT_HOST=0.0.0.0 \
    BINSIGHT_PORT=9696
USER 10001:10001
EXPOSE 9696
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['BINSIGHT_PORT']), timeout=4); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["binsight"]
CMD ["serve"]
