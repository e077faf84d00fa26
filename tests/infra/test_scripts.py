"""The deployment's shell scripts against a fake Azure: rotation loses no delivery, whenever it is interrupted."""

import base64
import itertools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.check.__main__ import ROOT
from shared.bootstrap.kinds import KINDS
from shared.settings.validation import parse_document, parse_yaml
from tests.infra.fake_azure import install

SCRIPTS = ROOT / "scripts"
CACHE_SECONDS = 300
TOPIC = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.EventGrid/systemTopics/deskbridge-acorn"
VAULT_ID = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/Acorn-Vault"
ENVIRONMENT = {
    "AZURE_ENV_NAME": "test",
    "AZURE_LOCATION": "westeurope",
    "AZURE_RESOURCE_GROUP": "rg-test",
    "DESKBRIDGE_APP_NAME": "func-test",
    "DESKBRIDGE_APP_HOST": "func-test.azurewebsites.net",
    "DESKBRIDGE_VAULT_NAME": "kv-test",
    "DESKBRIDGE_VAULT_URL": "https://kv-test.vault.azure.net/",
    "DESKBRIDGE_STORAGE_NAME": "sttest",
    "DESKBRIDGE_TOPIC_IDS": json.dumps([TOPIC]),
    "DESKBRIDGE_MONITORED_VAULT_IDS": json.dumps([VAULT_ID, VAULT_ID.replace("Acorn-Vault", "oak")]),
    "DESKBRIDGE_IDENTITY_CLIENT_ID": "",
}


class Azure:
    """The fake, and what it remembers."""

    def __init__(self, folder: Path) -> None:
        self.commands = folder / "commands"
        self.file = install(self.commands)
        self.folder = folder

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
        return found

    def set(self, **values: Any) -> None:
        self.file.write_text(json.dumps({**self.state, **values}), "utf-8")

    def run(self, script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.commands}:/usr/bin:/bin"
        environment = {"PATH": path, "FAKE_STATE": str(self.file), "TMPDIR": str(self.folder), **ENVIRONMENT, **more}
        return subprocess.run(
            ["/bin/sh", str(SCRIPTS / script), *arguments], env=environment, capture_output=True, text=True, check=False
        )

    def value(self, slot: str) -> str:
        return str(self.state["secrets"][slot][-1]["value"])


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


def header_of(credential: str) -> str:
    pair = json.loads(credential)
    return "Basic " + base64.b64encode(f"{pair['username']}:{pair['password']}".encode()).decode()


def seen(versions: list[dict[str, Any]], at: int) -> set[str]:
    """Every value of a slot that some worker may hold at that moment."""
    held = {entry["value"] for entry in versions if at - CACHE_SECONDS <= entry["at"] <= at}
    before = [entry["value"] for entry in versions if entry["at"] < at - CACHE_SECONDS] or [versions[0]["value"]]
    return held | {before[-1]} | {entry["value"] for entry in versions if entry["at"] == at}


def refused_deliveries(state: dict[str, Any]) -> list[int]:
    """The moments at which some worker would refuse what Event Grid sends, whatever it has read when."""
    currents, previouses = state["secrets"]["key-vault-webhook"], state["secrets"]["key-vault-webhook-previous"]
    moments = {entry["at"] for entry in [*currents, *previouses, *state["headers"]]}
    moments = {moment + step for moment in moments for step in (0, 1, CACHE_SECONDS, CACHE_SECONDS + 1)}
    wrong: list[int] = []
    for at in sorted(moments):
        # At the very moment of a change the old header may still be on its way.
        sent = [entry["value"] for entry in state["headers"] if entry["at"] <= at]
        last = [entry["value"] for entry in state["headers"] if entry["at"] == at]
        headers = {sent[-1], *last, *([sent[-2]] if last and len(sent) > 1 else [])} if sent else set()
        for current, previous in itertools.product(seen(currents, at), seen(previouses, at)):
            if not headers <= {header_of(current), header_of(previous)}:
                wrong.append(at)
    return wrong


def made(azure: Azure) -> None:
    """A desk that stands: the first password, and subscriptions that send it. An hour later everybody knows it."""
    assert azure.run("rotate-webhook-password.sh", "--first").returncode == 0
    assert azure.run("event-subscriptions.sh").returncode == 0
    azure.set(clock=3_600)


