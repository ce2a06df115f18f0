"""`python -m benchmarks.contestants NAME PORT UPSTREAM_PORT`: run one of the bare applications."""

import sys

import uvicorn

from benchmarks.contestants.apps import build
from service.server import allow_open_files

if __name__ == "__main__":
    allow_open_files()
    uvicorn.run(
        build(sys.argv[1], int(sys.argv[3])),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
