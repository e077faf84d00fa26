"""Experiments on the lab, one of each kind, and `make run` again after each: it starts, and puts nothing back."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.desk import Choices, Desk, DeskError
from lab.experiments.__main__ import main as do
from lab.experiments.catalogue import EXPERIMENTS, carry_out
from lab.experiments.door import Door
from lab.experiments.experiment import ExperimentError
from lab.first_run import Figures, run_through
from lab.following import follow_changes
from lab.summary import Paint, describe, items, where_to_look

pytestmark = pytest.mark.timeout(400)

SCREEN = 40


class Lab:
    """One folder, started as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screen: list[str] = []
        self.figures = Figures({}, {})
        self.desk: Desk | None = None

    def start(self) -> Desk:
        """As `make run` does, until it is up."""
        self.stop()
        self.screen = []
        desk = Desk(Choices(folder=self.folder, any_ports=True, lease_seconds=3), self.screen.append)
        self.desk = desk.__enter__()
        self.figures = run_through(desk, self.screen.append)
        self.screen += [*describe(desk, self.figures, Paint(wanted=False)), *where_to_look(desk, Paint(wanted=False))]
        return desk

    def stop(self) -> None:
        desk, self.desk = self.desk, None
        if desk:
            desk.__exit__(None, None, None)

    def do(self, *words: str) -> str:
        assert self.desk is not None
        return "\n".join(carry_out(self.desk, words))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


def tickets(desk: Desk, **wanted: str) -> list[Mapping[str, Any]]:
    follow_changes(desk.connection_string)
    found = items_of(desk, "/api/v1/tickets?state=all&limit=200")
    return [one for one in found if all(one[name] == value for name, value in wanted.items())]


def items_of(desk: Desk, address: str) -> list[Mapping[str, Any]]:
    return list(desk.call("GET", address)["items"])


def asset(desk: Desk, name: str) -> Mapping[str, Any]:
    (found,) = [one for one in items(desk, "/api/v1/assets") if one["name"] == name]
    return found


def test_the_first_screen_fits_and_says_where_to_go_on(lab: Lab) -> None:
    assert lab.figures.troubles == []
    assert len([line for text in lab.screen for line in text.split("\n")]) <= SCREEN
    text = "\n".join(lab.screen)
    assert lab.desk is not None
    assert f"The desk is up at {lab.desk.url}" in text
    assert text.count("./lab/do ") >= 5
    assert "Trigger" not in text
    urgent = [line for line in lab.screen if "expired 20" in line or "expires 20" in line]
    assert len(urgent) == 6
    # The most urgent come first, and each has its date.
    assert urgent == sorted(urgent, key=lambda line: (line.split()[0] != "high", line.split()[2]))
    assert "\x1b" not in text


def test_a_sweep_after_the_first_run_closes_nothing(lab: Lab) -> None:  # KV-01
    assert lab.desk is not None
    before = {one["id"]: one["status"] for one in tickets(lab.desk)}
    assert lab.do("sweep").startswith("Swept acorn-vault: ")
    after = {one["id"]: one["status"] for one in tickets(lab.desk)}
    assert {name: after[name] for name in before} == before


def test_the_calendar_shows_what_expires(lab: Lab) -> None:
    assert lab.desk is not None
    (line,) = [line for line in lab.screen if "expiries.ics" in line]
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # The screen says where the token is, and not the token: screens are shown to others.
    assert lab.desk.tokens["calendar"] not in line
    address = line.split()[1].rstrip(",").replace("…", lab.desk.tokens["calendar"])
    text = opener.open(address, timeout=30).read().decode()
    assert "SUMMARY:acorn-vault: secret backup-token expires" in text


