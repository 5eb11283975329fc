"""The servers compared: how to start each, and how to send it requests."""

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jwt

from benchmarks.load import BIN, HERE, Target, build
from benchmarks.process import CouldNotRun

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
EXPRESS = "express@5"
NCHAN_PACKAGES = ["nginx", "libnginx-mod-nchan"]
SECRET = secrets.token_hex(32)
TOKEN_SECONDS = 6 * 3600  # longer than any run of the whole suite

NGINX_CONFIGURATION = """\
load_module {module};
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections {files}; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    client_body_buffer_size 64k;   # or bodies of more than 16 KiB go through a file
    keepalive_requests 1000000;    # or a publisher is cut off after 1,000 messages
    keepalive_timeout 300s;
    nchan_shared_memory_size 256m; # must hold the message buffer of the longest run
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{
            nchan_publisher;
            nchan_channel_id $arg_roomId;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 5m;
        }}
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_roomId;
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 25;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """One server of the comparison; `command` gets the port and an empty folder of its own."""

    name: str
    label: str
    command: Callable[[int, Path], list[str]]
    target: Callable[[int], Target]
    prepare: Callable[[], None] = lambda: None
    version: Callable[[], str] = lambda: ""


def chatrooms_command(port: int, folder: Path) -> list[str]:
    """This project as in production: JWTs checked, SQLite with synchronous=FULL; only the limits are off."""
    return [
        sys.executable,
        str(HERE.parent / "run.py"),
        f"--port={port}",
        "--address=127.0.0.1",
        f"--data-dir={folder}",
        f"--secret={SECRET}",
        "--max-streams=0",
        "--max-streams-per-user=0",
        "--message-rate=0",
        "--log-level=warning",
    ]


def chatrooms_target(port: int) -> Target:
    """Each stream is a different member of the room; the token has no `username` claim, so it allows any name."""
    claims = {"userId": "load", "exp": int(time.time()) + TOKEN_SECONDS}
    token = jwt.encode(claims, SECRET, "HS256")
    return Target(
        port,
        get=f"/events?token={token}&roomId=r%r&username=u%i&clientId=c%i",
        post="/api/rooms/r%r/messages",
        batch_post="/api/rooms/r%r/messages/batch",
        post_header=f"Authorization: Bearer {token}",
    )


def peer_target(port: int) -> Target:
    """The same two paths for every peer."""
    return Target(port, get="/events?roomId=r%r", post="/publish?roomId=r%r")


def nginx_command(port: int, folder: Path) -> list[str]:
    """nginx with one worker, messages in memory, no checks."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(module=NCHAN_MODULE, folder=folder, port=port, files=15000))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(configuration)]


def install_nginx() -> None:
    """Install Debian's nginx and nchan if they are missing. Raises CouldNotRun where that is impossible."""
    if NCHAN_MODULE.exists():
        return
    try:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *NCHAN_PACKAGES], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CouldNotRun(f"nginx with nchan is missing (or use --servers): {error}") from error


def tornado_command(port: int, folder: Path) -> list[str]:
    """`write` and `flush` per client."""
    return [sys.executable, str(HERE / "peers" / "plain_tornado.py"), str(port)]


def floor_command(port: int, folder: Path) -> list[str]:
    """One send() per client and message, in C, nothing else."""
    return [str(build(HERE / "peers" / "floor.c")), str(port)]


def limit_command(port: int, folder: Path) -> list[str]:
    """All that one epoll_wait brought in one send() per stream, in C, nothing else."""
    return [str(build(HERE / "peers" / "limit.c")), str(port)]


def express_command(port: int, folder: Path) -> list[str]:
    """`res.write` per client."""
    return ["node", str(HERE / "peers" / "express.mjs"), str(port), str(BIN / "express")]


def install_express() -> None:
    """Install Express from npm, beside the compiled programs. Raises CouldNotRun where that is impossible."""
    folder = BIN / "express"
    if (folder / "node_modules" / "express").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), EXPRESS]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CouldNotRun(f"Express is missing (or use --servers): {error}") from error


def express_version() -> str:
    package = json.loads((BIN / "express" / "node_modules" / "express" / "package.json").read_text())
    return f"Express {package['version']} on Node.js {output_of('node', '--version')}"


def nchan_version() -> str:
    nginx = output_of(shutil.which("nginx") or "/usr/sbin/nginx", "-v").rpartition("/")[2]
    nchan = output_of("dpkg-query", "-W", "-f", "${Version}", NCHAN_PACKAGES[1])
    return f"nginx {nginx} with nchan {nchan}"


def output_of(*command: str) -> str:
    """What a program prints; empty if it is missing."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()
    except OSError:
        return ""


PEERS = [
    Peer("chatrooms", "**chatrooms**", chatrooms_command, chatrooms_target),
    Peer("nchan", "nginx + nchan", nginx_command, peer_target, install_nginx, nchan_version),
    Peer("tornado", "plain Tornado", tornado_command, peer_target),
    Peer("express", "Express 5", express_command, peer_target, install_express, express_version),
    Peer("limit", "C limit", limit_command, peer_target),
    Peer("floor", "C floor", floor_command, peer_target),
]
