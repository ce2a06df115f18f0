"""`breakwater listen`: receive callbacks locally, verify them, print them."""

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import click
import httpx2
import uvloop
from pydantic_core import from_json
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.errors import BreakwaterError
from service.domain.json_forms import json_bytes
from service.domain.webhook_signature import verify_wavespeed
from service.server import Server, bind, stop_event

MAX_BODY_BYTES = 1_048_576

_FORWARD_S = 15.0
_NOT_FORWARDED = frozenset({"host", "content-length", "connection", "transfer-encoding", "keep-alive"})


@dataclass(frozen=True, slots=True)
class Received:
    """One callback as it is printed."""

    verified: bool
    form: str
    event: str
    prediction: str
    status: str
    webhook_id: str
    attempt: str
    reason: str = ""


def examine(secrets: tuple[str, ...], headers: dict[str, str], body: bytes, now_s: float) -> Received:
    """Verify one callback in the form its signature names: Standard Webhooks (`v1`) or WaveSpeed's (`v3`)."""
    form = "wavespeed" if headers.get("webhook-signature", "").startswith("v3,") else "standard"
    reason = "no secret given: start with --secret" if not secrets else "the signature fits none of the secrets"
    verified = False
    for secret in secrets:
        if form == "wavespeed":
            verified = verified or verify_wavespeed(secret, headers, body, int(now_s))
            continue
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
            verified = True
        except (WebhookVerificationError, ValueError) as error:
            reason = str(error) or reason
    try:
        message: Any = from_json(body)
    except ValueError:
        message = {}
    data = message.get("data", message) if isinstance(message, dict) else {}
    if not isinstance(data, dict):
        data = {}
    return Received(
        verified=verified,
        form=form,
        event=str(message.get("type", f"prediction.{data.get('status')}")) if isinstance(message, dict) else "",
        prediction=str(data.get("id", "")),
        status=str(data.get("status", "")),
        webhook_id=headers.get("webhook-id", ""),
        attempt=headers.get("webhook-attempt", ""),
        reason="" if verified else reason,
    )


def _print(received: Received, as_json: bool) -> None:
    """Print one line and let it out at once: somebody watches."""
    if as_json:
        line = json_bytes(asdict(received)).decode()
    else:
        mark = "verified" if received.verified else f"NOT VERIFIED ({received.reason})"
        line = f"{received.event}  {received.prediction}  {mark}  ({received.form} form, attempt {received.attempt})"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Reply:
    """What callbacks are answered: what `forward_to` answers, else `status`. What does not verify is answered 401."""

    status: int = 204
    forward_to: str = ""

    async def to(self, request: Request, body: bytes, received: Received) -> Response:
        """The answer to one callback. Another service that is not there makes it a 502, so that it is tried again."""
        if not received.verified:
            return Response(status_code=401)
        if not self.forward_to:
            return Response(status_code=self.status)
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_FORWARDED}
        try:
            async with httpx2.AsyncClient(timeout=_FORWARD_S, trust_env=False) as client:
                answer = await client.post(self.forward_to, content=body, headers=headers)
        except httpx2.HTTPError as failed:
            click.echo(f"not forwarded: {type(failed).__name__}", err=True)
            return Response(status_code=502)
        return Response(answer.content, answer.status_code)


def receiver(secrets: tuple[str, ...], as_json: bool, reply: Reply = Reply()) -> Starlette:
    """The application: every POST is a callback, verified, printed and answered."""

    async def receive(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return Response(status_code=413)
        received = examine(secrets, dict(request.headers), bytes(body), time.time())
        _print(received, as_json)
        return await reply.to(request, bytes(body), received)

    return Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8083, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="LISTEN_SECRET",
    help="A signing secret (whsec_...); repeat for more. Also from LISTEN_SECRET, separated by blanks.",
)
@click.option("--forward-to", metavar="URL", default="", help="Pass verified callbacks on, and answer as URL does.")
@click.option(
    "--answer", default=204, show_default=True, type=click.IntRange(200, 599), help="Status verified ones get."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(host: str, port: int, secrets: tuple[str, ...], forward_to: str, answer: int, as_json: bool) -> None:
    """Receive callbacks on any path, verify and print them. Ctrl-C ends it."""
    if forward_to and not forward_to.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://", param_hint="--forward-to")
    try:
        uvloop.run(_listen(host, port, receiver(secrets, as_json, Reply(answer, forward_to))))
    except BreakwaterError as error:
        raise click.ClickException(str(error)) from None


async def _listen(host: str, port: int, app: Starlette) -> None:
    """Serve until SIGTERM or SIGINT."""
    listening = bind(host, port)
    click.echo(f"Listening on http://{host}:{port}/ for callbacks; Ctrl-C ends it.", err=True)
    server = Server(app, drain_s=2.0)
    with stop_event(on_set=server.stop):
        await server.serve(sockets=[listening])
