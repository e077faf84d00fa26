"""DescribeRegions: what an account has enabled, and what it has not opted in to."""

import uuid
from collections.abc import Iterable, Mapping

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def numbered(form: Mapping[str, str], name: str) -> list[str]:
    """The values of a list parameter of the query protocol: `RegionName.1`, `RegionName.2`, …"""
    values: list[str] = []
    while (value := form.get(f"{name}.{len(values) + 1}")) is not None:
        values.append(value)
    return values


def describe_regions(enabled: Iterable[str], not_opted_in: Iterable[str], form: Mapping[str, str]) -> bytes:
    """As EC2: the enabled ones, and with AllRegions the others too."""
    named = set(numbered(form, "RegionName"))
    shown = [(region, "opt-in-not-required") for region in enabled]
    if form.get("AllRegions", "").lower() == "true" or named:
        shown += [(region, "not-opted-in") for region in not_opted_in]
    items = "".join(
        f"<item><regionName>{region}</regionName><regionEndpoint>{_endpoint(region)}</regionEndpoint>"
        f"<optInStatus>{status}</optInStatus></item>"
        for region, status in shown
        if not named or region in named
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<DescribeRegionsResponse xmlns="{NAMESPACE}">'
        f"<requestId>{uuid.uuid4()}</requestId><regionInfo>{items}</regionInfo></DescribeRegionsResponse>"
    ).encode()


def _endpoint(region: str) -> str:
    return f"ec2.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
