"""One call with the `wavespeed` of PyPI that is installed here, made as its users make it: `drive.py URL KEY CALL`.

`CALL` is JSON; what came of it is the last line printed, in JSON. What the client prints itself stands before it.
The Python that runs this has nothing but the client.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import wavespeed  # type: ignore[import-not-found] # in environments of its own


def submit_and_wait(client: Any, model: str, inputs: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The two halves of `run`, apart."""
    prediction_id, _ = client._submit(model, inputs)
    first = client._get_result(prediction_id)["data"]
    waited = client._wait(prediction_id, options.get("timeout"), options.get("poll_interval", 1.0))
    return {"id": prediction_id, "first": first, **waited}


def made(call: dict[str, Any]) -> Any:
    """Make the call."""
    model, inputs, options = call.get("model", ""), call.get("input", {}), call.get("options", {})
    client = wavespeed.Client()
    calls: dict[str, Callable[[], Any]] = {
        "run": lambda: wavespeed.run(model, inputs, **options),
        "submit_and_wait": lambda: submit_and_wait(client, model, inputs, options),
        "result": lambda: client._get_result(call["id"])["data"],
        "upload": lambda: wavespeed.upload(call["file"]),
    }
    return calls[call["do"]]()


def main(url: str, key: str, text: str) -> None:
    """Point the client at `url`, make the call and tell what came of it."""
    wavespeed.config.api.base_url = url
    wavespeed.config.api.api_key = key
    outcome: dict[str, Any] = {"version": version("wavespeed"), "returned": None, "error": None}
    began = time.monotonic()
    try:
        outcome["returned"] = made(json.loads(text))
    except Exception as error:
        outcome["error"] = {"class": type(error).__name__, "text": str(error)}
    outcome["seconds"] = time.monotonic() - began
    sys.stdout.write("\n" + json.dumps(outcome) + "\n")


main(*sys.argv[1:])
