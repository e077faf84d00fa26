"""The lab as a whole: its document, its ports, its certificate authority, starting and stopping, and the process."""

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from lab.emulators.key_vault import LabError, VaultControl, VaultLab
from lab.emulators.key_vault.moments import resolve, written
from lab.emulators.ports import LOOPBACK, PortTakenError
from tests.lab.emulators.key_vault.conftest import DOCUMENT, Clients

ROOT = Path(__file__).resolve().parents[4]
ANCHOR = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SEEDED: dict[str, Any] = {
    "identities": [{"name": "host", "kind": "system"}],
    "vaults": [
        {
            "name": "kv-acorn",
            "grants": [{"principal": "host", "roles": ["Key Vault Administrator"]}],
            "secrets": [
                {"name": "db-password", "value": "old", "expires_at": "-1d"},
                {"name": "db-password", "value": "new", "expires_at": "+20d", "content_type": "text/plain"},
                {"name": "off", "value": "x", "enabled": False},
            ],
            "keys": [{"name": "signing", "expires_at": "+3d"}],
            "certificates": [{"name": "www", "expires_at": "+2w"}],
        }
    ],
}


def contents(lab: VaultLab) -> Any:
    return lab.describe()["vaults"][0]["objects"]


def test_a_document_seeds_vaults_with_times_relative_to_the_anchor(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(json.dumps(SEEDED), "utf-8")  # JSON is YAML
    with VaultLab(file, anchor=ANCHOR) as lab:
        found = {(held["object_type"], held["name"]): held for held in contents(lab)}
    assert found[("secrets", "db-password")]["expires_at"] == (ANCHOR + timedelta(days=20)).isoformat()
    assert len(found[("secrets", "db-password")]["versions"]) == 2
    assert found[("secrets", "off")]["enabled"] is False
    assert found[("keys", "signing")]["expires_at"] == (ANCHOR + timedelta(days=3)).isoformat()
    assert [found[(kind, "www")]["managed"] for kind in ("certificates", "keys", "secrets")] == [False, True, True]


def test_the_same_document_and_anchor_give_the_same_versions_and_times_at_each_start() -> None:
    with VaultLab(SEEDED, anchor=ANCHOR) as first:
        once, identity = contents(first), first.describe()["identities"]
    with VaultLab(SEEDED, anchor=ANCHOR) as second:
        assert contents(second) == once
        assert second.describe()["identities"] == identity


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"vaults": [{"name": "v", "secrets": [{"name": "a_b", "value": "hidden"}]}]}, r"vaults\.0\.secrets\.0\.name"),
        (
            {"vaults": [{"name": "v", "secrets": [{"name": "a", "value": "hidden", "expires_at": "soon"}]}]},
            "expires_at",
        ),
        ({"vaults": [{"name": "v", "permision_model": "rbac"}]}, "permision_model: Extra inputs"),
        ({"vaults": [{"name": "v", "tenant_id": "nowhere"}]}, "no tenant nowhere"),
        ({"vaults": [{"name": "v"}, {"name": "v"}]}, "named 'v' already"),
        ({"vaults": [{"name": "v", "grants": [{"principal": "p", "roles": ["King"]}]}]}, "unknown role 'King'"),
        ({"identities": [{"name": "a", "kind": "system"}, {"name": "b", "kind": "system"}]}, "one system-assigned"),
    ],
)
def test_a_faulty_document_is_refused_with_the_place_of_its_fault(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=words) as refused, VaultLab(fault):
        pytest.fail("a faulty lab must not start")
    assert "hidden" not in str(refused.value)


def test_the_example_fleet_starts_and_holds_what_it_says() -> None:
    with VaultLab(ROOT / "lab" / "emulators" / "key_vault" / "fleet.yaml") as lab:
        names = {(held["object_type"], held["name"]) for held in contents(lab)}
        assert ("secrets", "sql-password") in names
        assert ("secrets", "deleted-password") not in names
        lab.vault("kv-acorn").recover("deleted-password")
        assert ("secrets", "deleted-password") in {(held["object_type"], held["name"]) for held in contents(lab)}


def test_times_are_read_and_written_in_every_form() -> None:
    assert resolve(timedelta(days=1), ANCHOR) == ANCHOR + timedelta(days=1)
    assert resolve(None, ANCHOR) is None
    assert written(timedelta(hours=-1)) == "-3600.000000s"
    assert written(ANCHOR) == "2030-01-02T03:04:05+00:00"


