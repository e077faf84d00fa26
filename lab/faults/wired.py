"""The wire level: tickets and imports on the real storage emulator, and EC2's reader on its stand-in, with the client
libraries that the product uses, through a proxy that spoils what passes."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lab.ec2.accounts import ACORN, LONDON
from lab.ec2.server import EC2Lab
from lab.fakes.tables import MemoryTables
from lab.faults.checks import run_faults
from lab.faults.comparing import differences
from lab.faults.desk import furnish
from lab.faults.disturbances import CALM, Disturbances
from lab.faults.far_sides import FarEc2, FarVault
from lab.faults.host import request
from lab.faults.rotating import SECRETS, WEBHOOK_USER
from lab.faults.schedule import Outcome
from lab.faults.simulation import Simulation
from lab.faults.story import BEGINS, TENANT, Chapters, Story
from lab.faults.telling import make_story
from lab.faults.wire import FaultProxy
from shared import bootstrap
from shared.environment import load_environment
from shared.errors import ChangedMeanwhileError, ConflictError, DeskbridgeError
from shared.imports.model import Trigger
from shared.settings.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.storage.lean_tables import LeanTables
from shared.storage.names import TABLES
from shared.storage.rows import Save
from shared.storage.tables import Tables, scan
from shared.vaults.model import SecretValue

# The library's own patience, shortened: a silent proxy must not cost 15 s each time.
_QUICK: Mapping[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.02,
    "retry_backoff_max": 0.2,
    "connection_timeout": 2,
    "read_timeout": 0.5,
}
_MOST_TRIES = 40


def run_wired(seed: int, connection_string: str, table_endpoint: str) -> Outcome:
    """Deliver the events of a story and run its imports, on an empty storage account, through a proxy.

    `table_endpoint` is the http://host:port in the connection string that the proxy takes the place of.
    """
    # Days, deliveries and imports alone: nobody operates here.
    story = replace(make_story(random.Random(f"story {seed}"), ("tickets", "ec2")), also=Chapters(), edits=())
    calm = MemoryTables()
    _play(story, calm, calm)
    direct = LeanTables.from_connection_string(connection_string)
    with FaultProxy(table_endpoint, seed=seed, rate=0.1, silent_seconds=0.7) as proxy:
        spoilt = connection_string.replace(f"{table_endpoint}/", f"{proxy.url}/")
        tables = LeanTables.from_connection_string(spoilt, **_QUICK)
        try:
            findings = _play(story, direct, tables)
        except Exception as error:  # noqa: BLE001 - kept as a finding
            # What is no refusal of the product's is the finding.
            findings = [f"an error without a reason: {type(error).__name__}: {error}"]
    played = _copy(direct)
    findings += differences(story, calm, played) + run_faults(played, one_clock=True)
    return Outcome(seed, story.flows, "wire", findings, proxy.injected, storage_calls=proxy.requests)


def read_ec2_wired(seed: int, lab: EC2Lab, expected: int) -> Outcome:
    """Read a region of the stand-in through a proxy: all of it, or a refusal in words; never a part taken for all."""
    from shared.assets.ec2 import Ec2

    findings: list[str] = []
    with FaultProxy(lab.url, seed=seed, rate=0.15) as proxy:
        environment = {"AWS_ENDPOINT_URL_EC2": proxy.url, "AWS_ENDPOINT_URL_STS": proxy.url}
        with patch.dict("os.environ", environment), patch("botocore.retries.standard.time.sleep", lambda _: None):
            keys = lab.credentials()
            document = _tenant(keys.access_key_id)
            secret = SecretValue(keys.secret_access_key, {}, "vault", "aws", "1")
            credentials: Any = SimpleNamespace(read=lambda _: secret, refused=lambda _: None)
            reader = Ec2(credentials, lambda *_: "", bootstrap.now)
            try:
                pages = list(reader.read_instances(document, AccountDocument(account=ACORN), LONDON, page_size=20))
            except DeskbridgeError as error:
                if not error.message:
                    findings.append("a refusal without words")
            except Exception as error:  # noqa: BLE001 - kept as a finding
                # What is no refusal of the product's is the finding.
                findings.append(f"an error without a reason: {type(error).__name__}: {error}")
            else:
                found = [str(instance["InstanceId"]) for page in pages for instance in page]
                if len(set(found)) != expected:
                    findings.append(f"{len(set(found))} instances of {expected} were taken for all of them")
    return Outcome(seed, ("ec2",), "wire", findings, proxy.injected, storage_calls=proxy.requests)


def _play(story: Story, furnished: Tables, tables: Tables) -> list[str]:
    """Deliver, import day after day, each again until it is taken. The settings are written without faults."""
    scratch = MemoryTables()
    furnish(scratch, story)
    for name, table in scratch.tables.items():
        for (partition_key, _), row in table.rows.items():
            furnished.table(name).transact(partition_key, [Save(row)])
    moment = SimpleNamespace(at=BEGINS + timedelta(hours=2))
    simulation: Any = SimpleNamespace(at=moment.at, pause=lambda: None, sleep=lambda _: None)
    findings: list[str] = []
    with _composed(story, tables, simulation):
        for _, batch, _ in story.deliveries:
            findings += _deliver(list(batch))
        for _ in story.days:
            findings += _import(simulation)
            simulation.at += timedelta(days=1)
        # A last one for what a day before could not be read, and one after the time of grace.
        for _ in range(2):
            simulation.at += timedelta(days=1)
            findings += _import(simulation)
    return findings


@contextmanager
def _composed(story: Story, tables: Tables, simulation: Simulation) -> Iterator[None]:
    def now() -> datetime:
        simulation.at += timedelta(milliseconds=1)
        return simulation.at

    calm = Disturbances(random.Random(0), rates=CALM)
    before = bootstrap.exchange({})
    try:
        with patch.object(bootstrap, "now", now):
            bootstrap.replace("environment", load_environment({"AzureWebJobsStorage": "through the proxy"}))
            bootstrap.replace("callers_are_signed_in", False)
            bootstrap.replace("tables", tables)
            bootstrap.replace("vaults", FarVault(story, simulation, calm))
            bootstrap.replace("ec2", FarEc2(story, simulation, calm, bootstrap.credentials()))
            yield
    finally:
        bootstrap.exchange(before)


def _deliver(batch: list[dict[str, Any]]) -> list[str]:
    from functions.key_vault_events import receive_key_vault_events
    from lab.event_grid.subscription import basic_authorization

    headers = {
        "aeg-event-type": "Notification",
        "Authorization": basic_authorization(WEBHOOK_USER, SECRETS["webhook"]),
    }
    for _ in range(_MOST_TRIES):
        answer = receive_key_vault_events(req=request("POST", body=batch, headers=headers))
        if answer.status_code == 200:
            return []
        if answer.status_code < 500 or b'"internal"' in answer.get_body():
            return [f"a delivery was answered {answer.status_code}: {answer.get_body()!r}"]
    return ["a delivery is never taken"]


def _import(simulation: Simulation) -> list[str]:
    """A day's import, its parts given again until they are done, as the queue and the housekeeping do it."""
    messages: list[Any] = []
    for _ in range(_MOST_TRIES):
        try:
            started = bootstrap.imports().start("aws-tenants", TENANT, trigger=Trigger.SCHEDULED, by="schedule")
        except (ConflictError, ChangedMeanwhileError):
            break
        except DeskbridgeError:
            simulation.at += timedelta(minutes=1)
            continue
        messages = list(started.messages)
        break
    for _ in range(_MOST_TRIES):
        while messages:
            message = messages.pop(0)
            for attempt in range(5):
                try:
                    messages += bootstrap.imports().do_part(message, redelivered=attempt > 0)
                    break
                except DeskbridgeError:
                    simulation.at += timedelta(minutes=1)
        simulation.at += timedelta(minutes=16)
        try:
            messages += bootstrap.run_keeper().keep()
            if not bootstrap.runs().open_runs():
                return []
        except DeskbridgeError:
            continue
    return ["an import does not end"]


def _copy(tables: Tables) -> MemoryTables:
    copied = MemoryTables()
    for name in TABLES:
        for row in scan(tables.table(name), []):
            copied.table(name).transact(row.partition_key, [Save(row)])
    return copied


def _tenant(access_key_id: str) -> AwsTenantDocument:
    return AwsTenantDocument.model_validate(
        {
            "title": "Acorn",
            "access": {
                "method": "access_key",
                "access_key_id": access_key_id,
                "secret": {"credential": "aws"},
            },
            "accounts": [{"account": ACORN}],
            "regions": [LONDON],
            "field_mappings": [{"source": "tags.Name", "field": "name"}],
            "asset_type": {"default": "server"},
            "default_site": "leeds",
        }
    )
