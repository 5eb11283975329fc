"""What can be said of deploy/ without running it: that it parses, holds together, and fits the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.server_process import ROOT
from chatrooms.options import ENV_PREFIX, OPTIONS, Options

DEPLOY = ROOT / "deploy"
DRAIN = next(option.default for option in OPTIONS if option.name == "drain")
VARIABLES = {option.variable for option in OPTIONS}
OF_THE_FILES = {"CHATROOMS_SITE", "CHATROOMS_NODES", "CHATROOMS_HOST"}  # the Caddyfile's own
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def manifests() -> dict[str, Any]:
    """The Kubernetes manifests by kind."""
    text = (DEPLOY / "kubernetes" / "chatrooms.yaml").read_text()
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text)}


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]
    return services


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_settings_are_options(path: Path) -> None:
    """Every CHATROOMS_ variable that is set is an option."""
    assert set(re.findall(r"\bCHATROOMS_[A-Z_]+\b", path.read_text())) <= VARIABLES | OF_THE_FILES


def test_manifests_hold_together() -> None:
    """Labels find their pods, probes the port, and what is named is there."""
    found = manifests()
    pods = found["Deployment"]["spec"]["template"]
    labels = pods["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert found[kind]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    (container,) = pods["spec"]["containers"]
    (port,) = container["ports"]
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    hosts = {rule["host"] for rule in found["Ingress"]["spec"]["rules"]}
    assert hosts == {found["ConfigMap"]["data"]["CHATROOMS_ALLOWED_HOSTS"]}
    for probe, route in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (route, port["name"])
        assert {header["value"] for header in asked["httpHeaders"]} == hosts, "the server would refuse its Host"
    sources = {next(iter(source.values()))["name"] for source in container["envFrom"]}
    assert sources == {found["Secret"]["metadata"]["name"], found["ConfigMap"]["metadata"]["name"]}
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]


def test_settings_of_the_manifests_are_good() -> None:
    """But for the secret, which is left empty so that nobody uses one that the world knows."""
    found = manifests()
    assert found["Secret"]["stringData"]["CHATROOMS_SECRET"] == ""
    environ = {**found["ConfigMap"]["data"], **found["Secret"]["stringData"], "CHATROOMS_SECRET": "x" * 32}
    assert Options({"address": "0.0.0.0"}, environ).allowed_hosts == ("chat.example.org",)


def test_nodes_have_time_to_drain() -> None:
    """Everywhere more than the drain takes, with what comes before it."""
    pods = manifests()["Deployment"]["spec"]["template"]["spec"]
    before = int(pods["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pods["terminationGracePeriodSeconds"] >= before + DRAIN + 10
    assert float(compose()["node1"]["stop_grace_period"].rstrip("s")) >= DRAIN + 10
    unit = (DEPLOY / "chatrooms.service").read_text()
    timeout = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert timeout is not None and float(timeout[1]) >= DRAIN + 10


def test_unit_tries_again_what_may_pass() -> None:
    """Status 1, without end; not 2, with which a bad setting ends."""
    unit = (DEPLOY / "chatrooms.service").read_text()
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert (settings["Restart"], settings["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert settings["StartLimitIntervalSec"] == "0"


def test_compose_runs_two_nodes_behind_nginx() -> None:
    """The files that it mounts are there, the nodes are those that nginx knows, and settings are good."""
    services = compose()
    nodes = (DEPLOY / "nginx-nodes.conf").read_text()
    assert set(re.findall(r"^server (\w+):4000", nodes, re.MULTILINE)) == {"node1", "node2"} <= services.keys()
    for volume in services["nginx"]["volumes"]:
        assert (DEPLOY / volume.split(":")[0]).is_file()
    environ = {
        name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in services["node1"]["environment"].items()
    }
    assert Options({"address": "0.0.0.0"}, environ).guests
    assert set(environ) <= VARIABLES and all(name.startswith(ENV_PREFIX) for name in environ)


def test_image_runs_the_server_itself() -> None:
    """So that SIGTERM reaches it; and not as root."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert 'CMD ["chatrooms", "serve"]' in lines and "USER 10001" in lines
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert all((ROOT / name).exists() for name in copied)
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied) == allowed


def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """As far as systemd can say without running it; its program is one that is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: .ci/servers installs it")
    unit = tmp_path / "chatrooms.service"
    text = (DEPLOY / "chatrooms.service").read_text()
    assert "ExecStart=/opt/chatrooms/bin/chatrooms serve\n" in text
    unit.write_text(text.replace("/opt/chatrooms/bin/chatrooms", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "chatrooms" in line]) == (0, [])
