"""Sends files as browsers and clients send them."""

from __future__ import annotations

from tests.raw_http import Response
from tests.workspaces.conftest import Member

BOUNDARY = "the-boundary"


def multipart(file: bytes, name: str, media_type: str, fields: dict[str, str]) -> bytes:
    """A body of multipart/form-data with a part ``file`` and others of text."""
    parts = [
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n".encode()
        + file
    ]
    for field, text in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{field}"\r\n\r\n{text}'.encode())
    marked = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY.encode(), each) for each in parts)
    return marked + f"--{BOUNDARY}--\r\n".encode()


def upload(
    member: Member,
    file: bytes,
    name: str,
    folder: str = "",
    media_type: str = "application/octet-stream",
    **fields: str,
) -> Response:
    """What is answered to an upload."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = multipart(file, name, media_type, fields)
    return member.ask("POST", f"/document/upload{folder}", body, headers)