def test_an_expired_secret_is_one_ticket_however_often_it_is_done_and_stays_expired(lab: Lab) -> None:
    assert lab.desk is not None
    told = lab.do("expire-secret", "backup-token")
    assert "Look: ./lab/do get tickets/KV-" in told
    lab.do("expire-secret", "BACKUP-TOKEN")
    (ticket,) = tickets(lab.desk, object_name="backup-token")
    assert (ticket["priority"], ticket["status"]) == ("high", "open")
    desk = lab.start()
    assert lab.figures.troubles == []
    assert tickets(desk, object_name="backup-token") == [ticket]
    lab.do("sweep")
    assert tickets(desk, object_name="backup-token")[0]["expires_at"] == ticket["expires_at"]


def test_a_rotation_resolves_the_ticket_and_the_new_version_is_there_after_a_start(lab: Lab) -> None:
    lab.do("rotate-secret", "backup-token")
    desk = lab.start()
    lab.do("sweep")
    found = {one["kind"]: one["status"] for one in tickets(desk, object_name="backup-token")}
    assert found == {"expiry": "resolved", "new_version": "open"}
    lab.do("near-expiry", "backup-token")
    assert "expires on" in tickets(desk, object_name="backup-token", status="open", kind="expiry")[0]["summary"]


def test_a_disabled_key_and_a_deleted_certificate_are_not_put_back(lab: Lab) -> None:
    lab.do("disable-secret", "disk-encryption")
    lab.do("delete-secret", "shop-front")
    desk = lab.start()
    lab.do("sweep")
    assert {one["status"] for one in tickets(desk, object_name="disk-encryption")} == {"resolved"}
    assert {one["status"] for one in tickets(desk, object_name="shop-front")} == {"closed"}


def test_stopped_and_terminated_instances_stay_so(lab: Lab) -> None:
    lab.do("stop-instance", "ACORN-LDN-WEB-02")
    lab.do("terminate-instance", "ACORN-LDN-WEB-01", "ACORN-LDN-WEB-03")
    desk = lab.start()
    assert asset(desk, "ACORN-LDN-WEB-02")["fields"]["custom.power-state"] == "stopped"
    assert {asset(desk, f"ACORN-LDN-WEB-0{number}")["status"] for number in (1, 3)} == {"inactive"}
    with pytest.raises(ExperimentError, match="there is no instance named 'nowhere'"):
        lab.do("stop-instance", "ACORN-LDN-WEB-02", "nowhere")


def test_a_removed_user_stays_away(lab: Lab) -> None:
    lab.do("remove-user", "jim.shorts@acorn.example")
    desk = lab.start()
    (jim,) = [one for one in items(desk, "/api/v1/users") if one["name"] == "Jim Shorts"]
    assert jim["status"] == "inactive"


def test_a_failing_source_is_told_with_what_to_do_and_keeps_nothing_from_starting(lab: Lab) -> None:
    for breaks, repairs, remedy in (
        ("aws-fails", "aws-works", "Attach this policy"),
        ("authrocket-fails", "authrocket-works", "Make a key with the read permission"),
    ):
        assert remedy in lab.do(breaks)
        lab.start()
        (trouble,) = lab.figures.troubles
        assert remedy in trouble
        assert len("\n".join(lab.screen).split("\n")) <= SCREEN
        assert any(line.startswith("! ") for line in lab.screen)
        assert any(line.startswith("The desk is up at") for line in lab.screen)
        assert "answers again" in lab.do(repairs)
        assert "the import" not in lab.do("import")


def test_the_morning_says_what_the_night_did_and_nothing_once_it_is_mended(lab: Lab) -> None:
    assert "Nothing is wrong" in lab.do("morning")
    lab.do("authrocket-fails")
    lab.do("fill-brake")
    assert "import_failing of authrocket-realms/" in lab.do("morning")
    lab.do("authrocket-works")
    held = lab.do("morning")
    assert "import_withheld of authrocket-realms/" in held
    assert "import_failing" not in held