def test_a_certificate_authority_is_kept_and_still_trusted_after_a_restart(tmp_path: Path) -> None:
    with VaultLab(DOCUMENT, folder=tmp_path) as lab, requests.Session() as session:
        ports = lab.ports
        # The bundle is read once, as a running host does.
        session.verify = lab.environment()["REQUESTS_CA_BUNDLE"]
        assert session.get(f"{lab.vault('kv-acorn').url}/secrets", timeout=5).status_code == 401
        header = lab.environment()["IDENTITY_HEADER"]
        token = requests.get(
            lab.identity_url,
            params={"api-version": "2019-08-01", "resource": "https://vault.azure.net"},
            headers={"X-IDENTITY-HEADER": lab.environment()["IDENTITY_HEADER"]},
            timeout=5,
        ).json()["access_token"]
        certificate = lab.ca_certificate.read_bytes()
        lab.stop()
        with VaultLab(DOCUMENT, folder=tmp_path, ports=ports) as again:
            assert again.ports == ports
            assert again.environment()["IDENTITY_HEADER"] == header
            assert again.ca_certificate.read_bytes() == certificate
            vault = again.vault("kv-acorn")
            vault.add_secret("db-password", "p@ss")
            answer = session.get(
                f"{vault.url}/secrets/db-password?api-version=7.6",
                headers={"Authorization": f"Bearer {token}"},
                timeout=5,
            )
            assert answer.status_code == 200, "a token outlives a restart, as the client's cache of it does"
    for name in ("ca-key.pem", "token-key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_bundle_trusts_the_world_as_well_as_the_lab(lab: VaultLab) -> None:
    bundle = Path(lab.environment()["REQUESTS_CA_BUNDLE"]).read_text("ascii", "ignore")
    assert lab.ca_certificate.read_text("ascii") in bundle
    assert bundle.count("BEGIN CERTIFICATE") > 50


def test_a_taken_port_is_named_with_what_it_was_for_and_nothing_is_left_behind() -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = VaultLab(DOCUMENT, ports={"vault:kv-acorn": port})
        with pytest.raises(PortTakenError, match=rf"port {port}, wanted for the lab's vault kv-acorn, is taken"):
            lab.start()
    assert lab.ports == {}
    with lab:
        assert lab.ports["vault:kv-acorn"] == port


def test_a_stopped_lab_drops_the_connections_that_clients_keep(lab: VaultLab) -> None:
    with requests.Session() as session, tempfile.NamedTemporaryFile() as kept:
        Path(kept.name).write_bytes(lab.ca_certificate.read_bytes())
        session.trust_env, session.verify = False, kept.name
        url = lab.vault("kv-acorn").url
        assert session.get(url, timeout=5).status_code == 401
        lab.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=5)
    lab.stop()  # a second time does nothing


def test_connections_are_kept_open_between_requests(lab: VaultLab) -> None:
    with requests.Session() as session:
        session.verify = str(lab.ca_certificate)
        url = lab.vault("kv-acorn").url
        for _ in range(5):
            assert session.get(url, timeout=5).raw.version == 11
        (pool,) = session.adapters["https://"].poolmanager.pools._container.values()  # type: ignore[attr-defined]  # not in the stubs
        assert (pool.num_connections, pool.num_requests) == (1, 5)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    file = tmp_path / "lab.json"
    file.write_text(json.dumps(SEEDED), "utf-8")
    command = [
        sys.executable,
        "-m",
        "lab.emulators.key_vault",
        "--config",
        str(file),
        "--folder",
        str(tmp_path / "tls"),
    ]
    command += ["--end-with-parent"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        yield started
        if started.poll() is None:
            started.kill()


def test_the_lab_runs_as_a_process_and_ends_when_told(
    process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import ManagedIdentityCredential
    from azure.keyvault.secrets import SecretClient

    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    for name, value in ready["environment"].items():
        monkeypatch.setenv(name, value)
    url = ready["vaults"][0]["url"]
    with ManagedIdentityCredential() as credential, VaultControl(ready["control_url"]) as control:
        with SecretClient(url, credential, verify_challenge_resource=False, retry_total=0) as client:
            assert client.get_secret("db-password").value == "new"
            control.vault("kv-acorn").add_secret("db-password", "newer")
            assert client.get_secret("db-password").value == "newer"
        assert [entry.object_name for entry in control.values_read()] == ["db-password", "db-password"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert _rest(process.stderr) == ""


def test_the_process_ends_with_whoever_started_it(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert json.loads(process.stdout.readline())["ready"] is True
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def _rest(stream: IO[str] | None) -> str:
    return stream.read() if stream else ""


def test_a_process_with_a_faulty_document_says_so_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("vaults: [{nam: x}]\n", "utf-8")
    command = [sys.executable, "-m", "lab.emulators.key_vault", "--config", str(file), "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "vaults.0.name: Field required" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_fresh_clients_first_secret_costs_one_token_and_two_requests(lab: VaultLab, clients: Clients) -> None:
    lab.vault("kv-acorn").add_secret("db-password", "p@ss")
    clients.secrets().get_secret("db-password")
    asked = [(entry.service, entry.status) for entry in lab.journal()]
    assert asked == [("vault", 401), ("identity", 200), ("vault", 200)]
