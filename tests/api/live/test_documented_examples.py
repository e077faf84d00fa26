"""Every example that speaks to a desk runs against the whole lab, as it stands on its page."""

import http.client
import json
import os
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.desk import ROOT, WEBHOOK_PASSWORD, WEBHOOK_USER, Desk
from lab.emulators.event_grid import basic_authorization
from tests.api.seeding import near_expiry
from tests.docs.blocks import blocks, runs_here
from tests.tickets.desk import PAYLOADS

pytestmark = pytest.mark.timeout(300)

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
# Their answers by status, where it is not 2xx: what they need is not in the lab.
NOT_HERE = {
    "/events/authrocket/": "401",
    "/outbox/$ENTRY/retry": "404",
}
STATUS = "status of the example: "
# The loop over an export reads the headers of the answers itself.
LOOP = "while "
SECONDS_FOR_IMPORTS = 60


@pytest.fixture(scope="module")
def shell(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables that the pages speak of."""
    refused = {**near_expiry("unknown-vault", "x", _soon()), "id": "an-event-for-the-quarantine"}
    _post_event(desk, [refused])
    return {
        "PATH": os.environ["PATH"],
        "NO_PROXY": "*",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "DESK": desk.url,
        "HOST_KEY": str(desk.host.keys["default"]),
        "TOKEN": desk.tokens["administrator"],
        "TICKET": _first(desk, "tickets?state=open"),
        "OBJECT": _first(desk, "objects"),
        "ASSET": _first(desk, "assets"),
        "USER_ID": _first(desk, "users"),
        "RUN": _first(desk, "runs"),
        "SWEEP": desk.call("POST", "/api/v1/sweeps", b'{"vaults": "all"}')["id"],
        "QUARANTINED": _first(desk, "quarantine"),
        "CALENDAR_TOKEN": desk.tokens["calendar"],
        "WEBHOOK_USER": WEBHOOK_USER,
        "WEBHOOK_PASSWORD": WEBHOOK_PASSWORD,
        "AUTHROCKET_USER": "authrocket",
        "AUTHROCKET_PASSWORD": "not-set-up-in-the-lab",
        "PASSWORD": "any",
        "ENTRY": "nothing-failed",
    }


@pytest.mark.parametrize(
    ("page", "at_least"),
    [
        ("README.md", 1),
        ("api.md", 50),
        ("key-vault.md", 1),
        ("aws-ec2.md", 7),
        ("authrocket.md", 6),
        ("credentials.md", 2),
    ],
)
def test_every_example_does_what_it_says(
    page: str, at_least: int, desk: Desk, shell: dict[str, str], tmp_path: Path
) -> None:
    # A page in one test: an example may stand on what those before it left, as it does for a reader.
    (tmp_path / "event.json").write_bytes((PAYLOADS / "secret_near_expiry.json").read_bytes())
    examples = [block.text for block in blocks("sh", page) if runs_here(block) and "$DESK" in block.text]
    assert len(examples) >= at_least
    variables, failed = dict(shell), list[str]()
    for example in examples:
        answer = _run(example, variables, tmp_path)
        if fault := _fault_of(example, answer, tmp_path):
            failed.append(f"{example}{fault}")
        variables |= _runs_begun(answer.stdout)
        _wait_for_imports(desk)
    assert not failed, "\n\n".join(failed)


def _run(example: str, variables: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    shown = f"curl() {{ command curl -sS -w '\\n{STATUS}%{{http_code}}\\n' \"$@\"; }}"
    script = "\n".join(["set -eu", *([] if LOOP in example else [shown]), example])
    return subprocess.run(["sh", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False)


def _fault_of(example: str, done: "subprocess.CompletedProcess[str]", folder: Path) -> str:
    """What went wrong with it; empty when it did what it says."""
    if done.returncode != 0:
        return done.stderr
    if LOOP in example:
        lines = (folder / "users.jsonl").read_text("utf-8").splitlines()
        ids = {json.loads(line)["source_id"] for line in lines}
        return "" if len(ids) == len(lines) > 200 else f"{len(lines)} lines of {len(ids)} users"
    statuses = re.findall(rf"^{STATUS}(\d+)$", done.stdout, re.MULTILINE)
    wanted = next((status for part, status in NOT_HERE.items() if part in example), "2")
    asked = len(re.findall(r"^\s*curl ", example, re.MULTILINE))
    good = len(statuses) == asked and all(status.startswith(wanted) for status in statuses)
    return "" if good else done.stdout


def _runs_begun(output: str) -> dict[str, str]:
    """The ids of the runs that an example began, under the names that the pages give them."""
    begun: dict[str, str] = {}
    for line in output.splitlines():
        answer = json.loads(line) if line.startswith('{"') else {}
        if "started_by" in answer and "parts" in answer:
            begun["PREVIEW" if answer["mode"] == "preview" else "RUN"] = str(answer["id"])
    return begun


def _wait_for_imports(desk: Desk) -> None:
    """A reader waits for the end of one import before the next."""
    deadline = time.monotonic() + SECONDS_FOR_IMPORTS
    while any(run["finished_at"] is None for run in desk.call("GET", "/api/v1/runs")["items"]):
        assert time.monotonic() < deadline, "an import does not end"
        time.sleep(0.2)


def test_every_variable_of_the_examples_is_explained() -> None:
    used = set(re.findall(r"\$([A-Z_]{3,})", "".join(block.text for block in blocks("sh", "api.md"))))
    introduction = PAGE.split("## ")[0]
    own = {"ENTRY", "CALENDAR_TOKEN", "HOST_KEY"}
    own |= {"WEBHOOK_USER", "WEBHOOK_PASSWORD", "AUTHROCKET_USER", "AUTHROCKET_PASSWORD"}
    assert {name for name in used - own if f"`{name}`" not in introduction} == set()


@pytest.mark.parametrize("page", ["key-vault.md", "aws-ec2.md", "authrocket.md", "credentials.md"])
def test_every_variable_of_a_page_is_explained_or_set_on_it(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    used = {name for block in blocks("sh", page) for name in re.findall(r"\$([A-Z_]{3,})", block.text)}
    assert {name for name in used if f"`{name}`" not in text and not re.search(rf"\b{name}=", text)} == set()


def _first(desk: Desk, address: str) -> str:
    items: Any = desk.call("GET", f"/api/v1/{address}")["items"]
    return str(items[0]["id"])


def _post_event(desk: Desk, events: list[dict[str, Any]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", desk.host.port, timeout=30)
    try:
        headers = {"Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD)}
        connection.request("POST", "/api/events/key-vault", json.dumps(events), headers)
        assert connection.getresponse().status == 200
    finally:
        connection.close()


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(days=5)
