"""`python -m lab.api_tester`: brings the whole desk up and tries every operation of its API with made-up requests.

schemathesis makes them from the OpenAPI document, good ones and bad ones, and compares every answer with it.
"""

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Choices, Desk
from lab.emulators.event_grid import basic_authorization
from lab.first_run import run_once

ROOT = Path(__file__).resolve().parents[1]
# The host answers a wrong method with 404, as Azure's does. A document can be well-formed and still name a thing that
# there is not, so not all that fits the schema is accepted.
_LEFT_OUT = ("unsupported_method", "positive_data_acceptance", "allow_header_conformance")
# A version that moved is told before the body is looked at: 412 rejects too.
_CONFIGURATION = """\
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "404", "405", "409", "412", "413"]

[[operations]]
include-operation-id = "receive_key_vault_events_post"
headers = {{ Authorization = "{authorization}" }}

[[operations]]
include-operation-id = "make_administrator_token"
headers = {{ x-functions-key = "{host_key}" }}
"""
_PINNED = """\

[[operations]]
include-operation-id = "{operation}"
parameters = {{ {parameters} }}
"""
_FOREIGN = re.compile("^(https?_proxy|all_proxy|no_proxy|requests_ca_bundle|ssl_cert_file)$", re.IGNORECASE)


@dataclass(frozen=True)
class Effort:
    """How hard it tries. `examples` are made-up requests an operation; `seconds` goes on for so long instead."""

    examples: int = 100
    seconds: int | None = None
    seed: int = 1
    phases: str = "examples,coverage,fuzzing"
    only: tuple[str, ...] = ()


@contextmanager
def desk_at_work() -> Iterator[Desk]:
    """The whole desk after its first run, on free ports."""
    with (
        tempfile.TemporaryDirectory(prefix="lab-api-") as folder,
        Desk(Choices(folder=Path(folder), any_ports=True), lambda _: None) as desk,
    ):
        run_once(desk, lambda _: None)
        yield desk


def names_of(desk: Desk) -> dict[str, dict[str, str]]:
    """Parameters that lead to what is there, by operation: made-up ones seldom do."""
    ticket = desk.call("GET", "/api/v1/tickets?limit=1")["items"][0]["id"]
    asset = desk.call("GET", "/api/v1/assets?limit=1")["items"][0]["id"]
    user = desk.call("GET", "/api/v1/users?limit=1")["items"][0]["id"]
    run = desk.call("GET", "/api/v1/runs?limit=1")["items"][0]["id"]
    tickets = {operation: {"id": ticket} for operation in ("show_ticket", "change_ticket", "add_ticket_note")}
    assets = {
        operation: {"id": asset} for operation in ("show_asset", "edit_asset", "list_asset_history", "explain_asset")
    }
    users = {operation: {"id": user} for operation in ("show_user", "edit_user", "list_user_history", "explain_user")}
    runs = {operation: {"id": run} for operation in ("show_run", "list_run_parts", "list_run_errors", "list_run_plan")}
    return {
        **tickets,
        **assets,
        **users,
        **runs,
        "export_records": {"what": "tickets"},
        "show_calendar": {"query.token": desk.tokens["calendar"]},
        "show_token": {"name": _token_to_revoke(desk)},
        "revoke_token": {"name": _token_to_revoke(desk)},
        "check_credential_store": {"name": "deskbridge-vault"},
        "check_credential": {"name": "aws-acorn"},
        "list_credential_uses": {"name": "aws-acorn"},
        "check_aws_tenant": {"name": "acorn"},
        "check_authrocket_realm": {"name": "customers"},
        "start_ec2_import": {"name": "acorn"},
        "start_authrocket_import": {"name": "customers"},
    }


def _place(name: str) -> str:
    return name if name.startswith("query.") else f"path.{name}"


def _token_to_revoke(desk: Desk) -> str:
    body = json.dumps({"name": f"to-revoke-{secrets.token_hex(4)}", "role": "reader"}).encode()
    return str(desk.call("POST", "/api/v1/tokens", body)["name"])


def try_api(desk: Desk, effort: Effort, *, pinned: bool) -> tuple[int, str]:
    """Run schemathesis over the whole document; its exit status (0: nothing found) and what it said.

    `pinned` tries only operations on one thing, with parameters that lead to a thing that is there.
    """
    token = desk.tokens["administrator"]
    names = names_of(desk) if pinned else {}
    with tempfile.TemporaryDirectory(prefix="lab-api-tester-") as folder:
        host_key = str(desk.host.keys["default"])
        authorization = basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD)
        text = _CONFIGURATION.format(authorization=authorization, host_key=host_key)
        for operation, parameters in names.items():
            listed = ", ".join(f'"{_place(name)}" = "{value}"' for name, value in parameters.items())
            text += _PINNED.format(operation=operation, parameters=listed)
        configuration = Path(folder) / "schemathesis.toml"
        configuration.write_text(text, "utf-8")
        command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(configuration), "run"]
        command += [f"{desk.url}/api/v1/openapi.json", "--url", desk.url]
        command += ["--header", f"X-Api-Key: {token}", "--request-timeout", "60", "--workers", "2"]
        command += ["--max-examples", str(effort.examples), "--seed", str(effort.seed), "--phases", effort.phases]
        command += ["--exclude-checks", ",".join(_LEFT_OUT), "--suppress-health-check", "all"]
        command += ["--generation-database", "none", "--continue-on-failure"]
        command += ["--max-time", str(effort.seconds)] if effort.seconds else []
        for operation in effort.only or names:
            command += ["--include-operation-id", operation]
        done = subprocess.run(
            command, cwd=folder, env=_environment(), capture_output=True, text=True, errors="replace", check=False
        )
    return done.returncode, (done.stdout + done.stderr).replace(token, "***")


def _environment() -> Mapping[str, str]:
    """Without this machine's proxies: everything is on loopback."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    return {
        **kept,
        "NO_PROXY": "*",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "lab.api_tester_hooks",
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.api_tester", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="made-up requests for each operation")
    parser.add_argument("--seconds", type=int, help="go on for so long instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="one operation; may be repeated")
    given = parser.parse_args()
    effort = Effort(given.examples, given.seconds, given.seed, only=tuple(given.only))
    with desk_at_work() as desk:
        status = 0
        for pinned in (True, False):
            found, said = try_api(desk, effort, pinned=pinned and not effort.only)
            print(said)
            status = status or found
        return status


if __name__ == "__main__":
    sys.exit(main())
