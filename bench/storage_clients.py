"""The table client: what an entity costs to write and to read, against the SDK's own way."""

import itertools
import json
from datetime import UTC, datetime
from statistics import median
from typing import Any

from azure.data.tables import TableServiceClient

from bench.figures import Figure, Results
from bench.measuring import Effort, alternately, ratio
from bench.table_service import TableProcess
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create, Row, Save, Value, partition

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


def _entity(row: Row) -> dict[str, Any]:
    return {"PartitionKey": row.partition_key, "RowKey": row.row_key, **row.values}


def measure(effort: Effort, results: Results) -> None:
    numbers = itertools.count()
    rows = [_row(number) for number in range(1_000)]
    with TableProcess() as service:
        tables = RestTables.from_connection_string(service.connection_string)
        table, singles_table = tables.table("things"), tables.table("single")
        account = TableServiceClient.from_connection_string(service.connection_string)
        sdk, sdk_singles = account.get_table_client("things"), account.get_table_client("single")
        where = f"PartitionKey eq '{rows[0].partition_key}'"

        def write() -> None:
            for start in range(0, len(rows), 100):
                table.transact(rows[0].partition_key, [Save(row) for row in rows[start : start + 100]])

        def write_by_sdk() -> None:
            for start in range(0, len(rows), 100):
                batch = [("upsert", _entity(row), {"mode": "replace"}) for row in rows[start : start + 100]]
                sdk.submit_transaction(batch)

        def read() -> None:
            for _ in range(5):
                table.page([partition(rows[0].partition_key)], select=_COLUMNS)

        def read_by_sdk() -> None:
            for _ in range(5):
                list(next(sdk.query_entities(where, select=["PartitionKey", "RowKey", *_COLUMNS]).by_page()))

        def single() -> None:
            for row in rows[:50]:
                singles_table.transact("p", [Create(Row("p", f"rest{next(numbers)}", row.values))])

        def single_by_sdk() -> None:
            for row in rows[:50]:
                sdk_singles.create_entity({"PartitionKey": "p", "RowKey": f"sdk{next(numbers)}", **row.values})

        def floor() -> None:
            for row in rows:
                json.dumps({**row.values, "changed_at": ""})

        writes = alternately({"rest": write, "sdk": write_by_sdk, "floor": floor}, effort.rounds)
        # A round takes a tenth of a second, and other work beside it moves it by as much as is looked for.
        reads = alternately({"rest": read, "sdk": read_by_sdk}, effort.rounds * 6)
        singles = alternately({"rest": single, "sdk": single_by_sdk}, effort.rounds)
    per_write, per_read = median(writes["rest"]) / 1_000 * 1e6, median(reads["rest"]) / 5_000 * 1e6
    results.add(
        Figure(
            GROUP,
            "writing an entity, in hundreds",
            ratio(writes["rest"], writes["sdk"]),
            "×",
            f"the SDK's submit_transaction ({median(writes['sdk']) / 1_000 * 1e6:.0f} µs)",
            f"{per_write:.1f} µs an entity",
            aim=0.1,
            note=f"{ratio(writes['rest'], writes['floor']):.1f} times json.dumps of the same values",
        ),
        Figure(
            GROUP,
            "reading a row of five columns",
            ratio(reads["rest"], reads["sdk"]),
            "×",
            f"the SDK's query_entities ({median(reads['sdk']) / 5_000 * 1e6:.1f} µs)",
            f"{per_read:.1f} µs a row",
            aim=0.2,
        ),
        Figure(
            GROUP,
            "one single write",
            ratio(singles["rest"], singles["sdk"]),
            "×",
            "the SDK's create_entity",
            f"{median(singles['rest']) / 50 * 1e6:.0f} µs",
        ),
    )
