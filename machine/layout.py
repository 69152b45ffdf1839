"""Where things are on a host that was installed by us."""

ROOT = "/opt/swarm"
"""A folder for each version, and a link to the one that runs."""
CURRENT = f"{ROOT}/current"
INCOMING = f"{ROOT}/.incoming"
CONFIG = "/etc/swarm"
SETTINGS = f"{CONFIG}/swarmd.toml"
UNIT = "/etc/systemd/system/swarmd.service"
COMMAND = "/usr/local/bin/swarmctl"
STATE = "/var/lib/swarm"
GROUP = "swarm"
SERVICE = "swarmd"
NETWORKD = "/etc/systemd/networkd.conf.d"
FOLDERS = (ROOT, CONFIG, f"{CONFIG}/api", STATE, NETWORKD)
"""Those that were not there before us go with us."""


def version_folder(version: str) -> str:
    """Where a version lies."""
    return f"{ROOT}/{version}"


def stamp(version: str) -> str:
    """The file that says that a version is whole; in it the Python that it was made for."""
    return f"{version_folder(version)}/.complete"


def kept(version: str) -> str:
    """The folder of the settings and the unit that a version ran with last."""
    return f"{version_folder(version)}/.kept"
