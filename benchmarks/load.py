"""The load generator seen from Python: built from load.c, run once per measurement."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import CouldNotRun, stop

HERE = Path(__file__).parent
BIN = HERE / "bin"
PHASE_TIMEOUT = 180  # seconds for opening, and for publishing; the slowest peer needs less than one minute


@dataclass(frozen=True)
class Load:
    """The load on a server in one measurement."""

    streams: int
    messages: int
    publishers: int
    rate: float = 0  # messages per second; 0: closed loop
    stalled: int = 0
    pad: int = 80
    rooms: int = 1
    batch: int = 1  # texts in one publish; more than one go to the server's endpoint for batches
    gzip: bool = False  # streams ask for compression


@dataclass(frozen=True)
class Target:
    """The requests to a server; `%r` is the room, `%i` the number of the stream, `%T` the stamped text."""

    port: int
    get: str
    post: str
    post_header: str = ""
    body: str = '{"message": "%T"}'
    batch_post: str = ""  # takes {"messages": [...]}


def build(source: Path) -> Path:
    """Compile one C file of this folder into bin/ if it is newer than the program there."""
    program = BIN / source.stem
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    BIN.mkdir(exist_ok=True)
    command = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)]
    try:
        if subprocess.run([*command, "-DWITH_ZLIB", "-lz"], capture_output=True).returncode:
            subprocess.run(command, check=True)  # there is no zlib: all but compressed streams
    except (OSError, subprocess.CalledProcessError) as error:
        raise CouldNotRun(f"could not compile {source.name}: {error}") from error
    return program


def run(program: Path, core: int, target: Target, load: Load, on_phase: Callable[[str], None]) -> dict[str, float]:
    """Run the generator, return its figures; on_phase("opened") and on_phase("done") run with all streams open."""
    command = ["taskset", "--cpu-list", str(core), str(program), "--step", *arguments(target, load)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        complaints = follow_phases(child, on_phase)
        output, _ = child.communicate(timeout=PHASE_TIMEOUT)
    finally:
        stop(child)
    if child.returncode:
        raise CouldNotRun(f"not every stream got every message: {output}{complaints}")
    figures: dict[str, float] = json.loads(output)
    return figures


def follow_phases(child: "subprocess.Popen[str]", on_phase: Callable[[str], None]) -> str:
    """Answer each phase that the generator announces on stderr; return whatever else it wrote there."""
    assert child.stdin is not None and child.stderr is not None
    complaints = ""
    for line in child.stderr:
        if (phase := line.strip()) not in ("opened", "done"):
            complaints += line
            continue
        on_phase(phase)
        child.stdin.write("\n")
        child.stdin.flush()
        if phase == "done":
            break
    return complaints


def arguments(target: Target, load: Load) -> list[str]:
    """The command line of one measurement."""
    options = {
        "port": target.port,
        "get": target.get,
        "post": target.batch_post if load.batch > 1 else target.post,
        "post-header": target.post_header,
        "body": body(target, load),
        "streams": load.streams,
        "messages": load.messages,
        "publishers": load.publishers,
        "rate": load.rate,
        "stalled": load.stalled,
        "pad": load.pad,
        "rooms": load.rooms,
        "batch": load.batch,
        "timeout": PHASE_TIMEOUT,
    }
    return [*(f"--{name}={value}" for name, value in options.items()), *(["--gzip"] if load.gzip else [])]


def body(target: Target, load: Load) -> str:
    """The body of one publish."""
    return f'{{"messages": [{",".join([target.body] * load.batch)}]}}' if load.batch > 1 else target.body
