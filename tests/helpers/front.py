"""Real nginx and Caddy in front of nodes, with the configurations of deploy/."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.process import CouldNotRun, free_port
from benchmarks.server_process import ROOT, ServerProcess

DEPLOY = ROOT / "deploy"
START_LIMIT = 15.0  # seconds
STOP_LIMIT = 15.0


class Front:
    """A proxy with TLS on a port of 127.0.0.1; `ca` is the certificate to trust. Raises CouldNotRun."""

    def __init__(self, folder: Path, ca: Path) -> None:
        self.port = free_port()
        self.ca = ca
        self._log = folder / "front.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise

    def _start(self, command: Sequence[str], **environ: str) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})
        end = time.monotonic() + START_LIMIT
        while not (self.ca.exists() and self._listens()):
            if time.monotonic() > end or self._process.poll() is not None:
                self.stop()
                raise CouldNotRun(f"{command[0]} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        """Whether it has its certificate, too."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                context.wrap_socket(sock, server_hostname="127.0.0.1").close()
        except OSError:
            return False
        return True


class Nginx(Front):
    """deploy/nginx.conf as it is; the two small files beside it are those of the test."""

    def __init__(self, folder: Path, nodes: Sequence[ServerProcess], certificate: tuple[Path, Path]) -> None:
        cert, key = certificate
        super().__init__(folder, cert)
        shutil.copy(DEPLOY / "nginx.conf", folder)
        own = folder / "chatrooms"
        own.mkdir()
        servers = "".join(f"server 127.0.0.1:{node.port} max_fails=0;\n" for node in nodes)
        (own / "nodes.conf").write_text(servers)
        tls = f"ssl_certificate {cert};\nssl_certificate_key {key};\n"
        (own / "listen.conf").write_text(f"listen 127.0.0.1:{self.port} ssl http2;\n{tls}")
        command = (program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"))
        self._start((*command, "-g", f"daemon off; pid {folder}/nginx.pid; error_log stderr warn;"))


class Caddy(Front):
    """deploy/Caddyfile, with options that keep it out of the machine's own business."""

    def __init__(self, folder: Path, nodes: Sequence[ServerProcess], certificate: tuple[Path, Path]) -> None:
        super().__init__(folder, folder / "caddy" / "pki" / "authorities" / "local" / "root.crt")
        config = folder / "Caddyfile"
        ports = f"admin 127.0.0.1:{free_port()}\nhttp_port {free_port()}"
        options = f"grace_period 1s\n{ports}\nskip_install_trust\nlocal_certs\ndefault_sni 127.0.0.1\n"
        text = (DEPLOY / "Caddyfile").read_text()
        assert text.count("grace_period 10s\n") == 1
        config.write_text(text.replace("grace_period 10s\n", options))
        self._start(
            (program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"),
            CHATROOMS_SITE=self.url, CHATROOMS_HOST="127.0.0.1",
            CHATROOMS_NODES=" ".join(f"127.0.0.1:{node.port}" for node in nodes),
            XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder), HOME=str(folder),
        )  # fmt: skip


def program(name: str) -> str:
    """Where it is. Raises CouldNotRun."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise CouldNotRun(f"there is no {name}: .ci/servers installs it")
    return found
