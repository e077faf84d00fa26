"""The table client: what an entity costs to write and to read, leanly and through the SDK's own way."""

import itertools
import json
from datetime import UTC, datetime
from statistics import median

from azure.data.tables import TableServiceClient

from bench.figures import Figure, Results
from bench.measuring import Effort, alternately, ratio
from bench.table_service import TableProcess
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create, Operation, Row, Save, Value, partition
from shared.storage.sdk_tables import SdkTables

GROUP = "Table client"
_COLUMNS = ("active", "hash", "link", "claimed_by", "gone_since")


def _row(number: int) -> Row:
    values: dict[str, Value] = {
        "active": True,
        "hash": f"{number:024x}",
        "f_name": f"ACORN-LDN-{number:06}",
        "f_asset_number": f"SERV-{number:06}",
        "f_model": "m6i.xlarge",
        "type": "server",
        "site": "leeds",
        "changed_at": datetime(2026, 1, 1, tzinfo=UTC),
        "source": json.dumps({"Name": f"ACORN-LDN-{number:06}", "Tags": ["x" * 40] * 8}),
    }
    return Row("aws:111122223333:eu-west-2", f"i-{number:017x}", values)


def measure(effort: Effort, results: Results) -> None:
    numbers = itertools.count()
    rows = [_row(number) for number in range(1_000)]
    with TableProcess() as service:
        clients = {
            "lean": RestTables.from_connection_string(service.connection_string).table("things"),
            "plain": SdkTables.from_connection_string(service.connection_string).table("things"),
        }
        sdk = TableServiceClient.from_connection_string(service.connection_string).get_table_client("single")

        def write(client: str) -> None:
            for start in range(0, len(rows), 100):
                # New rows: one that was sent before has been measured against the limits already.
                copies = [Row(row.partition_key, row.row_key, row.values) for row in rows[start : start + 100]]
                batch: list[Operation] = [Save(row) for row in copies]
                clients[client].transact(rows[0].partition_key, batch)

        def read(client: str) -> None:
            for _ in range(5):
                clients[client].page([partition(rows[0].partition_key)], select=_COLUMNS)

        def single(client: str) -> None:
            for row in rows[:50]:
                key = f"{client}{next(numbers)}"
                if client == "sdk":
                    sdk.create_entity({"PartitionKey": "p", "RowKey": key, **row.values})
                else:
                    clients[client].transact("p", [Create(Row("p", key, row.values))])

        def floor() -> None:
            for row in rows:
                json.dumps({**row.values, "changed_at": ""})

        writes = alternately(
            {"lean": lambda: write("lean"), "plain": lambda: write("plain"), "floor": floor}, effort.rounds
        )
        # A round takes a tenth of a second, and other work beside it moves it by as much as is looked for.
        reads = alternately({"lean": lambda: read("lean"), "plain": lambda: read("plain")}, effort.rounds * 6)
        singles = alternately({"lean": lambda: single("lean"), "sdk": lambda: single("sdk")}, effort.rounds)
    per_write, per_read = median(writes["lean"]) / 1_000 * 1e6, median(reads["lean"]) / 5_000 * 1e6
    results.add(
        Figure(
            GROUP,
            "writing an entity, in hundreds",
            ratio(writes["lean"], writes["plain"]),
            "×",
            f"the SDK's submit_transaction ({median(writes['plain']) / 1_000 * 1e6:.0f} µs)",
            f"{per_write:.1f} µs an entity",
            aim=0.1,
            note=f"{ratio(writes['lean'], writes['floor']):.1f} times json.dumps of the same values",
        ),
        Figure(
            GROUP,
            "reading a row of five columns",
            ratio(reads["lean"], reads["plain"]),
            "×",
            f"the SDK's query_entities ({median(reads['plain']) / 5_000 * 1e6:.1f} µs)",
            f"{per_read:.1f} µs a row",
            aim=0.2,
        ),
        Figure(
            GROUP,
            "one single write",
            ratio(singles["lean"], singles["sdk"]),
            "×",
            "the SDK's create_entity",
            f"{median(singles['lean']) / 50 * 1e6:.0f} µs",
        ),
    )
