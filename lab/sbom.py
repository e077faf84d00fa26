"""`make sbom`: what is deployed, as a CycloneDX 1.6 list: name, version, licence, files with their hashes.

From requirements.txt, which says what is deployed, and uv.lock, which says what each package's files are.
"""

import argparse
import hashlib
import importlib.metadata
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VENDORED = Path("functions/console/web/vendor/preact-htm.js")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]*))?")
# What packages that name their licence only in words mean by them.
_LICENCES = {
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "OSI Approved :: BSD License": "BSD-3-Clause",
    "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Pin:
    """One line of requirements.txt. `marker` says on which Python it is installed; empty on every one."""

    name: str
    version: str
    marker: str

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(requirements: str) -> list[Pin]:
    """What requirements.txt pins. Raises ValueError for a line that pins nothing."""
    found: list[Pin] = []
    for line in requirements.splitlines():
        if not line.strip() or line.startswith((" ", "#")):
            continue
        match = _PINNED.match(line)
        if match is None:
            raise ValueError(f"requirements.txt pins nothing in {line!r}")
        found.append(Pin(match["name"], match["version"], (match["marker"] or "").strip()))
    return found


def bill_of_materials(root: Path = ROOT) -> dict[str, Any]:
    """The list. The same lock gives the same text."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    locked = tomllib.loads((root / "uv.lock").read_text("utf-8"))["package"]
    packages = {(one["name"], one["version"]): one for one in locked if "version" in one}
    deployed = pins((root / "requirements.txt").read_text("utf-8"))
    purls: dict[str, list[str]] = {}
    for pin in deployed:
        purls.setdefault(pin.name, []).append(pin.purl)
    app = f"{project['name']}@{project['version']}"
    needs = {pin.purl: packages[pin.name, pin.version].get("dependencies", []) for pin in deployed}
    own = next(one for one in locked if one["name"] == project["name"])
    dependencies: list[dict[str, Any]] = [
        {"ref": ref, "dependsOn": sorted({purl for need in wanted for purl in purls.get(need["name"], ())})}
        for ref, wanted in [(app, own["dependencies"]), *needs.items()]
    ]
    vendored = _vendored(root)
    dependencies[0]["dependsOn"].append(vendored["bom-ref"])
    dependencies.append({"ref": vendored["bom-ref"], "dependsOn": []})
    components = [*(_component(pin, packages[pin.name, pin.version]) for pin in deployed), vendored]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": app,
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
        "dependencies": dependencies,
    }


def _vendored(root: Path) -> dict[str, Any]:
    """The console's one file of another project, in the version of package-lock.json."""
    version = json.loads((root / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/htm"]["version"]
    purl = f"pkg:npm/htm@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "htm",
        "version": version,
        "purl": purl,
        "scope": "required",
        "description": "preact/standalone.module.js, which holds Preact too: functions/console/web/vendor",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256((root / VENDORED).read_bytes()).hexdigest()}],
        "licenses": [{"expression": "Apache-2.0 AND MIT"}],
    }


def _component(pin: Pin, package: Mapping[str, Any]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "purl": pin.purl,
        "scope": "required",
        "externalReferences": [
            {"type": "distribution", "url": url, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for url, digest in _files(package)
        ],
    }
    licence = _licence(pin)
    if licence:
        one = {"license": {"id": licence}} if _IDENTIFIER.fullmatch(licence) else {"expression": licence}
        component["licenses"] = [one]
    if pin.marker:
        component["properties"] = [{"name": "python:marker", "value": pin.marker}]
    return component


def _files(package: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", [])]
    for file in files:
        yield file["url"], file["hash"].removeprefix("sha256:")


def _licence(pin: Pin) -> str:
    """As the installed package says; empty when it is not installed here in this version, or says none."""
    try:
        about = importlib.metadata.metadata(pin.name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    if about["Version"] != pin.version:
        return ""
    if "License-Expression" in about:
        return about["License-Expression"]
    said = next(iter(about.get_all("License") or []), "")
    classifiers = [one.removeprefix("License :: ") for one in about.get_all("Classifier") or []]
    known = [_LICENCES[one] for one in classifiers if one in _LICENCES]
    return known[0] if known else said if _IDENTIFIER.fullmatch(said) else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "sbom.cdx.json")
    out: Path = parser.parse_args().out
    bill = bill_of_materials()
    out.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    unknown = [one["name"] for one in bill["components"] if "licenses" not in one]
    print(f"{out.name}: {len(bill['components'])} packages{f', licence unknown: {unknown}' if unknown else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
