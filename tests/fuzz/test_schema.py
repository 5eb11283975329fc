"""The OpenAPI document under schemathesis: another mind's idea of bad requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.server_process import ServerProcess, token
from tests.fuzz.test_requests import OPTIONS

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")
specific = pytest.importorskip("schemathesis.specs.openapi.checks")

CHECKS = [checks.not_a_server_error, specific.status_code_conformance, specific.response_schema_conformance]
ENDLESS = (
    "/events", "/api/sse/messages", "/api/clients/{userId}/sse", "/api/v1/sse/tasks/{taskId}/progress",
)  # fmt: skip
EXAMPLES = 15  # of each call
HEADERS = {"Authorization": f"Bearer {token('tester', 'admin')}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all calls; a traceback in its log is a failure, too."""
    with ServerProcess(Path(tmp_path_factory.mktemp("schema")), *OPTIONS) as process:
        yield process
    assert process.tracebacks() == []


@pytest.fixture(scope="module")
def schema(server: ServerProcess) -> Any:
    """The document, without the calls whose answers do not end, and without the answer to all else."""
    with urlopen(f"{server.url}/api/openapi.json") as answer:
        document = json.load(answer)
    for path in ENDLESS:
        del document["paths"][path]
    for operations in document["paths"].values():
        for operation in operations.values():
            del operation["responses"]["default"]
    return schemathesis.openapi.from_dict(document)


def test_calls_answer_as_the_document_says(schema: Any, server: ServerProcess) -> None:
    """No 5xx, and no status, kind or shape that the document does not know."""
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        _try(operation, server.url)


def _try(operation: Any, url: str) -> None:
    """Calls one operation with EXAMPLES that schemathesis makes up."""

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(case=operation.as_strategy())
    def hold(case: Any) -> None:
        case.validate_response(case.call(base_url=url, headers=HEADERS), checks=CHECKS)

    hold()
