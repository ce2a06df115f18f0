"""`python -m simulator`: the simulator process."""

import socket
import sys

import click
import uvicorn

from simulator.account import TIERS
from simulator.app import create_app
from simulator.state import Options
from simulator.wire import DroppableProtocol


@click.command()
@click.option("--port", default=8081, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same ids and durations.")
@click.option("--key", "keys", multiple=True, default=("sim-key",), show_default=True, help="A key it accepts; repeat.")
@click.option("--video-s", default=6.0, show_default=True, help="How long a video takes, in seconds.")
@click.option("--image-s", default=2.0, show_default=True, help="How long an image takes, in seconds.")
@click.option("--tier", default="ultra", show_default=True, type=click.Choice(list(TIERS)), help="Account tier.")
@click.option("--per-minute", type=click.IntRange(min=1), help="Submissions a minute, instead of the tier's.")
@click.option("--concurrent", type=click.IntRange(min=1), help="Runs at once, instead of the tier's.")
@click.option("--balance", default=1000.0, show_default=True, help="The account's balance, in dollars.")
def main(
    port: int,
    host: str,
    seed: int,
    keys: tuple[str, ...],
    video_s: float,
    image_s: float,
    tier: str,
    per_minute: int | None,
    concurrent: int | None,
    balance: float,
) -> None:
    """Stand in for WaveSpeed on this machine. GET /_control/state shows what it saw; Ctrl-C ends it."""
    try:
        listening = socket.create_server((host, port), backlog=2048)
    except OSError as busy:
        raise click.ClickException(f"cannot listen on {host}:{port}: {busy.strerror}") from None
    options = Options(seed, keys, video_s, image_s, tier, balance, per_minute, concurrent)
    config = uvicorn.Config(
        create_app(options),
        http=DroppableProtocol,
        loop="uvloop",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,  # held connections would hold the end up
    )
    click.echo(f"simulator ready on http://{host}:{port}")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(prog_name="breakwater simulate")
