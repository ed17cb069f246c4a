# The book on port 8000 and JupyterLab on port 8888, which prints the address to open:
#   docker build -t sfc .
#   docker run --rm -p 127.0.0.1:8000:8000 -p 127.0.0.1:8888:8888 sfc
# Untried: no Docker daemon was at hand when this was written.
FROM python:3.11-slim

RUN useradd --create-home sfc && install -d -o sfc -g sfc /home/sfc/repository
USER sfc
WORKDIR /home/sfc/repository
ENV PATH=/home/sfc/repository/.venv/bin:$PATH PIP_NO_CACHE_DIR=1

COPY --chown=sfc requirements.lock ./
RUN python -m venv .venv && pip install --require-hashes -r requirements.lock
COPY --chown=sfc . .
RUN pip install --no-deps --no-build-isolation -e . && sfc book

EXPOSE 8000 8888
CMD ["sh", "-c", "python -m http.server 8000 --directory book/_build/html & exec jupyter lab --ip 0.0.0.0 --no-browser notebooks"]
