"""What a person changed in the emulators is found again by the next start, by whichever way it was changed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from lab.changes import Changes, KeptAuthRocket, KeptFleet
from lab.emulators.key_vault import VaultLab
from lab.emulators.key_vault.control import VaultControl

DOCUMENT = {"vaults": [{"name": "acorn-vault", "secrets": [{"name": "mail-password", "value": "first"}]}]}
ACORN, LONDON = "111122223333", "eu-west-2"


class Lab:
    """Three emulators and the file of their changes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "changes.jsonl"
        self.vaults, self.fleet, self.authrocket = VaultLab(DOCUMENT), KeptFleet(), KeptAuthRocket(user_count=5)
        for part in (self.vaults, self.fleet, self.authrocket):
            part.start()
        self.lost = list(Changes(self.path).keep(self.vaults, self.fleet, self.authrocket))

    def stop(self) -> None:
        for part in (self.vaults, self.fleet, self.authrocket):
            part.stop()

    def secret(self) -> dict[str, object]:
        (found,) = self.vaults.call("describe_vault", vault="acorn-vault")["objects"]
        return dict(found)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.stop()


def again(lab: Lab) -> Lab:
    """The lab after the next start."""
    lab.stop()
    return Lab(lab.path.parent)


def test_secrets_changed_over_the_control_address_keep_versions_and_times(lab: Lab) -> None:
    with VaultControl(lab.vaults.control_url) as control:
        control.vault("acorn-vault").add_secret("mail-password", "second", expires_at="+20d")
        control.vault("acorn-vault").change("mail-password", enabled=False)
    before = lab.secret()
    assert datetime.fromisoformat(str(before["expires_at"])) > datetime.now(UTC)
    next_lab = again(lab)
    try:
        assert next_lab.secret() == before
        assert next_lab.lost == []
        assert oct(next_lab.path.stat().st_mode & 0o777) == oct(0o600)
    finally:
        next_lab.stop()


def test_instances_users_and_what_refuses_them_stay_so(lab: Lab) -> None:
    machine = next(one for one in lab.fleet.machines() if one["label"] == "web-1")
    asked = {"instance_id": machine["instance_id"], "state": "stopped"}
    requests.post(f"{lab.fleet.url}/_lab/set_state", json=asked, timeout=10).raise_for_status()
    lab.fleet.control("refuse", {"account": ACORN, "region": LONDON, "code": "AuthFailure"})
    added = lab.authrocket.add_user(email="new@acorn.example")
    lab.authrocket.change_user(added["id"], first_name="Nova")
    gone = next(iter(lab.authrocket.realm().users))
    lab.authrocket.remove_user(gone)
    lab.authrocket.answer_with(503)
    next_lab = again(lab)
    try:
        users = next_lab.authrocket.realm().users
        assert gone not in users
        assert users[added["id"]]["first_name"] == "Nova"
        headers = {"Authrocket-Api-Key": next_lab.authrocket.api_key}
        assert requests.get(f"{next_lab.authrocket.url}/users", headers=headers, timeout=10).status_code == 503
        next_lab.authrocket.answer_with(None)
        assert requests.get(f"{next_lab.authrocket.url}/users", headers=headers, timeout=10).status_code != 503
        assert next_lab.lost == []
    finally:
        next_lab.stop()


def test_a_line_that_cannot_be_repeated_is_told_and_the_others_count(lab: Lab) -> None:
    lab.vaults.vault("acorn-vault").change("mail-password", enabled=False)
    lines = lab.path.read_text("utf-8")
    gone = json.dumps(["key_vault", "delete_object", {"vault": "acorn-vault", "name": "never-there"}])
    lab.path.write_text(f"not json\n{gone}\n[1]\n{lines}", "utf-8")
    next_lab = again(lab)
    try:
        assert [told.split(" of ")[0] for told in next_lab.lost] == ["line 1", "line 2", "line 3"]
        assert "never-there" in next_lab.lost[1]
        assert next_lab.secret()["enabled"] is False
    finally:
        next_lab.stop()
