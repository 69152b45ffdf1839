"""Sessions one after another: a lost one is followed by one with whichever manager answers."""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

import grpc

from api.errors import SwarmError
from worker.backoff import Backoff, Chance
from worker.managers import ManagerAddress, Managers
from worker.session import LeaderElsewhere, ReopenSession, Session, Timing, Work

log = logging.getLogger(__name__)

MOST_PASSED_ON = 3
"""Managers in a row that may name another as the leader before the agent waits a moment."""
Connect = Callable[[str], grpc.aio.Channel]
"""A new channel to a manager's address, with the node's present credentials. Does not wait."""


class Connection:
    """Keeps a session open for as long as it runs."""

    def __init__(
        self, managers: Managers, work: Work, connect: Connect, chance: Chance, timing: Timing
    ) -> None:
        self._managers = managers
        self._work = work
        self._connect = connect
        self._chance = chance
        self._timing = timing
        self._backoff = Backoff(chance)
        self._reopen = asyncio.Event()
        self._passed_on = 0
        self._session: Session | None = None
        self._trouble: SwarmError | None = None

    @property
    def trouble(self) -> SwarmError | None:
        """Why there is no session; None while there is one, or none was tried for yet."""
        has_session = self._session is not None and self._session.registered
        return None if has_session else self._trouble

    def reopen(self) -> None:
        """Wants a new session, as after a renewal of the node's certificate."""
        self._reopen.set()

    async def run(self) -> NoReturn:
        """Opens sessions until it is cancelled."""
        while True:
            manager = self._managers.choose(self._chance)
            if manager is None:
                log.error("this node knows of no manager: it goes on with the tasks that it has")
                await asyncio.sleep(self._backoff.next())
            elif not await self._one_session(manager):
                await asyncio.sleep(self._backoff.next())

    async def _one_session(self, manager: ManagerAddress) -> bool:
        """Holds one session to its end; whether the next may follow at once."""
        self._reopen.clear()  # what was wished until now, the channel and the description have
        channel = self._connect(manager.address)
        session = Session(
            channel, self._work, timing=self._timing, chance=self._chance, reopen=self._reopen
        )
        self._session = session
        try:
            await session.run()
        except ReopenSession:
            return True
        except LeaderElsewhere as elsewhere:
            return self._pass_on(elsewhere.address)
        except SwarmError as error:
            self._trouble = error
            log.warning("no session with the manager at %s: %s", manager.address, error)
            if error.remedy:  # its own words: it lives, and may lead soon
                self._managers.answered(manager.address)
                return False
        except Exception:  # the boundary of the session: tasks go on, and a new one is tried
            log.exception("the session with the manager at %s broke down", manager.address)
        finally:
            self._session = None
            await channel.close()
            if session.registered:
                self._backoff.reset()
                self._passed_on = 0
                self._managers.succeeded(manager.address)
        self._managers.failed(manager.address)
        return False

    def _pass_on(self, leader: str) -> bool:
        """Goes to the leader that was named; at once, unless they name each other in a circle."""
        self._managers.name_leader(leader)
        self._passed_on += 1
        return self._passed_on % MOST_PASSED_ON != 0
