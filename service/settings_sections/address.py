"""Where the service listens, and what keeps others from listening in."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from embedding.errors import SettingsInvalid
from service.settings_sections.section import Section
from service.transport import networks_of


class AddressSettings(Section):
    """Address, TLS files and proxies in front."""

    host: Annotated[
        str,
        Field(
            description="Address to listen on. One that is not loopback needs TLS files, "
            "`trusted_proxies` or `insecure_listen`."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")] = 8321
    tls_certificate: Annotated[
        Path | None, Field(description="PEM file with the certificate chain; HTTPS is served.")
    ] = None
    tls_key: Annotated[
        Path | None, Field(description="PEM file with the private key of the certificate.")
    ] = None
    insecure_listen: Annotated[
        bool,
        Field(
            description="Says that a proxy in front terminates TLS, so that plain HTTP may be "
            "served on an address that is not loopback."
        ),
    ] = False
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="Addresses and networks of the proxies in front that terminate TLS, "
            "commas between; plain HTTP is then answered to these and this machine alone."
        ),
    ] = None

    @property
    def scheme(self) -> str:
        """``https`` when TLS files are given, else ``http``."""
        return "https" if self.tls_certificate else "http"


def check_address(settings: AddressSettings) -> None:
    """Returns when keys and photos cross no network in clear, as far as settings can tell.

    Raises:
        SettingsInvalid: they would; or TLS files are not there, or not both.
    """
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsInvalid("tls_certificate and tls_key are given together or not at all")
    for path in (settings.tls_certificate, settings.tls_key):
        if path is not None and not path.is_file():
            raise SettingsInvalid(f"there is no file {path}; expected a PEM file for TLS")
    proxies = networks_of(settings.trusted_proxies)
    is_safe = is_loopback(settings.host) or settings.tls_certificate or proxies
    if not (is_safe or settings.insecure_listen):
        raise SettingsInvalid(
            f"{settings.host} is not a loopback address: keys and photos would cross the network "
            "in clear. Give tls_certificate and tls_key, list the proxies in front that terminate "
            "TLS in trusted_proxies, or set insecure_listen when nobody but these reaches the port"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
