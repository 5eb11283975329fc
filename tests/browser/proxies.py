"""nginx before a server, in the ways in which browsers meet it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.process import free_port
from tests.helpers.certificate import self_signed
from tests.helpers.chat import eventually

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")

_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream chatrooms {{ server 127.0.0.1:{upstream}; }}
    server {{
        listen 127.0.0.1:{port}{listen};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
        {more}
    }}
}}
"""

_HELD = """
proxy_ignore_headers X-Accel-Buffering;
proxy_buffers 8 64k;
proxy_buffer_size 64k;
"""

DEFAULT = ""
HOLDS_GET = """
    location = /events {
        if ($request_method = GET) { rewrite ^ /held/events last; }
        proxy_pass http://127.0.0.1:UPSTREAM;
    }
    location /held/ {
        internal;
        rewrite ^/held(.*)$ $1 break;
        proxy_pass http://127.0.0.1:UPSTREAM;
        HELD
    }
""".replace("HELD\n", _HELD)
HOLDS_ALL = _HELD


@asynccontextmanager
async def nginx(upstream: int, folder: Path, more: str = DEFAULT, *, http2: bool = False) -> AsyncIterator[str]:
    """The URL of an nginx that passes requests to a port of this machine; with `http2`, over TLS."""
    folder.mkdir()
    port = free_port()
    listen = ""
    if http2:
        listen = " ssl http2"
        cert, key = await asyncio.to_thread(self_signed, folder)
        more += f"ssl_certificate {cert}; ssl_certificate_key {key};"
    config = folder / "nginx.conf"
    more = more.replace("UPSTREAM", str(upstream))
    config.write_text(_CONFIG.format(folder=folder, port=port, listen=listen, upstream=upstream, more=more))
    process = await asyncio.create_subprocess_exec(str(NGINX), "-p", folder, "-c", config, "-e", folder / "error.log")
    try:
        await eventually(lambda: _listens(port))
        yield f"{'https' if http2 else 'http'}://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
