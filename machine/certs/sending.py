"""Puts the files of a host's API on the host. Its daemon reads them by itself: nothing restarts."""

from collections.abc import Sequence

from machine.certs.host_papers import HostFile
from machine.remote import Remote


async def send(remote: Remote, papers: Sequence[HostFile]) -> bool:
    """Writes those that differ; whether there were any. In their order.

    Half of them do no harm: the daemon goes on with what it had until all of them fit together.
    """
    changed = False
    for each in papers:
        if await remote.read(each.path) != each.content:
            await remote.write(each.path, each.content, mode=each.mode)
            changed = True
    return changed
