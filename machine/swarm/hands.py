"""Carries single actions out, through the ways to the hosts. Every one may be repeated.

Join tokens are in memory only, and reach hosts by standard input.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from api.errors import Code, SwarmError
from machine.layout import CURRENT
from machine.provisioning import DETAIL, Provisioner, Tell
from machine.remote import Remote
from machine.swarm import answers
from machine.swarm.actions import (
    Action,
    Adjust,
    AwaitQuorum,
    AwaitReady,
    Drain,
    Init,
    Install,
    Join,
    Leave,
    Prepare,
    Remove,
    Restore,
    Revert,
    Run,
    SetOptions,
    SetRole,
    Uninstall,
)
from machine.swarm.command import Swarmctl
from machine.swarm.look import INFO, Installs, swarmctl_of
from machine.swarm.managers import Managers
from machine.swarm.options import OPTIONS
from machine.swarm.seen import FORMER, HostSeen, NodeSeen, Seen, Standing
from machine.swarm.waits import Patience, Waits
from machine.swarm.wanted import Availability, HostWanted, Role, SwarmWanted

_JOINING = 300.0
_LEAVING = 300.0
_HOOK = 300.0
_TOLD = 300
"""Characters of what a hook said last."""


class RemoteHands:
    """Of one run. `remotes`: ways to the hosts that were reached; `installs`: what they get."""

    def __init__(
        self,
        wanted: SwarmWanted,
        seen: Seen,
        remotes: Mapping[str, Remote],
        provisioner: Provisioner,
        installs: Installs,
        *,
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self._wanted = wanted
        self._seen = seen
        self._remotes = remotes
        self._provisioner = provisioner
        self._installs = installs
        self._ctls = {n: swarmctl_of(wanted.hosts[n], each) for n, each in remotes.items()}
        found = [name for name, host in seen.hosts.items() if host.is_manager and name in remotes]
        self.managers = Managers(self._ctls, found)
        """Whom anything about the swarm is asked."""
        self._waited: dict[str, frozenset[str]] = {}
        self._waits = Waits(self.managers, patience, clock)

    async def leader(self) -> str:
        """See Hands. A manager that does not answer for itself leads nobody."""
        leaders = [each.id for each in (await self.managers.nodes()).values() if each.leads]
        for name, ctl in self.managers.each() if leaders else ():
            with contextlib.suppress(SwarmError):
                if (await _info(ctl)).node_id in leaders:
                    return name
        return ""

    async def do(self, action: Action, tell: Tell) -> None:
        """See Hands."""
        await _DOING[type(action)](self, action, tell)

    async def _install(self, action: Install, tell: Tell) -> None:
        """What waits on a node before an upgrade, as in a crash loop, is no reason to go back."""
        host, node = self._wanted.hosts[action.host], self._seen.node_of(action.host)
        if action.version and node is not None:
            waiting = await self._waits.waiting(action.host, node.id)
            self._waited[action.host] = frozenset(name for name, _ in waiting)
        wanted = self._installs(host, self._seen.hosts[action.host].version)
        if wanted is not None:
            await self._provisioner.apply(self._remotes[action.host], wanted, tell)

    async def _prepare(self, action: Prepare, tell: Tell) -> None:
        host = self._wanted.hosts[action.host]
        wanted = self._installs(host, self._seen.hosts[action.host].version)
        if wanted is not None:
            await self._provisioner.prepare(self._remotes[action.host], wanted, tell)

    async def _revert(self, action: Revert, tell: Tell) -> None:
        """What failed before it was switched to is not gone back from: that would be too far."""
        remote = self._remotes[action.host]
        present = await remote.run(("readlink", CURRENT), timeout=30.0)
        if present.text.rpartition("/")[2] != action.version:
            await self._provisioner.roll_back(remote, tell)

    async def _hook(self, action: Run, tell: Tell) -> None:
        argv = ("sh", "-c", action.command)
        remote = self._remotes[action.host]
        done = await remote.run(argv, timeout=_HOOK, tell=lambda line: tell(f"{DETAIL}{line}"))
        if done.code != 0:
            said = (done.err.strip() or done.out.strip()).decode(errors="replace").splitlines()
            raise SwarmError(
                Code.REFUSED,
                f"a hook of {action.host} failed: {action.text.removeprefix('run ')}",
                why=": ".join((f"exit status {done.code}", " | ".join(said[-3:])[-_TOLD:])),
                remedy=_remedy(action),
            )

    async def _uninstall(self, action: Uninstall, tell: Tell) -> None:
        await self._provisioner.remove(self._remotes[action.host], tell)

    async def _init(self, action: Init, tell: Tell) -> None:
        ctl, host = self._ctls[action.host], self._wanted.hosts[action.host]
        if (await _info(ctl)).standing is Standing.NONE:
            options = self._wanted.options.items()
            flags = [word for name, value in options for word in OPTIONS[name].words(value)]
            words = (*_addresses(host), "--availability", action.availability.value, *flags)
            await ctl.call("swarm", "init", "--quiet", *words, timeout=_JOINING)
        self.managers.add(action.host)

    async def _join(self, action: Join, tell: Tell) -> None:
        ctl, host = self._ctls[action.host], self._wanted.hosts[action.host]
        found = await _info(ctl)
        if found.standing is Standing.NONE:
            role, availability = action.role.value, action.availability.value
            token = await self.managers.call("swarm", "join-token", "-q", role, but=host.name)
            info = await self.managers.call(*INFO, but=host.name)
            flags = (*_addresses(host), "--availability", availability, "--token-file", "-")
            words = ("swarm", "join", *flags, *answers.managers_of(info))
            await ctl.call(*words, stdin=f"{token}\n".encode(), timeout=_JOINING)
        else:
            await self._stayed(host, found, action.role, tell)
        if action.role is Role.MANAGER:
            self.managers.add(action.host)

    async def _stayed(self, host: HostWanted, found: HostSeen, role: Role, tell: Tell) -> None:
        """A host that turned out to be a node already, once its daemon ran."""
        cluster, _ = answers.cluster_of(await self.managers.call("swarm", "inspect", but=host.name))
        node = (await self.managers.nodes(host.name)).get(found.node_id)
        if found.cluster_id != cluster or node is None:
            raise SwarmError(
                Code.REFUSED,
                f"{host.name} is in another swarm, or was removed from this one",
                remedy="do the same again, to see which",
            )
        if node.role is not role:
            await self._set_role(SetRole(host.name, role=role, node_id=node.id), tell)

    async def _set_role(self, action: SetRole, tell: Tell) -> None:
        host, key = action.host, await self._key(action)
        if action.role is Role.MANAGER:
            await self.managers.call("node", "promote", key, but=host)
            self.managers.add(host)
            return
        await self.managers.call("node", "demote", key, but=host)
        self.managers.drop(host)
        await self._waits.unseated(host, key, tell)

    async def _adjust(self, action: Adjust, tell: Tell) -> None:
        words = [w for k, v in sorted(action.labels.items()) for w in ("--label-add", f"{k}={v}")]
        words += [word for key in action.dropped for word in ("--label-rm", key)]
        await self._update(await self._key(action), action.host, action.availability, words)

    async def _set_options(self, action: SetOptions, tell: Tell) -> None:
        words = [word for option, value in action.options for word in option.words(value)]
        await self.managers.call("swarm", "update", *words)

    async def _drain(self, action: Drain, tell: Tell) -> None:
        node = await self._node(action)
        words: list[str] = []
        if action.is_passing and FORMER not in node.labels:
            words = ["--label-add", f"{FORMER}={node.availability.value}"]
        if words or node.availability is not Availability.DRAIN:
            await self._update(node.id, action.host, Availability.DRAIN, words)
        await self._waits.empty(action.host, node.id, tell)

    async def _restore(self, action: Restore, tell: Tell) -> None:
        node = await self._node(action)
        former = node.labels.get(FORMER, node.availability.value)
        words = ["--label-rm", FORMER] if FORMER in node.labels else []
        known = former in {each.value for each in Availability}
        before = Availability(former) if known else Availability.ACTIVE
        await self._update(node.id, action.host, action.availability or before, words)

    async def _remove(self, action: Remove, tell: Tell) -> None:
        key = await self._key(action)
        if key in await self.managers.nodes(action.host):
            await self.managers.call("node", "rm", "--force", key, but=action.host)
        self.managers.drop(action.host)

    async def _leave(self, action: Leave, tell: Tell) -> None:
        ctl = self._ctls[action.host]
        if (await _info(ctl)).standing is not Standing.NONE:
            await ctl.call("swarm", "leave", "--force", timeout=_LEAVING)

    async def _await_quorum(self, action: AwaitQuorum, tell: Tell) -> None:
        key = await self._key(action)
        await self._waits.quorum(action.host, key, goes=action.goes, tell=tell)

    async def _await_ready(self, action: AwaitReady, tell: Tell) -> None:
        host, ctl = action.host, self._ctls[action.host]
        role = self._wanted.hosts[host].role
        key = action.node_id or await self._waits.node_id(host, ctl, tell)
        waited = self._waited.get(host, frozenset())
        await self._waits.ready(host, key, ctl, role, action.version, tell, but=waited)

    async def _update(
        self, key: str, host: str, availability: Availability | None, words: list[str]
    ) -> None:
        flags = ["--availability", availability.value] if availability else []
        if flags or words:
            await self.managers.call("node", "update", *flags, *words, key, but=host)

    async def _node(self, action: Action) -> NodeSeen:
        key = await self._key(action)
        node = (await self.managers.nodes(action.host)).get(key)
        if node is None:
            raise SwarmError(Code.NOT_FOUND, f"the managers do not know the node of {action.host}")
        return node

    async def _key(self, action: Action) -> str:
        """The id of the node that is meant."""
        return action.node_id or (await _info(self._ctls[action.host])).node_id


def _remedy(hook: Run) -> str:
    """What is done already is not done again, and so are the hooks after it."""
    if not hook.is_after:
        return "mend the command in the cluster file, then do the same again"
    return (
        f"run it there by hand: swarmctl machine ssh {hook.host}, and mend it in the cluster file; "
        "the same again runs it only where something is left to do with the host"
    )


async def _info(ctl: Swarmctl) -> HostSeen:
    return answers.host_of(await ctl.call(*INFO))


def _addresses(host: HostWanted) -> list[str]:
    flags = (
        ("--advertise-addr", host.advertise),
        ("--listen-addr", host.listen),
        ("--data-path-addr", host.data_path),
    )
    return [word for flag, value in flags if value for word in (flag, value)]


_DOING: Mapping[type[Action], Callable[[RemoteHands, Any, Tell], Awaitable[None]]] = {
    Adjust: RemoteHands._adjust,
    AwaitQuorum: RemoteHands._await_quorum,
    AwaitReady: RemoteHands._await_ready,
    Drain: RemoteHands._drain,
    Init: RemoteHands._init,
    Install: RemoteHands._install,
    Join: RemoteHands._join,
    Leave: RemoteHands._leave,
    Prepare: RemoteHands._prepare,
    Remove: RemoteHands._remove,
    Restore: RemoteHands._restore,
    Revert: RemoteHands._revert,
    Run: RemoteHands._hook,
    SetOptions: RemoteHands._set_options,
    SetRole: RemoteHands._set_role,
    Uninstall: RemoteHands._uninstall,
}
