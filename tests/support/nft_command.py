"""Runs nftables commands in a namespace by Debian's own `nft`."""

import subprocess
from pathlib import Path

from api.errors import Code, SwarmError
from overlay_net.dns.redirect import ruleset


class NftCommand:
    """For code that is to be given something that sets rules."""

    def lead(self, target: Path, udp: int, tcp: int) -> None:
        """See overlay_net.dns.redirect."""
        self.run(target, ruleset(udp, tcp))

    def run(self, target: Path, text: str) -> None:
        done = subprocess.run(
            ["nsenter", f"--net={target}", "nft", "-f", "-"],
            input=text,
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        if done.returncode:
            raise SwarmError(Code.INTERNAL, "nft refused", why=done.stderr.strip())
