"""As much of a Kubernetes API server as helm asks when it renders an upgrade: what kinds it has, and what runs there.

It judges nothing (the schemas do, in test_schemas.py) and changes nothing.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.chart.rendering import NAMESPACE, Object


@contextmanager
def cluster(kinds: Iterable[Object], replicas: dict[str, int], directory: Path) -> Iterator[tuple[str, ...]]:
    """A cluster that knows the kinds of these objects and has Deployments of so many replicas.

    Yields the options with which helm renders an upgrade there.
    """
    answers = _kinds({(thing["apiVersion"], thing["kind"]) for thing in kinds})
    for name, number in replicas.items():
        answers[f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"replicas": number},
        }

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """What is there, or a 404 in Kubernetes' own form."""
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            found = answers.get(self.path.partition("?")[0])
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        file = directory / f"kubeconfig-{server.server_port}.json"
        file.write_text(json.dumps(_configuration(f"http://127.0.0.1:{server.server_port}")))
        try:
            yield ("--dry-run=server", "--is-upgrade", "--disable-openapi-validation", f"--kubeconfig={file}")
        finally:
            server.shutdown()
            thread.join()


def _kinds(kinds: set[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """What the server says of the kinds it has, by path."""
    resources: dict[str, list[dict[str, Any]]] = {}
    for version, kind in kinds:
        resource = {"name": f"{kind.lower()}s", "kind": kind, "namespaced": True, "verbs": ["get"]}
        resources.setdefault(version, []).append(resource)
    groups = []
    for version in resources:
        group, _, short = version.rpartition("/")
        one = {"groupVersion": version, "version": short}
        groups += [{"name": group, "versions": [one], "preferredVersion": one}] if group else []
    answers: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for version, found in resources.items():
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answers[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": found}
    return answers


def _configuration(url: str) -> dict[str, Any]:
    """A kubeconfig for that server."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    }
