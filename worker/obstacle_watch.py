"""Keeps an eye on what other programs of the host do that is in the way of networks.

Rules of others are read only when somebody changed rules since, or when more is needed than before.
Nothing is changed here but when an operator asked for it: once, or for good by a setting.
"""

import dataclasses
import logging
from pathlib import Path

from api.errors import SwarmError
from api.v1 import check_pb2
from overlay_net.nft import Nft
from overlay_net.obstacles import letting
from overlay_net.obstacles.findings import Need, findings
from overlay_net.obstacles.firewalls import Finding
from overlay_net.obstacles.look import look

log = logging.getLogger(__name__)

_CONTROL, _IDENTITY = ("tcp", 2377), ("tcp", 2378)
"""A host that listens at both is a manager; Docker has the first alone."""


class ObstacleWatch:
    """Of the host whose network namespace is file `host`. Blocks; one call at a time.

    `opens`: what is forwarded for networks is let pass whenever it is found to be dropped.
    """

    def __init__(self, nft: Nft, host: str, *, opens: bool = False) -> None:
        self._opens = opens
        self._nft = nft
        self._host = Path(host)
        self._looked: tuple[int, Need] | None = None
        self.found: list[Finding] = []
        """As of the last look."""

    def look(self, need: Need, *, always: bool = False) -> list[Finding]:
        """What is in the way of `need`; what is new is named in the log. `always`: read all anew,
        as sockets and devices may have come without a change of rules.
        """
        looked = self._nft.generation(self._host), need
        if looked == self._looked and not always:
            return self.found
        host = look(self._host, self._nft)
        listening = {(socket.protocol, socket.port) for socket in host.sockets}
        if {_CONTROL, _IDENTITY} <= listening:
            need = dataclasses.replace(need, reached=(*need.reached, _CONTROL, _IDENTITY))
        before, self.found = self.found, findings(host, need)
        self._looked = looked
        for each in self.found:
            if each not in before:
                log.warning("%s: %s; %s: %s", each.what, each.why, each.remedy, each.command)
        return self.found

    def tend(self, need: Need) -> None:
        """Looks, and opens what may be opened without being asked: never a door of the host, which
        its operator may have shut for all but some.
        """
        for each in self.look(need):
            if self._opens and each.mends and not each.incoming:
                fix = self._fixed(each, need)
                log.warning("%s: %s", fix.command, fix.error or fix.after)

    def let_pass(self, need: Need) -> list[check_pb2.NetworkFix]:
        """Runs the commands by which other firewalls let networks pass; what became of each."""
        return [self._fixed(each, need) for each in self.look(need, always=True) if each.mends]

    def _fixed(self, each: Finding, need: Need) -> check_pb2.NetworkFix:
        fix = check_pb2.NetworkFix(what=each.what, command=each.command, before=each.why)
        try:
            letting.run(each.command)
            left = next((o for o in self.look(need, always=True) if o.what == each.what), None)
            fix.after = left.why if left else self._passes(each)
        except SwarmError as error:
            fix.error = str(error)
        return fix

    def _passes(self, each: Finding) -> str:
        if each.lasts or (self._opens and not each.incoming):
            return "it passes"
        return "it passes until the next reboot, unless you save the rule"
