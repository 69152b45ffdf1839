"""`swarmctl lab`: a swarm's worth of hosts on this one machine, out of namespaces.

The only noun besides `machine` whose verbs work here instead of calling a daemon.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from api.errors import Code, SwarmError
from machine.driver import State
from machine.drivers.lab import cuts, disk, form, images, naming
from machine.drivers.lab.driver import LabDriver, all_of, labs
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.up import Shape, bring_up
from swarmctl.cli import contexts
from swarmctl.cli.filters import filter_option, read_filters, rows_that_match, text
from swarmctl.cli.options import format_option, quiet_option
from swarmctl.cli.render import Listing

T = TypeVar("T")

_LISTING = Listing(
    columns=(
        ("Lab", "LAB"),
        ("Host", "HOST"),
        ("Role", "ROLE"),
        ("Address", "ADDRESS"),
        ("State", "STATE"),
        ("Link", "LINK"),
        ("Daemon", "DAEMON"),
    ),
    quiet="Host",
)
_FILTERS = {"lab": text("Lab"), "name": text("Host"), "role": text("Role"), "state": text("State")}


def _checked(check: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str], str]:
    """A check of naming.py as a callback of an option: what is ill formed is a usage error."""

    def callback(context: click.Context, parameter: click.Parameter, value: str) -> str:
        try:
            if value:
                check(value)
        except SwarmError as error:
            raise click.BadParameter(f"{error.what}: {error.why}") from None
        return value

    return callback


name_option = click.option(
    "--name",
    default=naming.DEFAULT_LAB,
    show_default=True,
    envvar="SWARM_LAB",
    callback=_checked(naming.check_lab),
    help="The lab's name",
)


_DAEMON = ("status", "start", "stop", "kill", "pause", "resume")


@click.group()
def lab() -> None:
    """Make hosts out of namespaces on this machine."""


@lab.command("up")
@name_option
@click.option(
    "--managers", type=click.IntRange(1, naming.MAX_MANAGERS), default=1, show_default=True
)
@click.option("--workers", type=click.IntRange(0, naming.MAX_WORKERS), default=2, show_default=True)
@click.option(
    "--expose",
    default="",
    metavar="ADDR:PORT",
    callback=_checked(naming.check_expose),
    help="Make the first manager reachable at this loopback address",
)
@click.option("--registry/--no-registry", default=True, help="Also a host with a registry")
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.1, 3600),
    default=form.DEFAULT_HEARTBEAT,
    show_default=True,
    metavar="SECONDS",
    help="Heartbeat period of the swarm",
)
@click.option(
    "--disk",
    "size",
    type=click.IntRange(disk.MINIMUM),
    metavar="MIB",
    help="Give each host a disk of its own, of this size",
)
@click.option("--up-only", is_flag=True, help="Only the hosts: make no swarm of them")
def up(
    name: str,
    managers: int,
    workers: int,
    expose: str,
    registry: bool,
    heartbeat: float,
    size: int | None,
    up_only: bool,
) -> None:
    """Make a lab and a swarm of its hosts; again, to start what does not run."""
    shape = Shape(managers, workers, registry, expose, size or 0)
    work = bring_up(name, shape, form=not up_only, heartbeat=heartbeat, publish=images.publish_from)
    try:
        driver, ran = asyncio.run(work)
    except (SwarmError, KeyboardInterrupt) as error:
        refused = isinstance(error, SwarmError) and error.code is Code.EXISTS
        if name in labs() and not refused:
            click.echo(
                f"Lab {name} is not whole: run this again to go on, "
                f"or: swarmctl lab down --name {name}",
                err=True,
            )
        raise
    click.echo(f"Lab {name} is up{' already' if ran else ''}. Contexts:", err=True)
    for host in driver.hosts():
        if host.name != naming.REGISTRY:
            address = f"unix://{host.paths.swarm_socket}"
            contexts.save(contexts.Context(f"{name}/{host.name}", (address,)))
            click.echo(f"{name}/{host.name}")


@lab.command("ls")
@filter_option(_FILTERS)
@format_option
@quiet_option
def ls(filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List labs and their hosts."""
    _LISTING.check(form)
    asked = read_filters(filters, _FILTERS)
    rows = rows_that_match(asyncio.run(_rows()), asked)
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@lab.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@name_option
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run a command in a host, with its exit code: lab exec m1 -- ip addr."""
    words = list(command[1:] if command[0] == "--" else command)
    if not words:
        raise click.UsageError("Missing command after '--'.")
    target = LabDriver.open(name).host(host)
    argv = target.entering(words, terminal=sys.stdin.isatty())
    terminal = {key: os.environ[key] for key in ("TERM", "COLORTERM") if key in os.environ}
    sys.stdout.flush()
    os.execvpe(argv[0], argv, target.environment() | terminal)  # noqa: S606 - an argument list


@lab.command("cut")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option(
    "--only", type=click.Choice(["in", "out"]), help="Cut what they are told, or what they say"
)
def cut(name: str, hosts: tuple[str, ...], only: str | None) -> None:
    """Cut hosts off the lab's network."""
    way = cuts.Way[only.upper()] if only else cuts.Way.BOTH
    _each(name, hosts, lambda host: host.cut(way))


