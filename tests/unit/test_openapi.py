"""The API description: it says what the gateway does, all of it, and its page is safe to open anywhere."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from unittest.mock import MagicMock

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import SecretStr
from starlette.requests import Request
from starlette.routing import Route

from service.app import routes
from service.domain.callback_ids import CallbackIds
from service.domain.catalogue import Catalogue
from service.domain.catalogue_file import read_catalogue
from service.domain.errors import InvalidInput
from service.domain.tenant_spec import TenantSpec, read_spec
from service.domain.usage import COLUMNS
from service.http import openapi
from service.http.admin.reports import MAX_AUDIT
from service.http.description.document import describe
from service.http.description.inputs import component_name, example_input
from service.http.docs import PAGE_HEADERS, page
from service.http.idempotency import KEY

HOSTILE = "</style><script>alert(1)</script><img src=x onerror='alert(2)'>\"'`<b>`"

EXTRA = """
[models."wavespeed-ai/wan-2.1/i2v"]
name = "Wan 2.1"
price = { run_usd = "0.20" }
poll = { usual_s = 30, step_s = 5, max_step_s = 20, deadline_s = 900 }
[models."wavespeed-ai/wan-2.1/i2v".inputs]
type = "object"
required = ["image", "size"]
additionalProperties = false
"$defs".size = { enum = ["480p", "720p"], description = "How large." }
"$defs".loras = { type = "array", items = { "$ref" = "#/$defs/loras" } }
[models."wavespeed-ai/wan-2.1/i2v".inputs.properties]
image = { type = "string" }
size = { "$ref" = "#/$defs/size" }
loras = { "$ref" = "#/$defs/loras" }
again = { "$ref" = "#" }
anything = true
"""

ENTRY = """
[models."acme/film"]
name = {name}
price = {{ run_usd = "0.20" }}
poll = {{ usual_s = 30, step_s = 5, max_step_s = 20, deadline_s = 900 }}
inputs = {inputs}
"""

CATALOGUE = read_catalogue(EXTRA)
DOCUMENT = describe(CATALOGUE, admin=True)
WITHOUT_OPERATORS = describe(CATALOGUE, admin=False)
CALLED_BACK = describe(CATALOGUE, admin=True, callbacks=True)

SUBMISSIONS = [("/api/v3/openai/sora-2", "200"), ("/v1/predictions", "202")]
"""Where predictions are submitted on either face, and the status that says so."""


def catalogue_with(inputs: str, name: str = '"Film"') -> Catalogue:
    """The built-in catalogue and one model with these inputs, both in TOML."""
    return read_catalogue(ENTRY.format(name=name, inputs=inputs))


def operations(document: dict[str, Any] = DOCUMENT) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def submission(path: str) -> dict[str, Any]:
    """The description of a submission."""
    found: dict[str, Any] = DOCUMENT["paths"][path]["post"]
    return found


def served(admin_token: SecretStr | None, callbacks: bool) -> set[tuple[str, str]]:
    """Method and path of all that callers may use; the route of models is one path for each model."""
    resources = MagicMock(catalogue=CATALOGUE, callback_ids=CallbackIds(["k" * 16]) if callbacks else None)
    resources.settings.admin_token = admin_token
    found = set()
    for route in routes(resources, lambda: True):
        assert isinstance(route, Route)
        submitting = route.path == "/api/v3/{model:path}"
        models = [model.id for model in CATALOGUE] if submitting else ["{model}"]
        for method in (route.methods or set()) - {"HEAD"}:
            found |= {(method, route.path.replace("{model:path}", model)) for model in models}
    return found


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(child)


def filled(path: str) -> str:
    """A path with the ids of the examples."""
    prediction, endpoint = "019b76da80007c3d9f0e5a4b3c2d1e0f", "ep_019b76da80007a1b8c2d3e4f5a6b7c8d"
    own = {"endpoints": endpoint, "deliveries": f"{prediction}-2-ep_{endpoint[-16:]}"}
    found = next((example for name, example in own.items() if f"/{name}/" in path), prediction)
    others = {"tenant": "acme", "key": "key_019b76da80007a1b8c2d3e4f5a6b7c8d", "n": 0, "model": "openai/sora-2"}
    return path.format_map({"id": found, **others})


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data


class TestDocument:
    """What `/openapi.json` says."""

    @pytest.mark.parametrize("document", [DOCUMENT, WITHOUT_OPERATORS, CALLED_BACK])
    def test_it_is_valid(self, document: dict[str, Any]) -> None:
        """The document is OpenAPI 3.1 to an independent validator, whichever faces it describes."""
        assert document["openapi"].startswith("3.1.")
        assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []

    @pytest.mark.parametrize(
        ("admin_token", "callbacks", "document"),
        [
            (SecretStr("0123456789abcdef"), False, DOCUMENT),
            (SecretStr("0123456789abcdef"), True, CALLED_BACK),
            (None, False, WITHOUT_OPERATORS),
        ],
    )
    def test_it_describes_every_route_and_no_other(
        self, admin_token: SecretStr | None, callbacks: bool, document: dict[str, Any]
    ) -> None:
        """What is served and what is described are the same, whatever a gateway is set to serve."""
        assert served(admin_token, callbacks) == {(method, path) for method, path, _ in operations(document)}

    async def test_the_operators_face_is_described_where_it_is_served(self) -> None:
        """Whether `/openapi.json` and `/docs` show it follows from the setting, as the routes do."""
        for token in (SecretStr("0123456789abcdef"), None):
            resources = MagicMock(catalogue=CATALOGUE)
            resources.settings.admin_token = token
            found = {route.path: route for route in routes(resources, lambda: True) if isinstance(route, Route)}
            for path in ("/openapi.json", "/docs"):
                answer = await found[path].endpoint(Request({"type": "http"}))
                assert (b"/admin/v1/tenants" in answer.body) == (token is not None)

    def test_nothing_speaks_of_operators_where_there_are_none(self) -> None:
        """Without the operators' face neither its tag, its security scheme nor any of its schemas is left."""
        assert set(WITHOUT_OPERATORS["components"]["securitySchemes"]) == {"bearer"}
        assert "Administration" not in {tag["name"] for tag in WITHOUT_OPERATORS["tags"]}
        assert not {"TenantShown", "KeyCreated", "Usage", "Audit"} & set(WITHOUT_OPERATORS["components"]["schemas"])

    def test_every_reference_leads_somewhere(self) -> None:
        """References stay within the document and what they name is there, also those of an operator's schema."""
        references = [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)]
        assert any("$defs" in reference for reference in references)
        for reference in references:
            found = DOCUMENT
            assert reference.startswith("#/")
            for step in reference[2:].split("/"):
                found = found[step]

    def test_every_operation_is_named_and_explained(self) -> None:
        """Each has a unique id, a summary, a known tag, answers, and the request id on each of them."""
        ids = [operation["operationId"] for _, _, operation in operations()]
        assert len(ids) == len(set(ids))
        known = {tag["name"] for tag in DOCUMENT["tags"]}
        for _, _, operation in operations():
            assert operation["summary"]
            assert operation["description"]
            assert set(operation["tags"]) <= known
            assert any(status.startswith("2") for status in operation["responses"])
            assert all("X-Request-Id" in answer["headers"] for answer in operation["responses"].values())

    def test_a_key_is_asked_for_where_it_is_needed(self) -> None:
        """Callers' faces need a key, the operators' the admin token; what the gateway says of itself needs neither."""
        assert DOCUMENT["security"] == [{"bearer": []}]
        for _, path, operation in operations():
            expected: list[dict[str, list[str]]] | None = []
            if path.startswith("/admin/"):
                expected = [{"operator": []}]
            elif path.startswith(("/api/", "/v1/")):
                expected = None  # what the document as a whole asks for
            assert operation.get("security") == expected
            assert ("401" in operation["responses"]) == (expected != [])

    def test_errors_have_the_form_of_their_face(self) -> None:
        """WaveSpeed's envelope under `/api`, problem details elsewhere; both repeat the HTTP status."""
        for _, path, operation in operations():
            wavespeed = path.startswith("/api/")
            form = "application/json" if wavespeed else "application/problem+json"
            for status, answer in operation["responses"].items():
                if int(status) < 400 or path == "/readyz":
                    continue
                assert list(answer["content"]) == [form]
                for example in answer["content"][form]["examples"].values():
                    assert example["value"]["code" if wavespeed else "status"] == int(status)
                    assert example["summary"]

    @pytest.mark.parametrize(("path", "_status"), SUBMISSIONS)
    def test_retry_after_stands_where_waiting_helps(self, path: str, _status: str) -> None:
        """A submission that met a limit, its own copy, a full account or a store that is away says when to return."""
        answers = submission(path)["responses"]
        waits = [status for status, answer in answers.items() if "Retry-After" in answer["headers"]]
        assert waits == ["402", "409", "429", "503"]

    @pytest.mark.parametrize(("path", "status"), SUBMISSIONS)
    def test_submissions_say_where_the_limits_stand(self, path: str, status: str) -> None:
        """Accepted or refused for a limit, the answer has both RateLimit fields; a replayed one says that it is."""
        answers = submission(path)["responses"]
        limited = [
            found for found, answer in answers.items() if {"RateLimit", "RateLimit-Policy"} <= {*answer["headers"]}
        ]
        assert limited == [status, "402", "429"]
        assert "Idempotent-Replayed" in answers[status]["headers"]
        shown = DOCUMENT["components"]["headers"]
        assert '"budget";q=500000000;qu="micro-dollars"' in shown["RateLimitPolicy"]["example"]
        assert '"rate";r=9;t=6' in shown["RateLimit"]["example"]

    @pytest.mark.parametrize(("path", "_status"), SUBMISSIONS)
    def test_submissions_take_an_idempotency_key(self, path: str, _status: str) -> None:
        """Both faces describe the header, and it alone of the components is no part of other operations."""
        taken = {"$ref": "#/components/parameters/IdempotencyKey"}
        assert taken in submission(path)["parameters"]
        assert taken not in DOCUMENT["paths"]["/v1/endpoints"]["post"]["parameters"]
        assert DOCUMENT["components"]["parameters"]["IdempotencyKey"]["name"] == "Idempotency-Key"

    @pytest.mark.parametrize("key", ["a", "a b", '"a b"', '"', "", "é", "x" * 255, "x" * 256, f'"{"x" * 255}"', 'a"b'])
    def test_an_idempotency_key_is_described_as_it_is_read(self, key: str) -> None:
        """The pattern is that of the code."""
        pattern = DOCUMENT["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]
        assert (re.fullmatch(pattern, key) is not None) == (KEY.fullmatch(key) is not None)

    def test_links_lead_to_operations_and_their_parameters(self) -> None:
        """What an answer leads to is there, and takes what the link gives it."""
        known = {operation["operationId"]: operation for _, _, operation in operations()}
        found = [
            link
            for _, _, operation in operations()
            for answer in operation["responses"].values()
            for link in answer.get("links", {}).values()
        ]
        assert len(found) > 20
        for link in found:
            names = {given.get("name") for given in known[link["operationId"]]["parameters"]}
            assert set(link["parameters"]) <= names

    def test_native_submissions_name_every_kind_of_refusal(self) -> None:
        """Every code a program may have to tell apart is there, and limits that refuse are named."""
        answers = submission("/v1/predictions")["responses"]
        found = {
            (status, code): example["value"]
            for status, answer in answers.items()
            for code, example in answer["content"].get("application/problem+json", {}).get("examples", {}).items()
        }
        assert {
            ("402", "budget_exceeded"),
            ("403", "model_denied"),
            ("403", "tenant_suspended"),
            ("404", "not_found"),
            ("409", "idempotency_conflict"),
            ("422", "idempotency_mismatch"),
            ("422", "callback_denied"),
            ("429", "quota_exceeded"),
        } <= set(found)
        assert found["402", "budget_exceeded"]["violated-policies"] == ["budget"]
        assert found["429", "quota_exceeded"]["violated-policies"] == ["rate"]
        assert "Location" in answers["202"]["headers"]

    def test_a_price_says_what_decides_it(self) -> None:
        """A model priced by its length says for which length the price holds, any other just says the price."""
        assert "One run of 4 s costs $0.40; `duration`" in submission("/api/v3/openai/sora-2")["description"]
        assert "One run costs $0.20." in submission("/api/v3/wavespeed-ai/wan-2.1/i2v")["description"]

    def test_every_example_is_what_its_schema_says(self) -> None:
        """Examples of requests and answers are valid, so that nobody copies a wrong one."""
        checked = 0
        for node in nodes(DOCUMENT["paths"]):
            for example in node.get("examples", {}).values() if "schema" in node else ():
                schema = {"components": DOCUMENT["components"], **node["schema"]}
                Draft202012Validator(schema).validate(example["value"])
                checked += 1
        assert checked > 60

    def test_every_example_of_a_parameter_is_what_its_schema_says(self) -> None:
        """The same for parameters; one in the path is required and named in it."""
        for _, path, operation in operations():
            for given in operation["parameters"]:
                known = (
                    DOCUMENT["components"]["parameters"][given["$ref"].rpartition("/")[2]] if "$ref" in given else given
                )
                Draft202012Validator(known["schema"]).validate(known["example"])
                in_path = known["in"] == "path"
                assert in_path == (f"{{{known['name']}}}" in path)
                assert known.get("required", False) == (in_path or (known["name"] == "since" and "recover" in path))


class TestAdministration:
    """What is said of the operators' face."""

    def test_a_tenant_is_what_the_code_accepts(self) -> None:
        """Body and limits have the fields, bounds and words of the model that checks them, and no other field."""
        body = DOCUMENT["paths"]["/admin/v1/tenants/{tenant}"]["put"]["requestBody"]["content"]["application/json"]
        example = body["examples"]["tenant"]["value"]
        assert read_spec(example).limits.budget_usd == "500"
        assert body["schema"] == {"$ref": "#/components/schemas/TenantSpec"}
        schemas = DOCUMENT["components"]["schemas"]
        assert set(schemas["TenantSpec"]["properties"]) == set(TenantSpec.model_fields)
        assert schemas["LimitsSpec"]["additionalProperties"] is False
        for field in schemas["LimitsSpec"]["properties"].values():
            assert field["description"]

    @pytest.mark.parametrize(
        "limits",
        [
            {"burst": 5},
            {"burst": 5, "rate_per_minute": None},
            {"burst": None},
            {"burst": 5, "rate_per_minute": 5},
            {"rate_per_minute": 5.0},
            {"daily": 1.5},
            {"budget_usd": "1000000000"},
            {"budget_usd": "1000000000.1"},
            {"budget_usd": "\u0663"},
        ],
    )
    def test_limits_are_described_as_they_are_checked(self, limits: dict[str, Any]) -> None:
        """The schema accepts what the code accepts, also where one field needs another."""
        schema = {"components": DOCUMENT["components"], "$ref": "#/components/schemas/LimitsSpec"}
        try:
            read_spec({"limits": limits})
        except InvalidInput:
            assert not Draft202012Validator(schema).is_valid(limits)
        else:
            assert Draft202012Validator(schema).is_valid(limits)

    def test_a_put_may_make_a_tenant_or_change_one(self) -> None:
        """Both successes and both conflicts are told apart."""
        answers = DOCUMENT["paths"]["/admin/v1/tenants/{tenant}"]["put"]["responses"]
        assert {"200", "201"} <= set(answers)
        conflicts = answers["409"]["content"]["application/problem+json"]["examples"]
        assert set(conflicts) == {"conflict", "already_exists"}

    def test_a_deletion_answers_no_body(self) -> None:
        """204 stands without content for tenants and keys."""
        for path in ("/admin/v1/tenants/{tenant}", "/admin/v1/tenants/{tenant}/keys/{key}"):
            assert "content" not in DOCUMENT["paths"][path]["delete"]["responses"]["204"]

    def test_usage_comes_in_both_forms(self) -> None:
        """JSON and CSV with the report's own columns, chosen and narrowed by query parameters."""
        usage = DOCUMENT["paths"]["/admin/v1/usage"]["get"]
        names = [given["name"] for given in usage["parameters"] if given.get("in") == "query"]
        assert names == ["tenant", "since", "until", "format"]
        content = usage["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/csv; charset=utf-8"}
        assert content["text/csv; charset=utf-8"]["example"].startswith(",".join(COLUMNS))

    def test_the_audit_is_bounded(self) -> None:
        """`limit` has the bounds that the handler keeps."""
        parameters = DOCUMENT["paths"]["/admin/v1/audit"]["get"]["parameters"]
        limit = next(given for given in parameters if given.get("name") == "limit")
        assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, MAX_AUDIT)