def test_the_first_password_is_made_once_and_both_slots_can_be_read(azure: Azure) -> None:
    for _ in range(2):
        assert azure.run("rotate-webhook-password.sh", "--first").returncode == 0
    secrets = azure.state["secrets"]
    assert [(name, len(versions)) for name, versions in sorted(secrets.items())] == [
        ("key-vault-webhook", 1),
        ("key-vault-webhook-previous", 1),
    ]
    pair = json.loads(azure.value("key-vault-webhook"))
    assert (pair["username"], len(pair["password"])) == ("event-grid", 44)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", pair["password"])
    assert azure.value("key-vault-webhook") != azure.value("key-vault-webhook-previous")


def test_rotation_changes_the_password_and_no_worker_ever_refuses_a_delivery(azure: Azure) -> None:
    made(azure)
    before = azure.value("key-vault-webhook")
    done = azure.run("rotate-webhook-password.sh")
    assert done.returncode == 0, done.stderr
    state = azure.state
    assert azure.value("key-vault-webhook-previous") == before
    assert azure.value("key-vault-webhook") != before
    assert state["headers"][-1]["value"] == header_of(azure.value("key-vault-webhook"))
    assert state["secrets"]["key-vault-webhook"][-1]["rotation"] == "done"
    assert refused_deliveries(state) == []


def test_the_test_itself_sees_a_rotation_that_is_too_quick(azure: Azure) -> None:
    made(azure)
    assert azure.run("rotate-webhook-password.sh", WAIT_SECONDS="60").returncode == 0
    assert refused_deliveries(azure.state) != []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 7))
def test_a_rotation_that_was_killed_goes_on_and_loses_nothing(azure: Azure, moment: str, call: int) -> None:
    made(azure)
    first = header_of(azure.value("key-vault-webhook"))
    begun = len([entry for entry in azure.state["calls"] if entry[0] == "az"])
    killed = azure.run("rotate-webhook-password.sh", FAKE_FAIL=f"{moment}:{begun + call}")
    assert killed.returncode != 0
    assert azure.run("rotate-webhook-password.sh").returncode == 0
    state = azure.state
    assert state["headers"][-1]["value"] == header_of(azure.value("key-vault-webhook")) != first
    assert state["secrets"]["key-vault-webhook"][-1]["rotation"] == "done"
    assert refused_deliveries(state) == []


def test_the_waiting_is_longer_than_workers_remember() -> None:
    text = (ROOT / "settings" / "10-desk.yaml").read_text("utf-8")
    remembered = re.search(r"cache_seconds: (\d+)", text)
    assert remembered is not None
    assert int(remembered[1]) == CACHE_SECONDS
    for script in ("rotate-webhook-password.sh", "rotate-webhook-password.ps1"):
        waits = re.search(r"(?:WAIT_SECONDS:-|else \{ )(\d+)", (SCRIPTS / script).read_text("utf-8"))
        assert waits is not None
        assert int(waits[1]) > 2 * CACHE_SECONDS


def test_a_leaked_password_can_be_ended_after_the_rotation_and_not_during_it(azure: Azure) -> None:
    made(azure)
    leaked = azure.value("key-vault-webhook")
    begun = len([entry for entry in azure.state["calls"] if entry[0] == "az"])
    azure.run("rotate-webhook-password.sh", FAKE_FAIL=f"after:{begun + 4}")
    assert azure.run("rotate-webhook-password.sh", "--revoke").returncode == 1
    assert azure.run("rotate-webhook-password.sh").returncode == 0
    assert azure.run("rotate-webhook-password.sh", "--revoke").returncode == 0
    assert leaked not in {azure.value("key-vault-webhook"), azure.value("key-vault-webhook-previous")}
    assert refused_deliveries(azure.state) == []


def test_a_role_that_does_not_hold_yet_is_waited_for(azure: Azure) -> None:
    azure.set(forbidden=3)
    done = azure.run("rotate-webhook-password.sh", "--first")
    assert done.returncode == 0, done.stderr
    assert "waiting for the role to hold" in done.stderr
    assert azure.state["clock"] == 45


def test_without_a_password_rotation_says_what_to_do(azure: Azure) -> None:
    done = azure.run("rotate-webhook-password.sh")
    assert (done.returncode, done.stderr.strip()) == (1, "There is no password yet: run with --first.")


def test_no_password_is_in_an_argument_or_said(azure: Azure) -> None:
    made(azure)
    said = azure.run("rotate-webhook-password.sh")
    post = azure.run("postdeploy.sh")
    state = azure.state
    secrets = [json.loads(entry["value"])["password"] for versions in state["secrets"].values() for entry in versions]
    shown = json.dumps(state["calls"]) + said.stdout + said.stderr + post.stdout + post.stderr
    assert [secret for secret in [*secrets, "the-function-key"] if secret in shown] == []
    assert [path.name for path in azure.folder.iterdir()] == ["commands"], "temporary files are left"


