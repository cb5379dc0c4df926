"""The three upload endpoints, which differ only in how the bytes arrive."""

import base64
import json
import re
import secrets
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from vidgo_mcp.sandbox.answers import Refusal, invented, unprocessable
from vidgo_mcp.sandbox.callbacks import is_loopback
from vidgo_mcp.sandbox.state import Sandbox
from vidgo_mcp.sandbox.storage import UPLOAD_SECONDS, Brief, StoredFile
from vidgo_mcp.sandbox.submit_rules import is_web_url

UPLOAD_KINDS = ("stream", "base64", "url")
MAX_BYTES = 50 * 1024 * 1024
_STARTS = {
    "image/jpeg": rb"\xff\xd8\xff",
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
}


async def read_upload(sandbox: Sandbox, request: Request, base_url: str) -> tuple[bytes, dict[str, str]]:
    """Return the bytes of an upload with its text fields. Raises `Refusal` with the documented texts."""
    kind = request.url.path.rpartition("/")[2]
    if kind == "stream":
        return await _read_form(request)
    required = "base64_data" if kind == "base64" else "file_url"
    fields = _fields(await request.body(), required)
    if kind == "base64":
        return _decode(fields[required]), fields
    content = await _download(sandbox, fields[required], base_url)
    return content, {"original_name": PurePosixPath(urlsplit(fields[required]).path).name, **fields}


def keep_upload(sandbox: Sandbox, content: bytes, fields: dict[str, str], base_url: str) -> dict[str, Any]:
    """Store a picture for 72 hours and return the body of the answer. Raises `Refusal` for what is no picture."""
    if not content:
        raise Refusal(400, "File is empty")
    if len(content) > MAX_BYTES:
        raise Refusal(413, invented(f"At most {MAX_BYTES} bytes"))
    mime_type = next((kind for kind, start in _STARTS.items() if re.match(start, content, re.DOTALL)), None)
    if mime_type is None:
        raise Refusal(400, f"Unsupported file type: {fields.get('content_type') or 'unknown'}")
    original = PurePosixPath(fields.get("original_name") or fields.get("file_name") or "upload").name
    name = PurePosixPath(fields.get("file_name") or original).name or "upload"
    folder = "/".join(part for part in fields.get("upload_path", "").split("/") if part not in ("", ".", ".."))
    file_id = secrets.token_hex(8)
    path = f"{folder or 'temp'}/{file_id}/{name}"
    file = sandbox.keep_upload(StoredFile(path, sandbox.clock() + UPLOAD_SECONDS, mime_type, content))
    url, at = sandbox.storage.url(base_url, file), sandbox.now().replace(tzinfo=None)
    data = {
        "file_id": file_id,
        "file_name": name,
        "original_name": original,
        "file_size": len(content),
        "mime_type": mime_type,
        "upload_path": folder or "temp",
        "file_url": url,
        "download_url": f"{url}&download=1",
        "upload_time": at.isoformat(),
        "expires_at": (at + timedelta(seconds=UPLOAD_SECONDS)).isoformat(),
    }
    return {"success": True, "code": 200, "msg": "File uploaded successfully", "data": data}


async def _read_form(request: Request) -> tuple[bytes, dict[str, str]]:
    try:
        form = await request.form()
    except HTTPException:
        raise Refusal(400, "Invalid file data") from None
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise unprocessable(("file",), "file is required")
    content = await file.read()
    await form.close()
    return content, {**fields, "original_name": file.filename or "", "content_type": file.content_type or ""}


def _fields(body: bytes, required: str) -> dict[str, str]:
    try:
        fields = json.loads(body)
    except ValueError:
        raise unprocessable((), "the body must be JSON") from None
    if not isinstance(fields, dict):
        raise unprocessable((), "the body must be a JSON object")
    for name, value in fields.items():
        if not isinstance(value, str):
            raise unprocessable((name,), f"{name} must be a string")
    if required not in fields:
        raise unprocessable((required,), f"{required} is required")
    return fields


def _decode(text: str) -> bytes:
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise Refusal(400, "Invalid file data")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refusal(400, "Invalid Base64 encoding") from None


async def _download(sandbox: Sandbox, url: str, base_url: str) -> bytes:
    if not is_web_url(url):
        raise Refusal(400, invented("Failed to download file: not an http or https URL"))
    try:
        own = sandbox.own_file(url, base_url)
    except Refusal as refusal:
        raise Refusal(400, f"Failed to download file: {refusal.message}") from None
    if own is not None:
        return sandbox.draw(own.content) if isinstance(own.content, Brief) else own.content
    if not is_loopback(urlsplit(url).hostname):
        raise Refusal(400, invented("Failed to download file: the sandbox reads from loopback only"))
    plain = {"Accept-Encoding": "identity"}
    content, client = b"", httpx.AsyncClient(timeout=10, trust_env=False, headers=plain)
    try:
        async with client, client.stream("GET", url) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_raw():
                content += chunk
                if len(content) > MAX_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refusal(400, f"Failed to download file: {type(error).__name__}") from None
    return content
