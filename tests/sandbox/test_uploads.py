"""The three upload endpoints: what they accept, keep and refuse."""

import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, running
from vidgo_mcp.sandbox.answers import INVENTED, Refusal
from vidgo_mcp.sandbox.upload_endpoints import MAX_BYTES, keep_upload


def picture(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 16), "teal").save(out, kind)
    return out.getvalue()


def post(client: Any, kind: str, **body: Any) -> httpx.Response:
    answer = client.http.post(f"/api/common/upload/{kind}", json=body)
    assert isinstance(answer, httpx.Response)
    return answer


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_documented_format_is_kept_and_served(client: Any, kind: str) -> None:
    content = picture(kind)
    answer = client.http.post(
        "/api/common/upload/stream",
        files={"file": ("b.bin", content, "application/octet-stream")},
        data={"upload_path": "/temp/../x/", "file_name": "../a.png"},
    )
    body = answer.json()
    data = body["data"]
    assert (body["success"], body["code"], body["msg"]) == (True, 200, "File uploaded successfully")
    assert (data["file_name"], data["original_name"], data["upload_path"]) == ("a.png", "b.bin", "temp/x")
    assert (data["file_size"], data["mime_type"]) == (len(content), f"image/{kind.lower()}")
    assert data["upload_time"][:10] < data["expires_at"][:10]
    for name in ("file_url", "download_url"):
        served = client.http.get(data[name])
        assert (served.content, served.headers["content-type"]) == (content, data["mime_type"])


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_comes_bare_or_as_a_data_url(client: Any, prefix: str) -> None:
    answer = post(client, "base64", base64_data=prefix + base64.b64encode(picture()).decode())
    assert client.http.get(answer.json()["data"]["file_url"]).content == picture()


def test_a_url_is_fetched_from_loopback_or_from_the_sandbox_itself(client: Any) -> None:
    result = client.finished_url()
    drawn = client.http.get(result).content
    own = post(client, "url", file_url=result)
    again = post(client, "url", file_url=own.json()["data"]["file_url"])
    # The same server under another name is somebody else's host, so it is really fetched.
    fetched = post(client, "url", file_url=result.replace("127.0.0.1", "localhost"))
    for answer in (own, again, fetched):
        assert client.http.get(answer.json()["data"]["file_url"]).content == drawn
    assert own.json()["data"]["original_name"].endswith(".png")


@pytest.mark.parametrize(
    ("kind", "body", "status", "text"),
    [
        ("base64", {"base64_data": "%%%"}, 400, "Invalid Base64 encoding"),
        ("base64", {"base64_data": "é"}, 400, "Invalid Base64 encoding"),
        ("base64", {"base64_data": "data:image/png,abc"}, 400, "Invalid file data"),
        ("base64", {"base64_data": ""}, 400, "File is empty"),
        ("base64", {"base64_data": "aGVsbG8="}, 400, "Unsupported file type: unknown"),
        ("base64", {}, 422, None),
        ("base64", {"base64_data": 1}, 422, None),
        ("url", {}, 422, None),
        ("url", {"file_url": "https://example.com/a.png"}, 400, None),
        ("url", {"file_url": "http://["}, 400, None),
        ("url", {"file_url": "http://127.0.0.1:1/a.png"}, 400, "Failed to download file: ConnectError"),
    ],
)
def test_what_is_no_picture_is_refused(client: Any, kind: str, body: Any, status: int, text: str | None) -> None:
    answer = post(client, kind, **body)
    assert answer.status_code == status
    if text is not None:
        assert answer.json() == {"detail": text}


def test_a_dead_url_of_the_sandbox_cannot_be_uploaded(client: Any) -> None:
    detail = post(client, "url", file_url=f"{client.url}/files/gone.png").json()["detail"]
    assert detail == "Failed to download file: File not found" + INVENTED


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"base64_data": null}'])
def test_a_body_that_is_no_object_is_unprocessable(client: Any, content: bytes) -> None:
    assert client.http.post("/api/common/upload/base64", content=content).status_code == 422


def test_a_form_needs_a_file(client: Any) -> None:
    url = "/api/common/upload/stream"
    assert client.http.post(url, data={"file": "text"}).status_code == 422
    assert client.http.post(url, files={"file": ("a.txt", b"hello", "text/plain")}).json() == {
        "detail": "Unsupported file type: text/plain"
    }
    broken = client.http.post(url, content=b"x", headers={"content-type": "multipart/form-data; boundary=y"})
    assert broken.status_code in (400, 422)


def test_a_picture_beyond_the_invented_limit_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        keep_upload(Sandbox(), b"x" * (MAX_BYTES + 1), {}, "http://s.test")
    assert caught.value.status == 413


def test_five_uploads_a_minute_per_key_and_three_days_of_life() -> None:
    sandbox = Sandbox(accounts={SANDBOX_KEY: 0, "other": 0}, options=VendorOptions(error_form="error"))
    with running(sandbox) as url, httpx.Client(base_url=url) as http:

        def upload(key: str = SANDBOX_KEY) -> httpx.Response:
            return http.post(
                "/api/common/upload/stream",
                files={"file": ("a.png", picture())},
                headers={"Authorization": f"Bearer {key}"},
            )

        answers = [upload() for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert set(answers[5].json()) == {"detail"}
        assert upload("other").status_code == 200
        assert upload("unknown").status_code == 401
        sandbox.advance(61)
        assert upload().status_code == 200
        first = answers[0].json()["data"]["file_url"]
        sandbox.advance(72 * 3600 - 120)
        assert http.get(first).status_code == 200
        sandbox.advance(60)
        assert http.get(first).status_code == 404