@pytest.mark.parametrize("client_id", ["", "11111111-2222-3333-4444-555555555555"])
def test_after_the_code_come_password_health_settings_and_then_the_subscriptions(azure: Azure, client_id: str) -> None:
    azure.set(health=2)
    done = azure.run("postdeploy.sh", DESKBRIDGE_IDENTITY_CLIENT_ID=client_id)
    assert done.returncode == 0, done.stderr
    state = azure.state
    order = [" ".join(call[:4]) for call in state["calls"] if call[0] in {"az", "azd"}]
    assert order[-3:] == [
        "az functionapp keys list",
        "az deployment sub create",
        "azd env set DESKBRIDGE_DEPLOY_EVENT_SUBSCRIPTIONS",
    ]
    (posted,) = state["posted"]
    documents = {}
    for written in parse_yaml(posted):
        documents[written.kind, written.name] = parse_document(KINDS.get(written.kind), written.name, written.content)
    stores = sorted(name for kind, name in documents if kind == "credential-stores")
    assert stores == ["desk", "vault-acorn-vault", "vault-oak"]
    acorn: Any = documents["credential-stores", "vault-acorn-vault"]
    assert (acorn.vault_url, acorn.client_id) == ("https://acorn-vault.vault.azure.net", client_id or None)
    events: Any = documents["key-vault-events", "default"]
    first = events.allowed_vaults[0]
    assert (first.name, first.store, first.resource_id) == ("Acorn-Vault", "vault-acorn-vault", VAULT_ID.casefold())
    assert events.subscriptions == ("deskbridge-acorn",)


def test_settings_that_operators_changed_are_left_alone(azure: Azure) -> None:
    azure.set(settings_status=200)
    assert azure.run("postdeploy.sh").returncode == 0
    assert azure.state["posted"] == []
    assert azure.run("postdeploy.sh", DESKBRIDGE_APPLY_SETTINGS="always").returncode == 0
    assert len(azure.state["posted"]) == 1


def test_an_app_that_never_answers_stops_the_deployment_before_the_subscriptions(azure: Azure) -> None:
    azure.set(health=1_000)
    done = azure.run("postdeploy.sh", HEALTH_TRIES="4")
    assert done.returncode == 1
    assert "The app does not answer" in done.stderr
    assert azure.state["headers"] == []


def test_without_a_monitored_vault_there_is_nothing_to_subscribe(azure: Azure) -> None:
    done = azure.run("event-subscriptions.sh", DESKBRIDGE_TOPIC_IDS="[]")
    assert done.returncode == 0
    assert "No vault is monitored yet" in done.stdout
    assert azure.state["calls"] == []


def test_both_shells_take_the_same_steps() -> None:
    steps = (
        r"keyvault[ ',]+secret[ ',]+(?:set-attributes|set|show)|deployment sub create|functionapp keys list|azd env set"
    )
    for name in ("event-subscriptions", "rotate-webhook-password", "postdeploy"):
        texts = [(SCRIPTS / f"{name}{suffix}").read_text("utf-8") for suffix in (".sh", ".ps1")]
        bodies = ["\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")) for text in texts]
        shell, power = (sorted(re.sub(r"[ ',]+", " ", step) for step in re.findall(steps, body)) for body in bodies)
        assert shell == power, name


def test_every_output_that_a_script_needs_is_one_of_main() -> None:
    needed = set()
    for path in SCRIPTS.glob("*.sh"):
        needed |= set(re.findall(r'"\$\{((?:AZURE|DESKBRIDGE)_[A-Z_]+):\?\}"', path.read_text("utf-8")))
    outputs = set(re.findall(r"^output ([A-Z_]+) ", (ROOT / "main.bicep").read_text("utf-8"), re.MULTILINE))
    assert needed
    assert needed <= outputs | {"AZURE_ENV_NAME"}


def test_azd_finds_the_hooks() -> None:
    hooks = yaml.safe_load((ROOT.parent / "azure.yaml").read_text("utf-8"))["hooks"]["postdeploy"]
    for system in ("posix", "windows"):
        assert (ROOT.parent / hooks[system]["run"]).is_file()
    assert os.access(ROOT.parent / hooks["posix"]["run"], os.X_OK)
