"""A peer's own reading and transformation of the fleet, run by the peer's own environment: nothing of ours is imported.

`python peer_subject.py loop|cartography|cloud-custodian`, with the AWS settings in the environment; prints JSON.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

REGION, ACCOUNT = os.environ["AWS_DEFAULT_REGION"], os.environ["BENCH_ACCOUNT"]


def loop() -> Callable[[], int]:
    """What boto3 costs that lists the instances and looks at each."""
    import boto3

    pages = boto3.Session().client("ec2").get_paginator("describe_instances")

    def read() -> int:
        return sum(
            1
            for page in pages.paginate(PaginationConfig={"PageSize": 1_000})
            for reservation in page.get("Reservations", ())
            for _ in reservation.get("Instances", ())
        )

    return read


def cartography() -> Callable[[], int]:
    """Listing and transforming, as its sync does before it loads its graph."""
    import boto3

    instances = import_module("cartography.intel.aws.ec2.instances")
    session = boto3.Session()

    def read() -> int:
        found: Any = instances.get_ec2_instances(session, REGION)
        for reservation in found:
            for instance in reservation["Instances"]:
                # Instances on their way out have none here, and it asks each for them.
                instance.setdefault("NetworkInterfaces", [])
        return len(instances.transform_ec2_instances(found, REGION, ACCOUNT).instance_list)

    return read


def cloud_custodian() -> Callable[[], int]:
    """The resources of a policy over all instances, as it has them before filters and actions."""
    import_module("c7n.resources").load_resources(("aws.ec2",))
    folder = tempfile.mkdtemp()
    config = import_module("c7n.config").Config.empty(
        region=REGION, regions=[REGION], account_id=ACCOUNT, output_dir=folder, cache=None
    )
    collection = import_module("c7n.policy").PolicyCollection
    policies = collection.from_data({"policies": [{"name": "all", "resource": "aws.ec2"}]}, config)
    manager = next(iter(policies)).resource_manager
    shutil.rmtree(folder, ignore_errors=True)
    return lambda: len(manager.resources())


SUBJECTS = {"loop": loop, "cartography": cartography, "cloud-custodian": cloud_custodian}


def main() -> None:
    subject = SUBJECTS[sys.argv[1]]()
    before = time.process_time()
    count = subject()
    cpu = time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu, "count": count, "memory": memory}))


if __name__ == "__main__":
    main()
