"""`make settings-apply DIR=… URL=…`: apply a folder of documents to a desk, and say what changed.

The access token comes from the environment variable DESKBRIDGE_TOKEN, never from the command line, where others see it.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml


def read_folder(folder: Path) -> str:
    """All YAML and JSON files of a folder and below as one text, in the order of their paths.

    Raises ValueError without any, and for a file that is neither: the desk would not know which it was.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".json"} and path.is_file())
    if not files:
        raise ValueError(f"there is no .yaml or .json file in {folder}")
    texts = [path.read_text("utf-8") for path in files]
    for path, text in zip(files, texts, strict=True):
        try:
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {error}") from None
    return "\n---\n".join(texts)


def _folder(text: str) -> Path:
    # An empty text would be the present folder, with every YAML file of the project and its packages.
    if not text:
        raise argparse.ArgumentTypeError("is empty: say which folder, DIR=…")
    return Path(text)


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: say which desk, URL=https://…")
    return text


def apply(url: str, token: str, text: str, *, dry_run: bool = False) -> Any:
    """The desk's answer. Raises ValueError with what it refused."""
    query = "?dry_run=true" if dry_run else ""
    request = urllib.request.Request(  # noqa: S310 - the operator names the address
        f"{url.rstrip('/')}/api/v1/settings{query}",
        data=text.encode(),
        method="POST",
        headers={"Content-Type": "application/yaml", "X-Api-Key": token},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - see above
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise ValueError(
                "the desk answered 401: DESKBRIDGE_TOKEN is not set, or is no access token of this desk"
            ) from None
        said = error.read().decode("utf-8", "replace")
        try:
            problem = json.loads(said)
            faults = [f"  {fault['path']}: {fault['message']}" for fault in problem.get("faults", [])]
            said = "\n".join([f"{problem['detail']} {problem.get('remedy', '')}".strip(), *faults])
        except (ValueError, KeyError, TypeError):
            said = said or "nothing"
        raise ValueError(f"the desk answered {error.code}: {said}") from None
    except urllib.error.URLError as error:
        raise ValueError(f"no desk answers at {url}: {error.reason}") from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.settings_apply", description=__doc__)
    parser.add_argument("--dir", type=_folder, required=True, help="folder of YAML or JSON documents")
    parser.add_argument("--url", type=_address, required=True, help="the desk, such as http://localhost:7071")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    given = parser.parse_args()
    try:
        answer = apply(given.url, os.environ.get("DESKBRIDGE_TOKEN", ""), read_folder(given.dir), dry_run=given.dry_run)
    except (ValueError, OSError) as error:
        print(f"settings-apply: {error}", file=sys.stderr)
        return 1
    for item in answer["items"]:
        print(f"{item['action']:<10} {item['kind']}/{item['name']}")
    if answer["dry_run"]:
        print("dry run: nothing was written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
