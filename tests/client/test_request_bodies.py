"""What goes over the wire is the effective request, exactly what was priced, under the time-outs that were set."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.conftest import BASE, BOAT, KEY
from vidgo_mcp import client
from vidgo_mcp.client import DEFAULT_BASE_URL, ImageRequest, VidgoClient, wire
from vidgo_mcp.client.download import USER_AGENT
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.models.sizes import QUALITIES, RATIOS, parse_size
from vidgo_mcp.pricing import price_request, quote

pytestmark = pytest.mark.anyio


class Recorder:
    """A network that keeps the requests and answers them all alike."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        data = {
            "task_id": "task-1",
            "status": "running",
            "credits_amount": 3,
            "file_url": "https://storage.vidgo.example/a.png",
        }
        self.answer: dict[str, Any] = {"code": 200, "data": data}

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=self.answer)

    def client(self, **given: Any) -> VidgoClient:
        given.setdefault("base_url", BASE)
        return VidgoClient(KEY, transport=httpx.MockTransport(self.handle), **given)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


CASES = [
    ({}, {"size": "auto", "quality": "low"}),
    ({"size": "auto", "resolution": "4K", "quality": "high"}, {"size": "auto", "quality": "high"}),
    ({"size": "1:1"}, {"size": "1:1", "quality": "low", "resolution": "1K"}),
    ({"size": "1:1", "resolution": "1K"}, {"size": "1:1", "quality": "low", "resolution": "1K"}),
    ({"size": "4:3", "resolution": "2K"}, {"size": "4:3", "quality": "low", "resolution": "2K"}),
    ({"size": "4:3", "resolution": "4K"}, {"size": "4:3", "quality": "low", "resolution": "2K"}),
    ({"size": "16:9", "resolution": "4K"}, {"size": "16:9", "quality": "low", "resolution": "4K"}),
    ({"size": "9:16", "resolution": "4K"}, {"size": "9:16", "quality": "low", "resolution": "4K"}),
    ({"size": "21:9", "resolution": "4K"}, {"size": "21:9", "quality": "low", "resolution": "4K"}),
    (
        {"size": "1024x1024", "resolution": "2K", "quality": "medium"},
        {"size": "1024x1024", "quality": "medium", "resolution": "2K"},
    ),
    ({"size": "1024x1024", "resolution": "4K"}, {"size": "1024x1024", "quality": "low", "resolution": "2K"}),
    ({"size": "3840x2160", "resolution": "4K"}, {"size": "3840x2160", "quality": "low", "resolution": "4K"}),
    ({"size": "16x9", "quality": "HIGH"}, {"size": "16:9", "quality": "high", "resolution": "1K"}),
]


@pytest.mark.parametrize(("asked", "sent"), CASES)
async def test_the_effective_request_is_sent(asked: dict[str, Any], sent: dict[str, Any], recorder: Recorder) -> None:
    async with recorder.client() as client:
        await client.submit(ImageRequest(prompt="a boat", **asked))
    (request,) = recorder.requests
    assert (request.method, request.url.path) == ("POST", "/api/generate/submit")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"model": "gpt-image-2", "input": {"prompt": "a boat", **sent}}


@given(st.sampled_from(RATIOS) | st.just("auto"), st.sampled_from([None, "1K", "2K", "4K"]), st.sampled_from(QUALITIES))
def test_what_is_sent_costs_what_was_asked(size: str, resolution: Any, quality: Any) -> None:
    asked = price_request(ImageRequest(prompt="a", size=size, resolution=resolution, quality=quality))
    body = wire.submit_body(asked, None)
    sent = quote(parse_size(body["input"]["size"]), body["input"].get("resolution"), body["input"]["quality"])
    assert (sent.credits, sent.tier) == (asked.quote.credits, asked.quote.tier)


async def test_an_edit_names_the_edit_model_and_its_references(recorder: Recorder) -> None:
    urls = ["https://a.example/1.png?sig=%2F", "https://a.example/2.png"]
    async with recorder.client() as client:
        await client.submit(ImageRequest(prompt="a boat", size="1:1", image_urls=urls))
    assert json.loads(recorder.requests[0].content) == {
        "model": "gpt-image-2-edit",
        "input": {"prompt": "a boat", "quality": "low", "size": "1:1", "resolution": "1K", "image_urls": urls},
    }


