"""The EC2 emulator in a process of its own, with as many instances as a large customer has."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.process import EC2Process
from lab.emulators.ec2.server import EC2Lab
from tests.lab.emulators.ec2.test_ec2 import client


def test_a_hundred_thousand_instances_come_quickly_from_a_process_of_their_own() -> None:
    with EC2Process({(ACORN, LONDON): 100_000}) as lab:
        ec2 = client(lab)
        started = time.monotonic()
        page = ec2.describe_instances(MaxResults=1_000)  # nothing is made before it is asked for
        assert time.monotonic() - started < 20
        assert sum(len(reservation["Instances"]) for reservation in page["Reservations"]) == 1_000
        lab.script("refuse", code="OptInRequired")
        with pytest.raises(ClientError):
            ec2.describe_instances(MaxResults=5)
        assert [call["code"] for call in lab.journal(forget=True)] == [None, "OptInRequired"]
        assert lab.journal() == []


def test_prepared_pages_are_not_rendered_again() -> None:
    with EC2Lab({(ACORN, LONDON): 3_000}) as lab:
        assert lab.prepare() == 3_000
        started = time.process_time()
        request = urllib.request.Request(f"{lab.url}/_lab/prepare", b"{}", method="POST")  # noqa: S310 - loopback
        with urllib.request.urlopen(request) as response:  # noqa: S310 - loopback
            assert json.load(response) == {"result": 3_000}
        assert time.process_time() - started < 0.25


def test_the_process_ends_with_its_owner() -> None:
    code = (
        "import os\nfrom lab.emulators.ec2.process import EC2Process\n"
        "lab = EC2Process().start()\nprint(lab.process_id, flush=True)\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    deadline = time.monotonic() + 10
    while _alive(int(done.stdout)):
        assert time.monotonic() < deadline, "the emulator outlived its owner"
        time.sleep(0.05)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