class TestInputs:
    """What a model's path accepts."""

    def test_a_model_has_its_own_schema_and_the_switches(self) -> None:
        """A path's body is the model's inputs, and beside them what the gateway itself understands."""
        body = DOCUMENT["paths"]["/api/v3/openai/sora-2"]["post"]["requestBody"]["content"]["application/json"]
        schema = DOCUMENT["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        assert schema["required"] == ["prompt"]
        assert schema["properties"]["aspect_ratio"]["enum"] == ["9:16", "16:9"]
        assert {"enable_sync_mode", "enable_base64_output", "webhook_url"} < set(schema["properties"])

    def test_a_closed_schema_still_takes_the_switches(self) -> None:
        """A model that allows no other field is described as the gateway treats it: the switches are no inputs."""
        schema = {
            "components": DOCUMENT["components"],
            "$ref": "#/components/schemas/wavespeed-ai_wan-2.1_i2v",
        }
        valid = {"image": "a.png", "size": "720p", "loras": [[]]}
        assert Draft202012Validator(schema).is_valid(valid | {"enable_sync_mode": True})
        assert not Draft202012Validator(schema).is_valid(valid | {"other": 1})
        assert not Draft202012Validator(schema).is_valid(valid | {"size": "8k"})

    @pytest.mark.parametrize(
        ("one", "other"), [("a/b/c", "a/b_c"), ("a_/b", "a/b"), ("a/b_/c", "a_b/c"), ("a_b/c", "a/b/c")]
    )
    def test_unlike_models_have_unlike_names(self, one: str, other: str) -> None:
        """No two models share a component."""
        assert component_name(one) != component_name(other)

    @pytest.mark.parametrize(
        ("inputs", "example"),
        [
            ('{ properties = { seed = { type = "integer" } } }', {}),
            ('{ required = ["seed"], properties = { seed = { type = "integer" } } }', {"seed": 1}),
            ('{ required = ["a"], properties = { a = { enum = ["x", "y"] } } }', {"a": "x"}),
            ("{ properties = { a = { default = 5, examples = [7] } } }", {"a": 7}),
            ('{ required = ["a"], properties = { a = { type = "string", pattern = "^urn:" } } }', None),
        ],
    )
    def test_an_example_is_valid_or_absent(self, inputs: str, example: dict[str, Any] | None) -> None:
        """The example is made of what the schema suggests; where that is not enough there is none."""
        assert example_input(catalogue_with(inputs).get("acme/film")) == example


class TestPage:
    """What `/docs` shows."""

    def test_it_shows_every_operation(self) -> None:
        """Each has an anchor, its method and path, a line for the shell, and a link that leads there."""
        html = page(DOCUMENT, CATALOGUE)
        tags = Tags(html)
        anchors = {attributes.get("id") for _, attributes in tags.found}
        links = {attributes["href"] for tag, attributes in tags.found if tag == "a"}
        for method, path, operation in operations():
            assert operation["operationId"] in anchors
            assert f"#{operation['operationId']}" in links
            assert f"<b>{method}</b> <code>{path}</code>" in html
            assert f'curl -s "$BASE{filled(path)}"' in tags.text
        assert {link[1:] for link in links if link} <= anchors

    def test_every_line_for_the_shell_is_the_call(self) -> None:
        """It has the operation's method and the token its face asks for, also where curl would guess another."""
        text = Tags(page(DOCUMENT, CATALOGUE)).text
        for method, path, operation in operations():
            line = text[text.index(f"{method} {path}") :].partition('curl -s "$BASE')[2].partition("X-Request-Id")[0]
            implied = "POST" if "requestBody" in operation else "GET"
            assert (f"-X {method}" in line) == (method != implied)
            assert ("Bearer $BREAKWATER_ADMIN_TOKEN" in line) == path.startswith("/admin/")
            assert ("Bearer $BREAKWATER_KEY" in line) == path.startswith(("/api/", "/v1/"))

    def test_it_says_which_tokens_the_lines_need(self) -> None:
        """The operators' variable and how to come by its value are shown where there is an operators' face."""
        assert "export BREAKWATER_ADMIN_TOKEN=" in Tags(page(DOCUMENT, CATALOGUE)).text
        plain = Tags(page(WITHOUT_OPERATORS, CATALOGUE)).text
        assert "export BREAKWATER_KEY=bw_..." in plain
        assert "ADMIN_TOKEN" not in plain
        assert "Administration" not in plain

    def test_it_shows_what_a_tenant_may_be(self) -> None:
        """Fields of a nested object are shown with their types, also those that may be null."""
        html = page(DOCUMENT, CATALOGUE)
        assert "<code>limits.rate_per_minute</code>" in html
        assert "integer; minimum 1; maximum 1000000 or null" in html

    def test_it_shows_the_catalogue(self) -> None:
        """Each model with its price and inputs, also those a reference leads to."""
        html = page(DOCUMENT, CATALOGUE)
        for text in ("openai/sora-2", "$0.40", "Wan 2.1", "$0.20", "<code>aspect_ratio</code>", "How large."):
            assert text in html

    def test_it_loads_and_runs_nothing(self) -> None:
        """No element fetches anything, links stay on the page, and the policy allows its own style alone."""
        html = page(DOCUMENT, CATALOGUE)
        found = Tags(html).found
        assert not {tag for tag, _ in found} & {"script", "link", "img", "iframe", "object", "base", "form"}
        assert not [name for _, attributes in found for name in attributes if name in ("src", "style")]
        assert all((attributes["href"] or "").startswith("#") for tag, attributes in found if tag == "a")
        style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert len(style) == 1
        assert "url(" not in style[0]
        assert "@import" not in style[0]
        policy = PAGE_HEADERS["content-security-policy"]
        assert "default-src 'none'" in policy
        assert b64encode(sha256(style[0].encode()).digest()).decode() in policy

    def test_hostile_text_stays_text(self) -> None:
        """Whatever a catalogue entry says is shown, and adds no element to the page."""
        quoted = '"' + HOSTILE.replace('"', '\\"') + '"'
        field = f"{{ description = {quoted}, default = {quoted}, enum = [{quoted}], type = 'string' }}"
        hostile = catalogue_with(f"{{ title = {quoted}, properties = {{ {quoted} = {field} }} }}", quoted)
        tags = Tags(page(describe(hostile, admin=True), hostile))
        plain = Tags(page(DOCUMENT, CATALOGUE))
        assert {tag for tag, _ in tags.found} <= {tag for tag, _ in plain.found}
        assert {name for _, attributes in tags.found for name in attributes} <= {
            name for _, attributes in plain.found for name in attributes
        }
        assert "<script>alert(1)</script>" in tags.text

    def test_an_odd_schema_does_not_break_it(self) -> None:
        """References in a circle, or into a document of another id, are shown as far as they go."""
        circle = '{ "$defs" = { a = { "$ref" = "#/$defs/a" } }, properties = { a = { "$ref" = "#/$defs/a" } } }'
        own_id = circle.replace("{", '{ "$id" = "https://acme.test/film",', 1)
        odd_types = '{ properties = { a = { type = ["string", "null"], items = true } } }'
        for inputs in (circle, own_id, "{}", odd_types):
            catalogue = catalogue_with(inputs)
            assert "acme/film" in page(describe(catalogue, admin=True), catalogue)


class TestServing:
    """How both are answered."""

    async def test_they_are_answered_with_their_types(self) -> None:
        """The document is JSON, the page HTML under its strict policy."""
        request = Request({"type": "http"})
        document = await openapi.openapi_document(CATALOGUE, admin=True)(request)
        assert document.headers["content-type"] == "application/json"
        assert bytes(document.body).startswith(b'{"openapi":"3.1')
        shown = await openapi.docs_page(CATALOGUE, admin=True)(request)
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert PAGE_HEADERS.items() <= dict(shown.headers).items()
        assert bytes(shown.body).decode() == page(DOCUMENT, CATALOGUE)

    async def test_they_are_built_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Requests that come together, and all later ones, share one build."""
        build = MagicMock(side_effect=describe)
        monkeypatch.setattr("service.http.description.document.describe", build)
        endpoint = openapi.openapi_document(CATALOGUE, admin=True)
        answers = await asyncio.gather(*(endpoint(Request({"type": "http"})) for _ in range(3)))
        assert len({bytes(answer.body) for answer in answers}) == 1
        assert build.call_count == 1
