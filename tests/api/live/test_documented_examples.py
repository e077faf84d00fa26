"""Every example of docs/api.md runs against the whole lab, as it stands there."""

import http.client
import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.desk import ROOT, WEBHOOK_PASSWORD, WEBHOOK_USER, Desk
from lab.emulators.event_grid import basic_authorization
from tests.api.seeding import near_expiry
from tests.tickets.desk import PAYLOADS

pytestmark = pytest.mark.timeout(300)

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# Their answers by status, where it is not 2xx: what they need is not in the lab.
NOT_HERE = {
    "/events/authrocket/": "401",
}
WRITE_STATUS = "\\n%{http_code}\\n"


@pytest.fixture(scope="module")
def shell(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables that the page speaks of."""
    refused = {**near_expiry("unknown-vault", "x", _soon()), "id": "an-event-for-the-quarantine"}
    _post_event(desk, [refused])
    return {
        "PATH": os.environ["PATH"],
        "NO_PROXY": "*",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "DESK": desk.url,
        "KEY": str(desk.host.keys["default"]),
        "TICKET": _first(desk, "tickets?state=open"),
        "ASSET": _first(desk, "assets"),
        "USER_ID": _first(desk, "users"),
        "RUN": _first(desk, "runs"),
        "QUARANTINED": _first(desk, "quarantine"),
        "CALENDAR_TOKEN": "0123456789abcdef0123456789abcdef",
        "WEBHOOK_USER": WEBHOOK_USER,
        "WEBHOOK_PASSWORD": WEBHOOK_PASSWORD,
        "AUTHROCKET_USER": "authrocket",
        "AUTHROCKET_PASSWORD": "not-set-up-in-the-lab",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples leave their files, and find those of the ones before."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "event.json").write_bytes((PAYLOADS / "secret_near_expiry.json").read_bytes())
    return folder


def test_every_example_does_what_it_says(shell: dict[str, str], folder: Path) -> None:
    # In one test: an example may stand on what those before it left, as it does for a reader.
    failed = [f"{example}{fault}" for example in EXAMPLES if (fault := _fault_of(example, shell, folder))]
    assert len(EXAMPLES) > 50
    assert not failed, "\n\n".join(failed)


def _fault_of(example: str, shell: dict[str, str], folder: Path) -> str:
    """What went wrong with it; empty when it did what it says."""
    is_loop = "while " in example
    shown = f"curl() {{ command curl -sS -w '{WRITE_STATUS}' \"$@\"; }}"
    script = "\n".join(["set -eu", *([] if is_loop else [shown]), example])
    done = subprocess.run(["sh", "-c", script], cwd=folder, env=shell, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr
    if is_loop:
        lines = (folder / "users.jsonl").read_text("utf-8").splitlines()
        ids = {json.loads(line)["source_id"] for line in lines}
        return "" if len(ids) == len(lines) > 200 else f"{len(lines)} lines of {len(ids)} users"
    status = done.stdout.rstrip().rsplit("\n", 1)[-1]
    wanted = next((status for part, status in NOT_HERE.items() if part in example), "2")
    return "" if status.startswith(wanted) else done.stdout


def test_every_variable_of_the_examples_is_explained() -> None:
    used = set(re.findall(r"\$([A-Z_]{3,})", "".join(EXAMPLES)))
    introduction = PAGE.split("## ")[0]
    own = {"CALENDAR_TOKEN", "WEBHOOK_USER", "WEBHOOK_PASSWORD", "AUTHROCKET_USER", "AUTHROCKET_PASSWORD"}
    assert {name for name in used - own if f"`{name}`" not in introduction} == set()


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
