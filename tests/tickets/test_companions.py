"""A certificate has one ticket: those of its key and its secret fold into it, whatever came first."""

from datetime import timedelta
from itertools import permutations

import pytest

from shared.tickets.domain.model import ObjectType
from tests.fakes.tables import MemoryTables
from tests.tickets.desk import Desk
from tests.tickets.test_decide import days, kv_event
from tests.tickets.test_sweep import EXPIRES, NOW, Swept

KINDS = ("Certificate", "Secret", "Key")
COMPANIONS = (ObjectType.SECRET, ObjectType.KEY)


def near(kind: str, version: str = "aa") -> dict[str, object]:
    return kv_event("NearExpiry", version, NOW - timedelta(days=1), name="web", kind=kind, expires=EXPIRES)


def open_types(desk: Desk) -> list[str]:
    return sorted(str(row["object_type"]) for row in desk.tickets() if row["status"] == "open")


def test_in_whatever_order_their_events_come_one_ticket_is_open_and_the_tables_are_the_same() -> None:
    contents = []
    for order in permutations(KINDS):
        for together in (True, False):
            desk = Desk()
            batches = [[near(kind) for kind in order]] if together else [[near(kind)] for kind in order]
            for batch in batches:
                assert desk.post(batch).status == 200
            assert open_types(desk) == ["certificate"]
            assert isinstance(desk.tables, MemoryTables)
            rows = desk.tables.contents()["tickets"]
            # What the index is told depends on the deliveries; what it then shows does not.
            contents.append({key: row for key, row in rows.items() if not key[1].startswith("~")})
    assert all(content == contents[0] for content in contents)


def test_a_companions_ticket_says_where_to_look() -> None:
    desk = Desk()
    desk.post([near("Secret"), near("Certificate")])
    [ticket] = [row for row in desk.tickets() if row["object_type"] == "secret"]
    assert ticket["status"] == "resolved"
    assert desk.texts(ticket["ticket_id"])[-1] == (
        "Resolved: this belongs to the certificate web, whose ticket tells of it."
    )


@pytest.mark.parametrize("told", [KINDS, ("Secret", "Key"), ("Key",)])
def test_after_a_renewal_nothing_stays_open(told: tuple[str, ...]) -> None:
    desk = Swept()
    desk.desk.post([near(kind) for kind in told])
    for object_type in (ObjectType.CERTIFICATE, *COMPANIONS):
        managed = object_type is not ObjectType.CERTIFICATE
        desk.vault.put("web", "aa", object_type, managed=managed)
    desk.sweep()
    assert open_types(desk.desk) == ["certificate"]
    for object_type in (ObjectType.CERTIFICATE, *COMPANIONS):
        managed = object_type is not ObjectType.CERTIFICATE
        renewed = NOW + timedelta(days=300)
        desk.vault.put("web", "bb", object_type, managed=managed, created_at=NOW, expires_at=renewed)
    desk.sweep(NOW + timedelta(days=1))
    assert open_types(desk.desk) == []


@pytest.mark.parametrize("kind", ["Secret", "Key"])
def test_an_event_after_a_list_that_said_managed_opens_nothing(kind: str) -> None:
    desk = Swept()
    desk.vault.put("web", "aa", ObjectType(kind.casefold()), managed=True)
    desk.sweep()
    assert desk.desk.tickets() == []
    desk.desk.post([near(kind)])
    assert open_types(desk.desk) == []


def test_a_secret_of_a_certificates_name_and_another_version_is_its_own() -> None:
    desk = Desk()
    desk.post([near("Certificate"), near("Secret", "zz")])
    assert open_types(desk) == ["certificate", "secret"]


def test_a_new_version_of_a_certificate_has_one_ticket_too() -> None:
    desk = Desk()
    desk.post([kv_event("NewVersionCreated", "aa", days(1), name="web", kind=kind) for kind in reversed(KINDS)])
    assert open_types(desk) == ["certificate"]
