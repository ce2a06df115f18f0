"""The API description as one HTML page that loads nothing else and runs nothing: it works without any network."""

import base64
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from re import sub
from typing import Any, Final
from urllib.parse import unquote

from service.domain.catalogue import Catalogue
from service.domain.money import dollars

_STYLE: Final = files("service.http").joinpath("docs.css").read_text("utf-8")

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers the page is served with: nothing may run or be loaded, and only the page's own style counts."""

_METHODS: Final = ("get", "post", "put", "patch", "delete")

_LIMITS: Final = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format")
"""Keywords of a schema shown beside a field's type."""

_TOKENS: Final[Mapping[str, tuple[str, str]]] = {
    "bearer": ("BREAKWATER_KEY", "bw_..."),
    "operator": ("BREAKWATER_ADMIN_TOKEN", "...   # for operators"),
}
"""By security scheme: the shell variable its token is taken from in examples, and what it is set to."""

_MAX_REFERENCES: Final = 8
"""How many references in a row are followed: those of a schema may go in a circle."""

Object = Mapping[str, Any]


def page(document: Object, catalogue: Catalogue) -> str:
    """The page for an OpenAPI document and the catalogue it was made from."""
    return _Writer(document).render(catalogue)


class _Writer:
    """Turns parts of one document into HTML. Every text passes through `escape` on its way."""

    def __init__(self, document: Object) -> None:
        self._document = document
        self._operations = [
            (method, path, item[method])
            for path, item in document["paths"].items()
            for method in _METHODS
            if method in item
        ]

    def render(self, catalogue: Catalogue) -> str:
        """The whole page."""
        info = self._document["info"]
        schemes = self._document["components"]["securitySchemes"]
        exports = ["BASE=https://...   # this site, without /docs", *("=".join(_TOKENS[name]) for name in schemes)]
        title = escape(f"{info['title']} {info['version']}")
        return "".join(
            (
                f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<style>{_STYLE}</style></head><body>{self._navigation()}<main>",
                f'<h1 id="introduction">{title}</h1>{_prose(info["description"])}',
                '<h2 id="authentication">Authentication</h2>',
                *(_prose(scheme["description"]) for scheme in schemes.values()),
                _prose("The examples below expect these variables in your shell:"),
                _code("\n".join(f"export {line}" for line in exports)),
                f'<h2 id="models">Models</h2>{self._models(catalogue)}',
                *(self._section(tag) for tag in self._document["tags"]),
                "</main></body></html>",
            )
        )

    def _tagged(self, tag: Object) -> list[tuple[str, str, Object]]:
        """Method, path and operation of everything under one tag."""
        return [operation for operation in self._operations if tag["name"] in operation[2]["tags"]]

    def _navigation(self) -> str:
        """Links to everything on the page."""
        links = [_link(part.lower(), part) for part in ("Introduction", "Authentication", "Models")]
        for tag in self._document["tags"]:
            links.append(f"<b>{escape(tag['name'])}</b>")
            links += [_link(found["operationId"], found["summary"]) for _, _, found in self._tagged(tag)]
        return f"<nav>{''.join(links)}</nav>"

    def _models(self, catalogue: Catalogue) -> str:
        """The catalogue."""
        submissions = {path: operation["operationId"] for _, path, operation in self._operations}
        rows = []
        for model in catalogue:
            required = model.inputs.get("required", ())
            inputs = (
                f"<code>{escape(name)}</code>{' (required)' if name in required else ''}"
                for name in model.inputs.get("properties", {})
            )
            submission = submissions.get(f"/api/v3/{model.id}")  # there is none to one that is gone
            link = _link(submission, model.id) if submission else escape(model.id)
            state = escape(model.state.value) + (f"; use {escape(model.replacement)}" if model.replacement else "")
            price = f"${dollars(model.usual_price_micros)}"
            rows.append((link, escape(model.name), state, price, ", ".join(inputs)))
        return _table(("Model", "Name", "State", "Price of a run", "Inputs"), rows)

    def _section(self, tag: Object) -> str:
        """All operations of one tag."""
        operations = "".join(self._operation(*operation) for operation in self._tagged(tag))
        return f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}{operations}"

    def _operation(self, method: str, path: str, operation: Object) -> str:
        """One operation: what it is, what it takes, how to call it, what it answers."""
        parameters = [self._resolved(given) for given in operation.get("parameters", ())]
        fields = [_row(each["name"], each["in"], each["schema"], each) for each in parameters]
        return "".join(
            (
                f'<section id="{escape(operation["operationId"])}"><h3>{escape(operation["summary"])}</h3>',
                f'<p class="call"><b>{method.upper()}</b> <code>{escape(path)}</code></p>',
                _prose(operation["description"]),
                _table(("Name", "In", "Type", "Meaning"), [*fields, *self._body_fields(operation)]),
                _code(self._curl(method, path, operation)),
                *(_answer(status, answer) for status, answer in operation["responses"].items()),
                "</section>",
            )
        )

    def _body_fields(self, operation: Object) -> Iterator[tuple[str, ...]]:
        """The rows of a JSON body's fields."""
        for media in operation.get("requestBody", {}).get("content", {}).values():
            yield from self._schema_fields(self._resolved(media["schema"]))

    def _schema_fields(self, schema: Object, within: str = "") -> Iterator[tuple[str, ...]]:
        """The rows of an object's fields, and of those one level below."""
        for name, field in schema.get("properties", {}).items():
            known = self._resolved(field) if isinstance(field, dict) else {}
            yield _row(within + name, "body", known, {**known, "required": name in schema.get("required", ())})
            if not within:
                yield from self._schema_fields(known, f"{name}.")

    def _curl(self, method: str, path: str, operation: Object) -> str:
        """The call as a line for a shell."""
        for parameter in map(self._resolved, operation.get("parameters", ())):
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        words = [f'curl -s "$BASE{path}"']
        if method != ("post" if "requestBody" in operation else "get"):
            words.append(f"-X {method.upper()}")
        for scheme in (name for wanted in operation.get("security", self._document["security"]) for name in wanted):
            words.append(f'-H "Authorization: Bearer ${_TOKENS[scheme][0]}"')
        for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
            examples = [example["value"] for example in media.get("examples", {}).values()]
            words.append(f"-H 'Content-Type: {media_type}'")
            words.append(f"-d {shlex.quote(_json(examples[0]) if examples else '{...}')}")
        return " \\\n  ".join(words)

    def _resolved(self, node: Object) -> Object:
        """What a node of the document stands for; an empty object where a reference leads nowhere in it."""
        for _ in range(_MAX_REFERENCES):
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            found: Any = self._document
            for step in unquote(reference).removeprefix("#/").split("/"):
                found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
            node = found if isinstance(found, dict) else {}
        return {}


