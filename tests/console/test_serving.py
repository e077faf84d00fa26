"""How the console's files are served: by name from a list, kept for ever under their hash, and with a strict policy."""

import gzip
import hashlib
import re
from typing import Any

import azure.functions as func
import pytest

from functions.console.manifest import manifest
from lab.desk import ROOT
from tests.registered import FUNCTIONS

WEB = ROOT / "functions" / "console" / "web"
_MARKUP = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|dangerously"
MOST_LINES = 300
_SHOW: Any = FUNCTIONS["show_console"].get_user_function()


def ask(path: str, method: str = "GET", **headers: str) -> func.HttpResponse:
    request = func.HttpRequest(
        method=method,
        url="https://desk.example/api/console/",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        route_params={"path": path} if path else {},
        body=b"",
    )
    answer: func.HttpResponse = _SHOW(request)
    return answer


def test_the_page_is_never_kept_and_names_its_files_by_their_hash() -> None:
    page = ask("")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Cache-Control"] == "no-store"
    named = re.findall(r'(?:src|href)="/api/console/([^"]+)"', page.get_body().decode())
    assert len(named) >= 3
    assert b"{files}" not in page.get_body()
    for name in named:
        file = ask(name)
        assert file.status_code == 200, name
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_every_file_is_served_with_its_type_whole_and_compressed() -> None:
    found = manifest()
    assert {name.rpartition(".")[2] for name in found.files} == {"js", "css", "svg"}
    assert len(found.files) == sum(1 for path in WEB.rglob("*.*") if path.suffix in {".js", ".css", ".svg"})
    for name, file in found.files.items():
        whole = ask(f"{found.folder}/{name}")
        assert whole.get_body() == (WEB / name).read_bytes()
        assert "Content-Encoding" not in whole.headers
        small = ask(f"{found.folder}/{name}", Accept_Encoding="br, GZIP;q=0.9")
        assert small.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(small.get_body()) == whole.get_body()
        assert whole.headers["Content-Type"] == file.media_type
        again = ask(f"{found.folder}/{name}", If_None_Match=f'W/"x", {whole.headers["ETag"]}')
        assert (again.status_code, again.get_body()) == (304, b"")
        head = ask(f"{found.folder}/{name}", "HEAD")
        assert (head.status_code, head.get_body()) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(whole.get_body())


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip;q=0.000", "identity", "xgzip"])
def test_who_does_not_take_gzip_gets_none(accepted: str) -> None:
    assert "Content-Encoding" not in ask("", Accept_Encoding=accepted).headers


@pytest.mark.parametrize(
    "path",
    [
        "main.js",
        "index.html",
        "{folder}",
        "{folder}/",
        "{folder}/index.html",
        "{folder}/../manifest.py",
        "{folder}/..%2f..%2fhost.json",
        "{folder}/..\\..\\host.json",
        "{folder}/vendor/preact-htm.d.ts",
        "{folder}/main.js\r\nX: 1",
        "{folder}/" + "a" * 5000,
        "0000000000000000/main.js",
        "/etc/passwd",
        "{folder}//etc/passwd",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    answer = ask(path.replace("{folder}", manifest().folder))
    assert (answer.status_code, answer.get_body()) == (404, b"")
    assert answer.headers["Cache-Control"] == "no-store"


def test_every_answer_has_the_policy() -> None:
    for path in ("", f"{manifest().folder}/main.js", "nothing"):
        headers = ask(path).headers
        rules = [one.strip().partition(" ") for one in headers["Content-Security-Policy"].split(";")]
        policy = {name: value for name, _, value in rules}
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]


def test_another_content_has_another_address() -> None:
    digests = {name: hashlib.sha256(file.content).hexdigest() for name, file in manifest().files.items()}
    assert all(file.etag == digests[name][:32] for name, file in manifest().files.items())
    assert re.fullmatch("[0-9a-f]{16}", manifest().folder)


def test_the_vendored_file_is_the_registrys() -> None:
    vendored = (WEB / "vendor" / "preact-htm.js").read_bytes()
    assert vendored == (ROOT / "node_modules" / "htm" / "preact" / "standalone.module.js").read_bytes()
    assert hashlib.sha256(vendored).hexdigest() in (ROOT / "NOTICE").read_text("utf-8")


def test_no_module_is_long_and_none_writes_markup_from_text() -> None:
    for path in WEB.rglob("*.js"):
        if path.parent.name == "vendor":
            continue
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= MOST_LINES, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|dangerously", text), (
            path.name
        )
        assert not re.search(r"https?://", text.replace("http://www.w3.org", "")), path.name
