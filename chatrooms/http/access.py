"""Which hosts are served, which origins may call, and who the peer really is (section 9)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from chatrooms.errors import Forbidden
from chatrooms.options import Options

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
PREFLIGHT_AGE = "600"  # seconds that a browser may remember a preflight
METHODS = "GET, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = "Authorization, Content-Type, Last-Event-ID, X-Client-Version"
EXPOSED_HEADERS = "X-Message-Id, Retry-After"

OWN_BITS = 64  # leading bits of an IPv6 address that name a customer's network; the rest is the customer's (RFC 6177)

_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[\d.]+))(?::\d+)?\Z")

Headers = Sequence[tuple[str, str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Access:
    """The rules about hosts, origins and proxies of one server."""

    def __init__(self, options: Options) -> None:
        self._development = options.development
        self._hosts: Sequence[str] | None = options.allowed_hosts
        if self._hosts is None and options.development:
            self._hosts = LOOPBACK_HOSTS
        self._origins: Sequence[str] | None = options.allowed_origins
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in options.trusted_proxies]

    def check_host(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden for a Host that is not served here, such as that of a DNS-rebinding page."""
        if self._hosts is not None and hostname(request.host) not in self._hosts:
            raise Forbidden("bad-host", "This Host is not served here.")

    def check_same_origin(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden unless the request comes from one of our pages."""
        if request.headers.get("Origin", "") != self._origin(request):
            raise Forbidden("bad-origin", "A write with the cookie needs a same-origin Origin header.")

    def check_origin(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden for a page that is neither ours nor allowed: browsers send writes for any page."""
        if not (self.ours(request) or self._allowed(request.headers.get("Origin", ""))):
            raise Forbidden("bad-origin", "Pages of this origin may not use this server.")

    def check_link(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden for a cross-site request, unless from an allowed origin: even a link sends the cookie."""
        foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
        if foreign and not self._allowed(request.headers.get("Origin", "")):
            raise Forbidden("bad-origin", "Another site may not make this request for you: open the page itself.")

    def ours(self, request: HTTPServerRequest) -> bool:
        """Whether the request comes from one of our pages, or from a program rather than a page.

        Pages cannot set Sec-Fetch-Site, and browsers send it over secure connections. Unlike Origin, it can
        be trusted behind a proxy that changes the scheme or the Host.
        """
        site = request.headers.get("Sec-Fetch-Site", "none")
        origin = request.headers.get("Origin")
        return site == "same-origin" or (site == "none" and origin in (None, self._origin(request)))

    def cors_headers(self, request: HTTPServerRequest) -> Headers:
        """The headers that let the calling page read the response; none for a foreign origin."""
        origin = request.headers.get("Origin")
        if origin is None or not self._allowed(origin):
            return ()
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", EXPOSED_HEADERS),
            ("Vary", "Origin"),
        )

    def preflight_headers(self, request: HTTPServerRequest) -> Headers:
        if not self.cors_headers(request):
            return ()
        return (
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", PREFLIGHT_AGE),
        )

    def address(self, request: HTTPServerRequest) -> str:
        """The key a client is counted under in limits: its IPv4 address or its IPv6 network.

        It is the peer's address or, behind trusted proxies, the right-most hop that is not one of them. If
        that hop is not an address, the proxy that passed it on counts.
        """
        client = parsed(request.remote_ip or "")
        hops = ",".join(request.headers.get_list("X-Forwarded-For")).split(",") if self._proxies else []
        while hops and self._trusted(client):
            hop = parsed(hops.pop())
            if hop is None:
                break
            client = hop
        return counted(client) if client else request.remote_ip or ""

    def scheme(self, request: HTTPServerRequest) -> str:
        """`http` or `https`, as the client sees it."""
        if self._trusted(parsed(request.remote_ip or "")):
            forwarded = request.headers.get("X-Forwarded-Proto", request.protocol)
            return forwarded if forwarded in ("http", "https") else request.protocol
        return request.protocol

    def local(self, request: HTTPServerRequest) -> bool:
        """Whether the request comes from this machine itself, not through a proxy."""
        forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"))
        peer = parsed(request.remote_ip or "")
        return not forwarded and peer is not None and peer.is_loopback

    def _origin(self, request: HTTPServerRequest) -> str:
        return f"{self.scheme(request)}://{request.host}"

    def _allowed(self, origin: str) -> bool:
        if self._origins is not None:
            return origin in self._origins
        if not self._development:
            return False
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        plain = origin == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
        return plain and parts.scheme in ("http", "https") and hostname(parts.netloc) in LOOPBACK_HOSTS

    def _trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in proxy for proxy in self._proxies)


def counted(address: Address) -> str:
    """The key an address is counted under in limits: itself, or its IPv6 network."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, OWN_BITS), strict=False))
    return str(address)


def hostname(host: str) -> str:
    """The lower-case name in a Host header or an origin, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def parsed(text: str) -> Address | None:
    """The address of a hop: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; None if it is not one.

    An IPv4-mapped address, `::ffff:1.2.3.4`, as IPv6 sockets show IPv4 peers, becomes the IPv4 one.
    """
    bare = _WITH_PORT.sub(lambda found: found["six"] or found["four"], text.strip().strip('"'))
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