def _row(name: str, where: str, schema: Object, about: Object) -> tuple[str, ...]:
    """A row of the table of inputs; `about` says whether it is required, and what it means."""
    required = "<br><small>required</small>" if about.get("required") else ""
    meaning = _inline(str(about.get("description", "")))
    return f"<code>{escape(name)}</code>{required}", escape(where), escape(_type(schema)), meaning


def _type(schema: Object) -> str:
    """A schema in a few words."""
    choices = [_type(choice) for choice in schema.get("anyOf", ()) if isinstance(choice, dict)]
    words = " or ".join(dict.fromkeys(choices)) if choices and "type" not in schema else _kind(schema)
    if isinstance(schema.get("items"), dict):
        words += f" of {_type(schema['items'])}"
    if "enum" in schema:
        words += ": " + ", ".join(_json(value) for value in schema["enum"])
    limits = [f"{name} {_plain(schema[name])}" for name in _LIMITS if name in schema]
    default = [f"default {_json(schema['default'])}"] if "default" in schema else []
    return "; ".join([words, *limits, *default])


def _kind(schema: Object) -> str:
    """The JSON types a schema names."""
    kinds = schema.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _plain(limit: Any) -> Any:
    """A limit as people write it: the document may say 1.0 for 1."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _answer(status: str, answer: Object) -> str:
    """One answer: status, headers, and each example."""
    headers = ", ".join(f"<code>{escape(name)}</code>" for name in answer.get("headers", {}))
    contents = answer.get("content") or {}
    shown = "".join(
        f"{_prose(example.get('summary', name))}{_code(_pretty(example['value']))}"
        for media in contents.values()
        for name, example in media.get("examples", {"": {"value": media.get("example", "")}}).items()
    )
    return (
        f"<details><summary><b>{escape(status)}</b> {_inline(answer['description'])}</summary>"
        f"<p>Headers: {headers}. Body: {escape(', '.join(contents)) or 'none'}</p>{shown}</details>"
    )


def _prose(text: str) -> str:
    """Text with `code` and blank lines between paragraphs."""
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _inline(text: str) -> str:
    """One paragraph with `code` in it."""
    return sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    """A block to copy."""
    return f"<pre>{escape(text)}</pre>"


def _link(anchor: str, text: str) -> str:
    """A link within the page."""
    return f'<a href="#{escape(anchor)}">{escape(text)}</a>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; its cells are HTML already."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def _json(value: Any) -> str:
    """A value on one line."""
    return json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    """An example body as it is read best."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