@lab.command("heal")
@name_option
@click.argument("host", default="")
@click.argument("other", default="")
def heal(name: str, host: str, other: str) -> None:
    """Mend a host's link and end its partitions; or the one between two hosts; or everything."""
    asyncio.run(LabDriver.open(name).heal(host, other))
    click.echo(" ".join(filter(None, (host, other))) or name)


@lab.command("partition")
@name_option
@click.argument("first", metavar="HOST")
@click.argument("second", metavar="HOST")
def partition(name: str, first: str, second: str) -> None:
    """Keep two hosts from one another; all others reach both."""
    asyncio.run(LabDriver.open(name).partition(first, second))
    click.echo(f"{first} {second}")


@lab.command("kill")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
def kill(name: str, hosts: tuple[str, ...]) -> None:
    """Power failure: cut the link, then kill everything at once."""
    _each(name, hosts, LabHost.kill)


@lab.command("stop")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
def stop(name: str, hosts: tuple[str, ...]) -> None:
    """Shut hosts down in order."""
    _each(name, hosts, LabHost.stop)


@lab.command("start")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
def start(name: str, hosts: tuple[str, ...]) -> None:
    """Boot hosts that were stopped or killed, with the disk they had."""
    _each(name, hosts, LabHost.start)


@lab.command("pause")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
def pause(name: str, hosts: tuple[str, ...]) -> None:
    """Stop every process of hosts where it stands."""
    _each(name, hosts, LabHost.pause)


@lab.command("resume")
@name_option
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
def resume(name: str, hosts: tuple[str, ...]) -> None:
    """Let the processes of paused hosts go on."""
    _each(name, hosts, LabHost.resume)


@lab.command("daemon")
@name_option
@click.argument("host")
@click.argument("action", type=click.Choice(_DAEMON))
def daemon(name: str, host: str, action: str) -> None:
    """Look at, start, stop, kill, pause or resume a host's daemon; its containers live on."""
    target = LabDriver.open(name).host(host)
    actions = {
        "status": target.daemon,
        "start": target.start_daemon,
        "stop": target.stop_daemon,
        "kill": target.kill_daemon,
        "pause": target.pause_daemon,
        "resume": target.resume_daemon,
    }
    click.echo(str(asyncio.run(actions[action]())))


@lab.command("disk")
@name_option
@click.argument("host")
@click.argument("action", type=click.Choice(["fill", "free", "fail"]))
def disk_(name: str, host: str, action: str) -> None:
    """Fill or free a host's own disk, or let it fail: all is read-only until the next start."""
    target = LabDriver.open(name).host(host)
    actions = {"fill": disk.fill, "free": disk.free, "fail": disk.fail}
    asyncio.run(actions[action](target.paths))
    click.echo(host)


@lab.command("down")
@name_option
def down(name: str) -> None:
    """Remove every trace of a lab, also of one that a crash left half-made."""
    driver = LabDriver.open(name)
    asyncio.run(driver.down())
    for host in driver.hosts():
        contexts.remove(f"{name}/{host.name}")
    click.echo(name)


def _each(name: str, hosts: tuple[str, ...], verb: Callable[[LabHost], Any]) -> None:
    """Do one thing to several hosts at once; print the names of those it was done to."""
    driver = LabDriver.open(name)
    names = list(dict.fromkeys(hosts))
    targets = [driver.host(host) for host in names]
    asyncio.run(all_of(verb(target) for target in targets))
    for host in names:
        click.echo(host)


async def _rows() -> list[dict[str, str]]:
    rows = []
    for name in labs():
        if (driver := _found(name)) is None:
            continue
        whole = await driver.links()
        hosts = driver.hosts()
        looks = await asyncio.gather(*map(_look, hosts))
        for host, look in zip(hosts, looks, strict=True):
            link = {True: "up", False: "cut", None: "-"}[whole.get(host.name)]
            rows.append({"Lab": name, "Host": host.name, "Link": link, **look})
    return rows


def _found(name: str) -> LabDriver | None:
    """The lab of that name; None if somebody has taken it down since labs were listed."""
    try:
        return LabDriver.open(name)
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None


async def _look(host: LabHost) -> dict[str, str]:
    state = await host.state()
    daemon = await _daemon(host) if state is State.RUNNING else "-"
    role = await form.role(host) if daemon == "up" and host.name != naming.REGISTRY else "-"
    return {"Address": host.address, "State": state.value, "Daemon": daemon, "Role": role}


async def _daemon(host: LabHost) -> str:
    try:
        return str(await host.daemon())
    except SwarmError:  # it went down since its state was asked
        return "unknown"
