"""The unix socket that the operators of a host speak to: where it is, and who may use it."""

import grp
import logging
import os
from pathlib import Path

import grpc

from api.channel import socket_target
from api.errors import Code, SwarmError

logger = logging.getLogger(__name__)

GROUP = "swarm"


def add_socket(server: grpc.aio.Server, path: Path) -> None:
    """Binds the server to `path`, for root and the group; UNAVAILABLE if that fails.

    Sets the umask meanwhile: no other thread may make files.
    """
    target = socket_target(path)
    path.unlink(missing_ok=True)  # left behind by a daemon that was killed: the folder is ours
    # The socket is made closed to all, and opened to its group once that is set.
    before = os.umask(0o177)
    try:
        server.add_insecure_port(target)
    except RuntimeError as error:
        raise SwarmError(Code.UNAVAILABLE, f"cannot listen on {path}", why=str(error)) from error
    finally:
        os.umask(before)
    try:
        os.chown(path, 0, grp.getgrnam(GROUP).gr_gid)
    except KeyError:
        logger.info("there is no group %s: only root may use the socket", GROUP)
    path.chmod(0o660)
