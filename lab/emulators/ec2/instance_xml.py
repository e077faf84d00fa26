"""DescribeInstances' answer as EC2 writes it: all the members that a present-day instance carries, about 4 KB each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from lab.emulators.ec2.records import STATE_CODES, Record
from lab.emulators.ec2.regions import NAMESPACE

_REASON = "Client.UserInitiatedShutdown"


def describe_instances(
    account: str, region: str, records: Sequence[Record], next_token: str | None, request_id: str
) -> bytes:
    """One page. Neighbours of one reservation stand in one reservation; a page's edge may cut it in two."""
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<DescribeInstancesResponse xmlns="{NAMESPACE}">\n'
    parts = [head, f"    <requestId>{request_id}</requestId>\n    <reservationSet>\n"]
    current = None
    for record in records:
        if record.reservation_id != current:
            if current:
                parts.append("            </instancesSet>\n        </item>\n")
            current = record.reservation_id
            parts.append(
                f"        <item>\n            <reservationId>{current}</reservationId>\n"
                f"            <ownerId>{account}</ownerId>\n            <groupSet/>\n            <instancesSet>\n"
            )
        parts.append(_instance(account, region, record))
    if current:
        parts.append("            </instancesSet>\n        </item>\n")
    parts.append("    </reservationSet>\n")
    if next_token:
        parts.append(f"    <nextToken>{next_token}</nextToken>\n")
    parts.append("</DescribeInstancesResponse>")
    return "".join(parts).encode()


def _instance(account: str, region: str, record: Record) -> str:
    gone = record.state in {"terminated", "shutting-down"}
    launched = _time(record.launched_at)
    reason = f"User initiated ({record.launched_at + timedelta(days=30):%Y-%m-%d %H:%M:%S} GMT)"
    stopped = record.state in {"stopping", "stopped"} or gone
    private_name = f"ip-{record.private_ip.replace('.', '-')}.{region}.compute.internal" if record.private_ip else ""
    public_name = f"ec2-{record.public_ip.replace('.', '-')}.{region}.compute.amazonaws.com" if record.public_ip else ""
    number = record.instance_id[2:]
    return f"""                <item>
                    <instanceId>{record.instance_id}</instanceId>
                    <imageId>{record.image_id}</imageId>
                    <instanceState>
                        <code>{STATE_CODES[record.state]}</code>
                        <name>{record.state}</name>
                    </instanceState>
                    <privateDnsName>{private_name}</privateDnsName>
                    <dnsName>{public_name}</dnsName>
                    <reason>{reason if stopped else ""}</reason>
{_optional("keyName", record.key_name)}\
                    <amiLaunchIndex>0</amiLaunchIndex>
                    <productCodes/>
                    <instanceType>{record.instance_type}</instanceType>
                    <launchTime>{launched}</launchTime>
                    <placement>
                        <availabilityZoneId>{_zone_id(region, record.zone)}</availabilityZoneId>
                        <availabilityZone>{region}{record.zone}</availabilityZone>
                        <groupName/>
                        <tenancy>default</tenancy>
                    </placement>
{_optional("platform", "windows" if record.windows else None)}\
                    <monitoring>
                        <state>{"enabled" if record.monitored else "disabled"}</state>
                    </monitoring>
{"" if gone else _network(account, region, record, launched)}\
{_state_reason() if stopped else ""}\
                    <architecture>{record.architecture}</architecture>
                    <rootDeviceType>ebs</rootDeviceType>
                    <rootDeviceName>/dev/xvda</rootDeviceName>
                    <blockDeviceMapping>{"" if gone else _volumes(record, number)}
                    </blockDeviceMapping>
                    <virtualizationType>hvm</virtualizationType>
                    <clientToken>lab-{number}</clientToken>
{_optional("instanceLifecycle", "spot" if record.spot else None)}\
{_tags(record)}\
                    <hypervisor>xen</hypervisor>
{_profile(account, record)}\
{_options(record, launched, gone=gone)}\
                </item>
"""


def _options(record: Record, launched: str, *, gone: bool) -> str:
    return f"""                    <ebsOptimized>true</ebsOptimized>
                    <enaSupport>true</enaSupport>
                    <cpuOptions>
                        <coreCount>2</coreCount>
                        <threadsPerCore>{1 if record.architecture == "arm64" else 2}</threadsPerCore>
                    </cpuOptions>
                    <capacityReservationSpecification>
                        <capacityReservationPreference>open</capacityReservationPreference>
                    </capacityReservationSpecification>
                    <hibernationOptions>
                        <configured>false</configured>
                    </hibernationOptions>
                    <enclaveOptions>
                        <enabled>false</enabled>
                    </enclaveOptions>
                    <metadataOptions>
                        <state>{"pending" if gone else "applied"}</state>
                        <httpTokens>required</httpTokens>
                        <httpPutResponseHopLimit>2</httpPutResponseHopLimit>
                        <httpEndpoint>enabled</httpEndpoint>
                        <httpProtocolIpv6>disabled</httpProtocolIpv6>
                        <instanceMetadataTags>disabled</instanceMetadataTags>
                    </metadataOptions>
                    <maintenanceOptions>
                        <autoRecovery>default</autoRecovery>
                        <rebootMigration>default</rebootMigration>
                    </maintenanceOptions>
                    <platformDetails>{"Windows" if record.windows else "Linux/UNIX"}</platformDetails>
                    <usageOperation>{"RunInstances:0002" if record.windows else "RunInstances"}</usageOperation>
                    <usageOperationUpdateTime>{launched}</usageOperationUpdateTime>
                    <privateDnsNameOptions>
                        <hostnameType>ip-name</hostnameType>
                        <enableResourceNameDnsARecord>false</enableResourceNameDnsARecord>
                        <enableResourceNameDnsAAAARecord>false</enableResourceNameDnsAAAARecord>
                    </privateDnsNameOptions>
                    <bootMode>uefi-preferred</bootMode>
                    <currentInstanceBootMode>{"legacy-bios" if record.windows else "uefi"}</currentInstanceBootMode>
                    <networkPerformanceOptions>
                        <bandwidthWeighting>default</bandwidthWeighting>
                    </networkPerformanceOptions>
                    <operator>
                        <managed>false</managed>
                    </operator>
"""


