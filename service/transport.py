"""Plain HTTP on an open address: answered to the proxies that terminate TLS, to nobody else."""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from embedding.errors import HttpsRequired, SettingsInvalid
from service.errors import problem_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(given: str | None) -> list[Network]:
    """The addresses of a setting, commas between; none where it is unset.

    Raises:
        SettingsInvalid: one is no address or network, or the network is everybody.
    """
    networks: list[Network] = []
    for each in (given or "").split(","):
        if not each.strip():
            continue
        try:
            network = ipaddress.ip_network(each.strip())
        except ValueError as error:
            raise SettingsInvalid(
                "trusted_proxies holds addresses such as 10.0.0.2 and networks such as "
                "10.0.0.0/28 or fd00::/64, commas between"
            ) from error
        if network.prefixlen == 0:
            raise SettingsInvalid("trusted_proxies may not name everybody: list your proxies")
        networks.append(network)
    return networks


class OnlyFromProxies:
    """Refuses plain HTTP that no listed proxy passed on; what one says of TLS is believed.

    This machine's own requests pass, too: they cross no network.
    """

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, or answers that HTTPS is needed."""
        if scope["type"] != "http" or scope["scheme"] == "https":
            await self._app(scope, receive, send)
            return
        peer = _address(scope)
        is_proxy = peer is not None and any(peer in each for each in self._proxies)
        # All of them: a proxy that adds its own line leaves the caller's in place, before it.
        said = set(Headers(scope=scope).getlist("x-forwarded-proto") if is_proxy else ())
        is_local = peer is not None and peer.is_loopback
        if not (is_proxy or is_local) or said - {"https"}:
            error = HttpsRequired(
                "this came over plain HTTP, in which anybody on the way reads keys and photos; "
                "use the HTTPS address, and make a new key if you sent one"
            )
            await problem_of(error)(scope, receive, send)
            return
        if said:
            # In place: whoever sets the answer's headers asks this scope.
            scope["scheme"] = "https"
        await self._app(scope, receive, send)


def _address(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Who is connected; None where that is no address."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return None
    # On a socket for both kinds, IPv4 comes in IPv6's clothes.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
