"""`swarmd`: the daemon of a host. Reads its settings, composes the node, keeps it going until it is
told to stop. Containers live on when it stops, and when it is killed.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop

from api.errors import Code, SwarmError
from hostkit import collector
from hostkit.clock import monotonic
from swarmctl.folders import RUN_MODE, STATE_MODE, held
from swarmctl.settings import DEFAULT_FILE, KERNEL, NETWORKS, Settings, load
from worker.first_names import answer_first, open_names

if TYPE_CHECKING:
    from swarmctl.node import Node

logger = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds for which one thread may keep the others waiting."""
CANCEL_AGAIN = 10.0
"""Seconds after which a start that was told to end, and has not, is told once more."""
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def _pairs(context: click.Context, parameter: click.Parameter, values: Any) -> dict[str, str]:  # noqa: ANN401
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter("must be of the form KEY=VALUE")
    return {key: value for key, _, value in pairs}


@click.command(context_settings={"auto_envvar_prefix": "SWARMD"})
@click.option("--config", type=click.Path(path_type=Path), help=f"Settings file [{DEFAULT_FILE}].")
@click.option("--state-dir", type=click.Path(), help="What survives a reboot [/var/lib/swarm].")
@click.option("--run-dir", type=click.Path(), help="Sockets; a short path [/run/swarm].")
@click.option("--cgroup-parent", help="Cgroup that all containers live under [/swarm].")
@click.option(
    "--insecure-registry",
    "insecure_registries",
    multiple=True,
    help="HOST[:PORT] or CIDR of a registry without TLS; may be repeated.",
)
@click.option(
    "--registry-ca",
    "registry_cas",
    multiple=True,
    callback=_pairs,
    metavar="HOST[:PORT]=FILE",
    help="Certificate authority of a registry; may be repeated.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="Engine label of this node; may be repeated.",
)
@click.option(
    "--node-generic-resource",
    "node_generic_resources",
    multiple=True,
    metavar="KIND=COUNT|KIND=NAME",
    help="What tasks may reserve here beside CPU and memory: apple=4, or gpu=UUID1 and gpu=UUID2.",
)
@click.option(
    "--networks",
    type=click.Choice(NETWORKS),
    help="none: leave this host's network alone; tasks in networks run elsewhere [kernel].",
)
@click.option(
    "--look-at-networks-every",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Look so often at what the kernel has of networks, and put right what others changed; "
    "0: never [30].",
)
@click.option(
    "--open-firewalls",
    is_flag=True,
    default=None,
    help="Whenever another firewall of this host drops what is forwarded for networks, let it "
    "pass [only when asked].",
)
@click.option(
    "--wireguard-port",
    type=int,
    help="UDP port for encrypted networks [51820].",
)
@click.option(
    "--network-key-age",
    metavar="DURATION",
    help="Age at which this node's key for encrypted networks is replaced [168h].",
)
@click.option(
    "--plugin-dir",
    type=click.Path(),
    help="Where Docker volume plugins put their sockets [/run/docker/plugins].",
)
@click.option(
    "--serve-volumes-in",
    type=click.Path(),
    help="Let Docker use this host's volumes, by plugin sockets in this folder [not at all].",
)
@click.option(
    "--api-listen",
    metavar="HOST[:PORT]",
    help="Serve this host's API over mutual TLS, as 0.0.0.0:2376 [not at all].",
)
@click.option("--api-cert", type=click.Path(), help="Certificate that the API shows.")
@click.option("--api-key", type=click.Path(), help="The key of that certificate.")
@click.option("--api-ca", type=click.Path(), help="Authorities whose operators may use the API.")
@click.option("--api-crl", type=click.Path(), help="List of their certificates that were revoked.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def main(config: Path | None, **flags: Any) -> None:  # noqa: ANN401 - one keyword per option
    """The daemon of a node of the swarm, manager or worker."""
    try:
        settings = load(config, _given(flags))
        logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
        # One line per request of the registry client is its own debugging, not ours.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        _check_privileges()
        # The disk thread, back from an fsync, must not wait 5 ms for its turn to say so.
        sys.setswitchinterval(SWITCH_INTERVAL)
        collector.rest()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))
    except SwarmError as error:
        print(f"swarmd: {error}", file=sys.stderr)
        sys.exit(1)


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """What was said, be it a zero; an option that may be repeated, and was not, is empty."""
    return {name: value for name, value in flags.items() if value not in (None, (), {}, "")}


def _check_privileges() -> None:
    if os.geteuid() != 0:
        raise SwarmError(
            Code.DENIED,
            "swarmd needs root",
            why="it makes mounts, namespaces and control groups for containers",
            remedy="start it as root",
        )


async def _run(settings: Settings) -> None:
    """Runs the node until a signal, or until it fails; told to stop while starting, it gives up."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with _disk_errors(), held({settings.state_dir: STATE_MODE, settings.run_dir: RUN_MODE}):
        node = await _made(settings)
        running = asyncio.create_task(_work(node))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            while not running.done():  # a cancellation may get lost on its way (asyncio in 3.11)
                running.cancel()
                await asyncio.wait({running}, timeout=CANCEL_AGAIN)
            await node.stop()
        if not running.cancelled():
            running.result()


async def _made(settings: Settings) -> "Node":
    """The node of this host. Its tasks find names while the rest of the program is loaded."""
    names = open_names(monotonic) if settings.networks == KERNEL else None
    if names is not None:
        await answer_first(names, settings.state_dir)
    return (await asyncio.to_thread(_load))(settings, names)


def _load() -> type["Node"]:
    from swarmctl.node import Node  # noqa: PLC0415 - that is nearly all of the program

    collector.tune()
    return Node


async def _work(node: "Node") -> None:
    await node.start()
    raise await node.failure()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What the operating system refuses at the start is the operator's affair, not a defect."""
    try:
        yield
    except OSError as error:
        logger.debug("the daemon ends", exc_info=error)
        raise SwarmError(
            Code.UNAVAILABLE,
            "swarmd cannot go on",
            why=str(error),
            remedy="look after that file or the disk, then start it again",
        ) from error
