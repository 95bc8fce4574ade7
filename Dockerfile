# bratsprep and bratstrain in a container, for the CPU or for CUDA:
#
#   docker build -t bratsprep .
#   docker build -t bratsprep:cuda --build-arg TORCH=https://download.pytorch.org/whl/cu126 .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" bratsprep bratstrain demo
#   docker run --rm --gpus all --shm-size 1g -v "$PWD:/data" bratsprep:cuda bratstrain fit train.h5
#   apptainer build bratsprep.sif docker-daemon://bratsprep:latest && apptainer exec --nv bratsprep.sif bratsprep doctor
#
# torch's CUDA wheels bring CUDA themselves, so that one base serves both; the host has the driver.
FROM python:3.12-slim-bookworm AS build
ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bratsprep bratsprep
COPY bratstrain bratstrain
# The local version of torch (+cpu, +cu126) satisfies the pin of the constraints.
RUN python -m venv /opt/bratsprep \
 && /opt/bratsprep/bin/pip install --no-cache-dir --extra-index-url "$TORCH" \
      --constraint constraints.txt '.[all]'

FROM python:3.12-slim-bookworm
COPY --from=build /opt/bratsprep /opt/bratsprep
ENV PATH=/opt/bratsprep/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1
ENV NUMBA_CACHE_DIR=$HOME/numba \
    MPLCONFIGDIR=$HOME/matplotlib
RUN useradd --uid 1000 --no-create-home bratsprep
USER 1000
WORKDIR /data
CMD ["bratsprep", "doctor"]