def test_a_request_is_priced_before_the_urls_of_its_references_are_known() -> None:
    arguments = EditArguments(prompt="a boat", size="4:3", resolution="4K", image_urls=["task:task-1", "boat.png"])
    priced = price_request(arguments)
    assert (priced.model, priced.quote.credits, priced.image_urls) == ("gpt-image-2-edit", 4, ())
    urls = ["https://a.example/1.png", "https://a.example/2.png"]
    assert wire.submit_body(priced.with_image_urls(urls), None)["input"]["image_urls"] == urls
    assert price_request(GenerateArguments(prompt="a boat")).model == "gpt-image-2"


async def test_a_callback_url_is_sent_only_when_there_is_one(recorder: Recorder) -> None:
    async with recorder.client() as client:
        await client.submit(BOAT, callback_url="https://me.example/hook?a=1")
        await client.submit(BOAT, callback_url="")
        await client.submit(BOAT, callback_url=None)
    bodies = [json.loads(request.content) for request in recorder.requests]
    assert [body.get("callback_url", "absent") for body in bodies] == [
        "https://me.example/hook?a=1",
        "absent",
        "absent",
    ]


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_the_prompt_is_sent_byte_for_byte(prompt: str) -> None:
    body = wire.submit_body(price_request(ImageRequest(prompt=prompt)), None)
    request = httpx.Request("POST", BASE, json=body)
    assert json.loads(request.content.decode("utf-8"))["input"]["prompt"].encode() == prompt.encode()


async def test_every_call_carries_the_key_and_one_user_agent(recorder: Recorder) -> None:
    async with recorder.client() as client:
        await client.submit(BOAT)
        await client.status("task-1")
        await client.balance()
        await client.upload(b"PNG", file_name="ä.png", mime_type="image/png")
    for request in recorder.requests:
        assert request.headers.get_list("authorization") == [f"Bearer {KEY}"]
        assert request.headers.get_list("user-agent") == [USER_AGENT]
        assert "cookie" not in request.headers
    upload = recorder.requests[-1]
    assert upload.url.path == "/api/common/upload/stream"
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"' in upload.content
    assert b"Content-Type: image/png\r\n\r\nPNG\r\n" in upload.content


async def test_the_documented_paths_are_called(recorder: Recorder) -> None:
    async with recorder.client(base_url="http://127.0.0.1:9/prefix/") as client:
        await client.status("task-1")
        await client.balance()
    assert [(each.method, each.url.path) for each in recorder.requests] == [
        ("GET", "/prefix/api/generate/status/task-1"),
        ("GET", "/prefix/api/user/balance"),
    ]


@pytest.mark.parametrize("task_id", ["a/b", "a?b=c", "a#b", "ä %2F", "../../user/balance", "x\r\ny", "a;b"])
async def test_a_task_id_stays_one_segment_of_the_path(task_id: str, recorder: Recorder) -> None:
    async with recorder.client() as client:
        assert (await client.status(task_id)).vendor_id == task_id
    (request,) = recorder.requests
    raw = request.url.raw_path.decode()
    assert raw.startswith("/api/generate/status/")
    assert raw.count("/") == 4
    assert "?" not in raw
    assert httpx.URL(f"http://x/{raw.rpartition('/')[2]}").path == f"/{task_id}"


async def test_of_the_answer_to_a_submit_only_the_deadline_of_the_exchange_decides(recorder: Recorder) -> None:
    async with recorder.client(base_url=DEFAULT_BASE_URL) as client:
        await client.submit(BOAT)
        await client.status("task-1")
        await client.balance()
    timeouts = [request.extensions["timeout"] for request in recorder.requests]
    assert timeouts == [
        {"connect": 10.0, "read": None, "write": None, "pool": 30.0},
        {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0},
        {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0},
    ]
    assert {str(request.url.copy_with(path="/")) for request in recorder.requests} == {"https://api.vidgo.ai/"}


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "schlüssel", "a\tb", "a\x00b"])
def test_a_key_that_cannot_be_one_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        VidgoClient(key)
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://api.vidgo.ai", "ftp://127.0.0.1", "api.vidgo.ai", "https://u:p@api.vidgo.ai", "https://a.b/?x=1", ""],
)
def test_a_base_url_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        VidgoClient(KEY, base_url=url)


def test_the_package_names_what_it_offers_and_nothing_else() -> None:
    for name in client.__all__:
        assert getattr(client, name) is not None
    assert client.ImageRequest is ImageRequest
    missing = "Nothing"
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(client, missing)
