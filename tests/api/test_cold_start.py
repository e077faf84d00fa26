"""A fresh worker that only reads: it loads neither AWS's nor Key Vault's client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Storage itself is asked with azure.data.tables; here tables in memory stand in, so that what is left shows.
HEAVY = ("boto3", "botocore", "azure.keyvault", "azure.identity", "azure.storage", "msal", "cryptography")
READING = (
    "tickets",
    "assets",
    "assets/manual:one/history",
    "users",
    "runs",
    "quarantine",
    "sweeps",
    "summary",
    "imports",
    "settings",
    "settings/aws-tenants",
    "settings/sites/none/history",
    "exports/assets?format=csv",
    "exports/tickets?format=jsonl",
    "credentials/none/uses",
    "openapi.json",
    "health",
)
SCRIPT = """
import json, sys
from shared import bootstrap
from tests.fakes.tables import MemoryTables
from tests.api.calling import call
bootstrap.replace("tables", MemoryTables())
# The making of the caller's token sends a message.
bootstrap.replace("outbox_messages", lambda _: None)
status = call("GET", sys.argv[1]).status
print(json.dumps({"status": status, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize("address", READING)
def test_a_reading_endpoint_loads_neither_boto3_nor_key_vaults_client(address: str) -> None:
    environment = {"PATH": os.defpath, "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, address], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] in {200, 404}
    loaded = {module for module in answer["modules"] if module.startswith(HEAVY)}
    assert not loaded
