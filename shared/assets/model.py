"""What an asset is to people: standard fields of the source, names of types, and ids in addresses."""

import hashlib
import re
from collections.abc import Collection, Mapping

from shared.records.model import Key

# The standard fields of an instance, for choosing. Names are EC2's own; account, region and tags are added to them.
STANDARD_SOURCES: Mapping[str, str] = {
    "InstanceId": "The instance's id, such as i-0abc…: the AWS ID of the matching.",
    "account": "The 12-digit id of the account that owns it.",
    "region": "The region that it runs in, such as eu-west-2.",
    "tags.Name": "The tag Name. Any tag: `tags.<key>`, such as `tags.cost:centre`, with odd characters in quotes.",
    "InstanceType": "Its size, such as t3.medium.",
    "Architecture": "i386, x86_64, arm64, x86_64_mac or arm64_mac.",
    "State.Name": "pending, running, stopping or stopped.",
    "PlatformDetails": "Operating system and licence, such as Linux/UNIX or Windows.",
    "Platform": "windows for Windows, else empty.",
    "PrivateIpAddress": "Its private IPv4 address.",
    "PublicIpAddress": "Its public IPv4 address, while it runs and has one.",
    "Ipv6Address": "Its first IPv6 address.",
    "PrivateDnsName": "Its name within the VPC.",
    "PublicDnsName": "Its public name, while it runs and has one.",
    "Placement.AvailabilityZone": "The availability zone.",
    "Placement.Tenancy": "default, dedicated or host.",
    "VpcId": "The VPC.",
    "SubnetId": "The subnet.",
    "ImageId": "The AMI that it was started from.",
    "KeyName": "The name of its key pair.",
    "LaunchTime": "When it was last started.",
    "InstanceLifecycle": "spot or scheduled, else empty.",
    "IamInstanceProfile.Arn": "The instance profile.",
    "Monitoring.State": "Whether detailed monitoring is on.",
    "RootDeviceType": "ebs or instance-store.",
    "SecurityGroups[].GroupName": "The names of its security groups, joined by commas.",
    "CpuOptions.CoreCount": "The number of its CPU cores.",
}

_ODD = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG = 50


def asset_id_of(key: Key) -> str:
    """An asset's id in addresses: `aws:111122223333:eu-west-2:i-0abc`, `manual:SERV-1`."""
    return f"{key.partition}:{key.row}"


def parse_asset_id(text: str) -> Key:
    """The other way. A partition of AWS has two colons of its own."""
    parts = text.split(":", 3 if text.startswith("aws:") else 1)
    return Key(":".join(parts[:-1]), parts[-1])


def document_name_of(title: str, taken: Collection[str] = ()) -> str:
    """The name of a document that an import makes for a title: the same for the same title, wherever it is made.

    A title that is not its own name, or whose name is taken by another title, gets a digest, so that `x86_64` and
    `x86 64` never meet in one document.
    """
    slug = _ODD.sub("-", title.casefold()).strip("-")[:_LONGEST_SLUG].strip("-")
    if slug == title and slug not in taken:
        return slug
    digest = hashlib.blake2b(title.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{slug}-{digest}" if slug else digest
