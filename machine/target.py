"""How a host is reached over SSH: what the operator said, and nothing that was found out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One host's SSH server. `~/.ssh/config` adds what is not said here."""

    host: str  # name, address or alias of ~/.ssh/config
    user: str = ""  # "": from ~/.ssh/config, else root
    port: int = 0  # 0: from ~/.ssh/config, else 22
    key: str = ""  # file of the private key; relative: to the machine's folder; "": agent, defaults
    jump: tuple[str, ...] = ()  # [user@]host[:port], the first hop first
    agent: bool = True  # whether keys of the agent may be offered
    host_key: str = ""  # fingerprint "SHA256:..." that is expected; "": pinned at first use
