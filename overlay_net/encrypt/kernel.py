"""WireGuard by the kernel. A thin shell over the messages of `messages`."""

import errno

from hostkit.netlink import GENERIC, Netlink, is_missing
from overlay_net.encrypt import messages
from overlay_net.encrypt.driver import Change, Configured
from overlay_net.fabric import links


class KernelWireguard:
    """Driver of the device of this name, in the namespace of `host`, which stays the caller's."""

    title = "the kernel's WireGuard"
    is_slow = False

    def __init__(self, device: str, host: Netlink, path: str) -> None:
        self._device = device
        self._host = host
        self._path = path

    def read(self) -> Configured | None:
        """See Driver."""
        try:
            link = links.read_link(self._host.get(links.ask_link(self._device)))
            if link.kind != messages.FAMILY:
                return None
            with Netlink.inside(self._path, GENERIC) as generic:
                question = messages.ask_device(_family(generic), self._device)
                return messages.read_device(generic.dump(question))
        except OSError:
            return None

    def make(self) -> None:
        """See Driver."""
        self._host.ask(messages.make_device(self._device))

    def clear(self) -> None:
        """See Driver. Nothing is."""

    def configure(self, change: Change) -> None:
        """See Driver."""
        with Netlink.inside(self._path, GENERIC) as generic:
            generic.ask(*messages.change(_family(generic), self._device, change))


def is_there(host: Netlink, device: str) -> bool:
    """Whether this kernel has WireGuard: that is known once a device is made, under this name."""
    try:
        host.ask(messages.make_device(device))
    except OSError as error:
        return error.errno == errno.EEXIST
    delete(host, device)
    return True


def _family(generic: Netlink) -> int:
    return messages.read_family(generic.get(messages.ask_family()))


def delete(host: Netlink, device: str) -> None:
    """Deletes a device of any kind; no error if there is none."""
    try:
        host.ask(links.delete_link(links.read_index(host.get(links.ask_link(device)))))
    except OSError as error:
        if not is_missing(error):
            raise
