"""By what a plugin on another host is verified, and what it sees of us."""

import ssl
from collections.abc import Callable

from runtime.volume.plugin import faults
from runtime.volume.plugin.address import Address


def context(name: str, address: Address) -> ssl.SSLContext:
    """For the plugin of that name. UNAVAILABLE if a file of its TLSConfig cannot be used.

    Blocking: it reads files.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = address.tls
    if tls is None:
        return made

    def read(file: str, load: Callable[[], None]) -> None:
        try:
            load()
        except OSError as error:  # also what OpenSSL thinks of its content
            raise faults.bad_tls_file(name, file, str(address.told_by), error) from error

    if tls.ca_file:
        read(tls.ca_file, lambda: made.load_verify_locations(tls.ca_file))
    else:
        made.load_default_certs()
    if tls.certificate_file:
        files = (tls.certificate_file, tls.key_file)
        read(" with ".join(files), lambda: made.load_cert_chain(*files))
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
