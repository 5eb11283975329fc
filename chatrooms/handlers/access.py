"""Which hosts are served, which origins may call, and who the peer really is (section 9)."""

from __future__ import annotations

import ipaddress
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

Headers = Sequence[tuple[str, str]]


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
        """Raises Forbidden for a Host that is not served: a page that rebinds its DNS name sends its own."""
        if self._hosts is not None and hostname(request.host) not in self._hosts:
            raise Forbidden("bad-host", "This Host is not served here.")

    def check_same_origin(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden unless the page that asks is one of ours."""
        origin = request.headers.get("Origin", "")
        if origin != f"{self.scheme(request)}://{request.host}":
            raise Forbidden("bad-origin", "A write with the cookie needs a same-origin Origin.")

    def check_origin(self, request: HTTPServerRequest) -> None:
        """Raises Forbidden for a page that is neither ours nor allowed: a browser sends its writes for anybody."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._allowed(origin):
            self.check_same_origin(request)

    def cors_headers(self, request: HTTPServerRequest) -> Headers:
        """The headers that let the asking page read the answer; none for a foreign origin."""
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
        """The client's address: the peer's, or what trusted proxies say it is."""
        address = request.remote_ip or ""
        if not self._proxies:
            return address
        hops = [hop.strip() for hop in ",".join(request.headers.get_list("X-Forwarded-For")).split(",")]
        while hops and self._trusted(address):
            hop = hops.pop()
            if not _is_address(hop):
                break
            address = hop
        return address

    def scheme(self, request: HTTPServerRequest) -> str:
        """`http` or `https`, as the client sees it."""
        if self._trusted(request.remote_ip or ""):
            forwarded = request.headers.get("X-Forwarded-Proto", request.protocol)
            return forwarded if forwarded in ("http", "https") else request.protocol
        return request.protocol

    def local(self, request: HTTPServerRequest) -> bool:
        """Whether the request comes from this machine itself and not through a proxy."""
        forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"))
        return not forwarded and _is_loopback(request.remote_ip or "")

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

    def _trusted(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in proxy for proxy in self._proxies)


def hostname(host: str) -> str:
    """The name in a Host header or an origin, lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback
