"""The web console's files over HTTP. Anybody can have them: they hold no data, and the API checks who asks for some."""

from typing import TYPE_CHECKING

import azure.functions as func

if TYPE_CHECKING:
    from functions.console.manifest import ConsoleFile

console_files = func.Blueprint()

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
    "Vary": "Accept-Encoding",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@console_files.route("console/{*path}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
def show_console(req: func.HttpRequest) -> func.HttpResponse:
    """The console's page, or one of its files under the hash of them all."""
    from functions.console.manifest import manifest

    found = manifest()
    path = req.route_params.get("path", "")
    if not path:
        return _sent(req, found.page, "no-store")
    # A page of the release before asks for files that are gone: an error makes it load anew, another's file would not.
    folder, _, name = path.partition("/")
    file = found.files.get(name) if folder == found.folder else None
    if file is None:
        return func.HttpResponse(b"", status_code=404, headers={**_HEADERS, "Cache-Control": "no-store"})
    return _sent(req, file, _FOR_EVER)


def _sent(req: func.HttpRequest, file: "ConsoleFile", kept: str) -> func.HttpResponse:
    headers = {**_HEADERS, "Cache-Control": kept, "ETag": f'"{file.etag}"'}
    if f'"{file.etag}"' in req.headers.get("If-None-Match", ""):
        return func.HttpResponse(status_code=304, headers=headers)
    content = file.content
    if _takes_gzip(req.headers.get("Accept-Encoding", "")):
        content, headers["Content-Encoding"] = file.compressed, "gzip"
    headers["Content-Length"] = str(len(content))
    headers["Content-Type"] = file.media_type
    return func.HttpResponse(b"" if req.method == "HEAD" else content, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        coding, _, quality = one.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