def test_a_forged_event_is_refused_and_a_strange_vault_is_quarantined(lab: Lab) -> None:
    assert lab.desk is not None
    told = lab.do("forge-event")
    assert "it answered 401" in told
    assert [one["reason"] for one in items_of(lab.desk, "/api/v1/quarantine")] == ["vault_not_allowed"]
    assert tickets(lab.desk, object_name="forged") == []


def test_the_brake_holds_is_told_at_each_start_and_is_confirmed(lab: Lab) -> None:
    # An experiment before this one may have left some held back already.
    filled = re.search(r"the brake held back (\d+) deactivations", lab.do("fill-brake"))
    assert filled is not None
    held = int(filled[1])
    assert held >= 100
    desk = lab.start()
    (trouble,) = lab.figures.troubles
    run = trouble.split("./lab/do confirm ")[1]
    before = sum(one["status"] == "active" for one in items(desk, "/api/v1/users"))
    assert f"{held} deactivated" in lab.do("confirm", run)
    assert sum(one["status"] == "active" for one in items(desk, "/api/v1/users")) == before - held
    with pytest.raises(ExperimentError, match="there is nothing to confirm"):
        lab.do("confirm", items_of(desk, "/api/v1/runs?kind=aws-tenants")[0]["id"])


def test_settings_that_a_person_changed_or_deleted_are_not_put_back(lab: Lab) -> None:
    assert lab.desk is not None
    changed = {"title": "Leeds, second floor", "customer": "st-johns"}
    body = {"documents": [{"kind": "sites", "name": "leeds", "document": changed}]}
    lab.desk.call("POST", "/api/v1/settings", json.dumps(body).encode())
    lab.desk.call("DELETE", "/api/v1/settings/authrocket-realms/customers", headers={"If-Match": "*"})
    desk = lab.start()
    assert desk.call("GET", "/api/v1/settings/sites/leeds")["document"]["title"] == "Leeds, second floor"
    with pytest.raises(DeskError, match="404"):
        desk.call("GET", "/api/v1/settings/authrocket-realms/customers")
    text = "\n".join(lab.screen)
    assert "2 left as you left them" in text
    assert "AuthRocket users: nothing to import" in text
    assert lab.figures.troubles == []


def test_a_changed_webhook_password_and_new_keys_are_told_and_the_rest_goes_on(lab: Lab) -> None:
    assert lab.desk is not None
    assert lab.desk.vaults is not None
    changed = '{"username": "event-grid", "password": "another"}'
    lab.desk.vaults.vault("deskbridge-vault").add_secret("key-vault-webhook", changed)
    lab.stop()
    (lab.folder / "keys.json").unlink()
    lab.start()
    (trouble,) = lab.figures.troubles
    assert "Key Vault events were not taken" in trouble
    assert "key-vault-webhook" in trouble
    assert any("EC2 instances: 41 read" in line for line in lab.screen)


def test_do_reaches_the_lab_only_with_its_key(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.desk is not None
    desk = lab.desk
    assert do(["sweep"], lab.folder) == 3
    assert "still starting" in capsys.readouterr().err
    with Door(0, lambda words: carry_out(desk, words)) as door:
        desk.running.publish(door=door.url, door_key="wrong")
        assert do(["sweep"], lab.folder) == 1
        assert "401" in capsys.readouterr().err
        desk.running.publish(door=door.url, door_key=door.key)
        assert do([], lab.folder) == 0
        listed = capsys.readouterr().out
        assert all(f"./lab/do {name}" in listed for name in EXPERIMENTS)
        assert do(["get", "tickets?limit=50"], lab.folder) == 0
        assert json.loads(capsys.readouterr().out)["items"]
        assert do(["expire-secret", "nothing-of-that-name"], lab.folder) == 1
        assert "There are: backup-token" in capsys.readouterr().out
    assert do(["sweep"], lab.folder.parent / "elsewhere") == 3
    assert oct((lab.folder / "running.json").stat().st_mode & 0o777) == oct(0o600)
    assert os.access(Path(__file__).resolve().parents[2] / "lab" / "do", os.X_OK)
