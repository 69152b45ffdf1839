"""When the certificates of machines are renewed, and when people are warned. Pure."""

from api.certificates import load_certificate
from machine.certs.authority import expiry_of

DAY = 86400.0
WARNED = 30 * DAY
"""Seconds before its end from which on a certificate is told of by `machine ls`."""
_LEFT = 1 / 3
"""Part of its life that a certificate has left when it is replaced at the next occasion."""


def is_due(certificate_pem: bytes, now: float) -> bool:
    """Whether to replace it at this occasion; the one before stays good until its own end."""
    start = load_certificate(certificate_pem).not_valid_before_utc.timestamp()
    end = expiry_of(certificate_pem)
    return end - now < (end - start) * _LEFT


def warning(certificate_pem: bytes, now: float) -> str:
    """What to say of a certificate that ends soon, or has ended; empty if it is good for long."""
    left = expiry_of(certificate_pem) - now
    if left <= 0:
        return "certificate expired"
    return f"certificate expires in {int(left / DAY)} days" if left < WARNED else ""
