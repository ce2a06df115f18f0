"""`python -m worker`: the worker process, configured by the environment alone."""

import sys

import uvloop

from service.domain.errors import BreakwaterError
from service.logs import configure_logging
from service.settings import load_settings, warn_of_unknown_variables
from worker.app import run_worker


def main() -> int:
    """Run the worker; a bad setting or a busy port ends it with one line on standard error."""
    warn_of_unknown_variables()
    try:
        settings = load_settings(needs_upstream_key=True, needs_encryption_key=True)
        configure_logging(settings.log_level, "worker")
        uvloop.run(run_worker(settings))
    except BreakwaterError as error:
        print(f"breakwater worker: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