def _network(account: str, region: str, record: Record, launched: str) -> str:
    number = record.instance_id[2:]
    return f"""                    <subnetId>{record.subnet_id}</subnetId>
                    <vpcId>{record.vpc_id}</vpcId>
{_optional("privateIpAddress", record.private_ip)}{_optional("ipAddress", record.public_ip)}\
{_optional("ipv6Address", record.ipv6)}\
                    <sourceDestCheck>true</sourceDestCheck>
                    <groupSet>
                        <item>
                            <groupId>sg-{number}</groupId>
                            <groupName>default</groupName>
                        </item>
                    </groupSet>
{_interface(account, region, record, launched)}\
"""


def _interface(account: str, region: str, record: Record, launched: str) -> str:
    number = record.instance_id[2:]
    mac = ":".join(number[place : place + 2] for place in range(0, 10, 2))
    return f"""                    <networkInterfaceSet>
                        <item>
                            <networkInterfaceId>eni-{number}</networkInterfaceId>
                            <subnetId>{record.subnet_id}</subnetId>
                            <vpcId>{record.vpc_id}</vpcId>
                            <description/>
                            <ownerId>{account}</ownerId>
                            <status>in-use</status>
                            <macAddress>02:{mac}</macAddress>
{_optional("privateIpAddress", record.private_ip, 28)}\
                            <sourceDestCheck>true</sourceDestCheck>
                            <groupSet>
                                <item>
                                    <groupId>sg-{number}</groupId>
                                    <groupName>default</groupName>
                                </item>
                            </groupSet>
                            <attachment>
                                <attachmentId>eni-attach-{number}</attachmentId>
                                <deviceIndex>0</deviceIndex>
                                <status>attached</status>
                                <attachTime>{launched}</attachTime>
                                <deleteOnTermination>true</deleteOnTermination>
                                <networkCardIndex>0</networkCardIndex>
                            </attachment>{_public_address(region, record)}
                            <privateIpAddressesSet>
                                <item>
{_optional("privateIpAddress", record.private_ip, 36)}\
                                    <primary>true</primary>
                                </item>
                            </privateIpAddressesSet>
                            <ipv6AddressesSet>{_ipv6_address(record)}
                            </ipv6AddressesSet>
                            <interfaceType>interface</interfaceType>
                            <operator>
                                <managed>false</managed>
                            </operator>
                        </item>
                    </networkInterfaceSet>
"""


def _public_address(region: str, record: Record) -> str:
    if not record.public_ip:
        return ""
    name = f"ec2-{record.public_ip.replace('.', '-')}.{region}.compute.amazonaws.com"
    return f"""
                            <association>
                                <publicIp>{record.public_ip}</publicIp>
                                <publicDnsName>{name}</publicDnsName>
                                <ipOwnerId>amazon</ipOwnerId>
                            </association>"""


def _ipv6_address(record: Record) -> str:
    if not record.ipv6:
        return ""
    return f"""
                                <item>
                                    <ipv6Address>{record.ipv6}</ipv6Address>
                                    <isPrimaryIpv6>false</isPrimaryIpv6>
                                </item>"""


def _volumes(record: Record, number: str) -> str:
    attached = _time(record.launched_at + timedelta(seconds=1))
    return "".join(
        f"""
                        <item>
                            <deviceName>/dev/{"xvda" if place == 0 else f"sd{'fghijk'[place % 6]}"}</deviceName>
                            <ebs>
                                <volumeId>vol-{number[:-1]}{place:x}</volumeId>
                                <status>attached</status>
                                <attachTime>{attached}</attachTime>
                                <deleteOnTermination>{"true" if place == 0 else "false"}</deleteOnTermination>
                            </ebs>
                        </item>"""
        for place in range(record.volumes)
    )


def _tags(record: Record) -> str:
    if not record.tags:
        return ""
    items = "".join(
        f"""                        <item>
                            <key>{_text(key)}</key>
                            <value>{_text(value)}</value>
                        </item>
"""
        for key, value in record.tags.items()
    )
    return f"                    <tagSet>\n{items}                    </tagSet>\n"


def _profile(account: str, record: Record) -> str:
    if record.profile is None:
        return ""
    return f"""                    <iamInstanceProfile>
                        <arn>arn:aws:iam::{account}:instance-profile/{_text(record.profile)}</arn>
                        <id>AIPALABDESKBRIDGE0001</id>
                    </iamInstanceProfile>
"""


def _state_reason() -> str:
    return f"""                    <stateReason>
                        <code>{_REASON}</code>
                        <message>{_REASON}: User initiated shutdown</message>
                    </stateReason>
"""


def _optional(name: str, value: str | None, indent: int = 20) -> str:
    return "" if value is None else f"{' ' * indent}<{name}>{_text(value)}</{name}>\n"


def _text(value: str) -> str:
    # A bare carriage return would come back as a line feed.
    return escape(value, {"\r": "&#13;"})


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"


def _zone_id(region: str, zone: str) -> str:
    area, side, number = region.split("-")[:3]
    return f"{area}{side[0]}{number}-az{'abc'.index(zone) + 1}"
