"""EC2's reader on its emulator, through a proxy that spoils what passes."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.server import EC2Lab
from lab.faults.network_level_proxy import FaultProxy
from lab.faults.schedule import Outcome
from shared import bootstrap
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.errors import DeskbridgeError
from shared.vaults.model import SecretValue


def read_ec2_on_network(seed: int, lab: EC2Lab, expected: int) -> Outcome:
    """Read a region of the emulator through a proxy: all of it, or a refusal in words; never a part taken for all."""
    from shared.assets.aws.client import Ec2

    findings: list[str] = []
    with FaultProxy(lab.url, seed=seed, rate=0.15, name="ec2") as proxy:
        environment = {"AWS_ENDPOINT_URL_EC2": proxy.url, "AWS_ENDPOINT_URL_STS": proxy.url}
        with patch.dict("os.environ", environment), patch("botocore.retries.standard.time.sleep", lambda _: None):
            keys = lab.credentials()
            document = _tenant(keys.access_key_id)
            secret = SecretValue(keys.secret_access_key, {}, "vault", "aws", "1")
            credentials: Any = SimpleNamespace(read=lambda *_: secret, invalidate=lambda _: None)
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
    return Outcome(seed, ("ec2",), "network", findings, proxy.injected, storage_calls=proxy.requests)


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
