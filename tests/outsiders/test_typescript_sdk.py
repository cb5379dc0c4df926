"""The TypeScript SDK v1, on which most hosts are built: it drops any answer that misses its output schema."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.outsiders.conftest import SERVER, Node, Serve, Vendor

CLIENT = Path(__file__).with_name("client.mjs")
TOOLS = ["generate_image", "edit_image", "get_task", "estimate_cost", "get_balance", "view_image"]

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)

Transport = Literal["stdio", "http"]
Call = tuple[str, Mapping[str, Any]]


def make_calls(
    node: Node, environment: Mapping[str, str], calls: Sequence[Call], url: str | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Call tools in one session, and return the names of all tools and the results."""
    tools, answers = run(node, environment, [{"name": name, "arguments": given} for name, given in calls], url)
    assert [answer["thrown"] for answer in answers if "thrown" in answer] == []
    return tools, [answer["result"] for answer in answers]


def ask(node: Node, environment: Mapping[str, str], calls: Sequence[Call], url: str | None) -> list[dict[str, Any]]:
    """Call other methods of the client in one session, and return for each its result, or what was thrown."""
    return run(node, environment, [{"method": method, "params": params} for method, params in calls], url)[1]


def run(
    node: Node, environment: Mapping[str, str], calls: Sequence[Mapping[str, Any]], url: str | None
) -> tuple[list[str], list[dict[str, Any]]]:
    server = {"url": url} if url else {"command": SERVER, "args": [], "env": dict(environment)}
    done = node.run(str(CLIENT), environment=environment, stdin=json.dumps({"server": server, "calls": calls}))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return [tool["name"] for tool in told["tools"]], told["answers"]


def test_it_times_out_once_and_is_then_answered_in_time(node: Node, vendor: Vendor) -> None:
    call = {"name": "generate_image", "arguments": {"prompt": "a fox"}, "options": {"timeout": 5000}}
    first, second = run(node, vendor("task:stuck"), [call, call], None)[1]
    assert "Request timed out" in first["thrown"]
    assert second["result"]["structuredContent"]["outcome"] == "pending"
    assert "This client gives up on calls early" in text_of(second["result"])


def text_of(result: Mapping[str, Any]) -> str:
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


def kinds(result: Mapping[str, Any]) -> list[str]:
    return [block["type"] for block in result["content"]]


def test_every_outcome_reaches_it(node: Node, vendor: Vendor) -> None:
    """A picture, the same one again, a failed and a pending one, the list, prices and credits all pass its checks."""
    fox: Call = ("generate_image", {"prompt": "a fox", "size": "3:2", "wait_seconds": 30})
    tools, (failed, made, again, pending, tasks, price, balance) = make_calls(
        node,
        vendor("task:failed*1"),
        [
            ("generate_image", {"prompt": "a storm", "wait_seconds": 30}),
            fox,
            fox,
            ("generate_image", {"prompt": "an owl", "wait_seconds": 0}),
            ("get_task", {}),
            ("estimate_cost", {"size": "1:1", "resolution": "4K"}),
            ("get_balance", {}),
        ],
    )

    assert tools == TOOLS
    for result in (failed, made, again, pending, tasks, price, balance):
        assert not result.get("isError")
        assert kinds(result) == ["text"], "an older client breaks on a resource link"
    facts = made["structuredContent"]
    assert (facts["outcome"], facts["credits_charged"], "reused" in facts) == ("finished", 2, False)
    assert {facts["task_id"], facts["image_urls"][0]} <= set(
        text_of(made).replace(";", "\n").replace(" ", "\n").split()
    )
    assert again["structuredContent"]["image_urls"] == facts["image_urls"]
    assert (again["structuredContent"]["credits_charged"], again["structuredContent"]["reused"]) == (0, True)
    assert (failed["structuredContent"]["outcome"], failed["structuredContent"]["refunded"]) == ("failed", True)
    assert pending["structuredContent"]["outcome"] == "pending"
    assert pending["structuredContent"]["task_id"] in text_of(pending)
    outcomes = [task["outcome"] for task in tasks["structuredContent"]["tasks"]]
    assert outcomes == ["pending", "finished", "failed"]
    assert price["structuredContent"]["credits"] == 4
    assert balance["structuredContent"]["credits"] == 1000 - 2 - 2


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_every_error_reaches_it(node: Node, vendor: Vendor, serve: Serve, transport: Transport) -> None:
    """An error is readable as text and as data, names its category, and says whether money may have moved."""
    expected: dict[str, Call] = {
        "invalid_request": ("generate_image", {"prompt": "a fox", "n": 4}),
        "budget": ("generate_image", {"prompt": "a fox", "max_credits": 0}),
        "not_found": ("get_task", {"task_id": "task-of-nobody"}),
        "insufficient_credits": ("generate_image", {"prompt": "a palace"}),
        "permission": ("generate_image", {"prompt": "a locked door"}),
        "rate_limited": ("generate_image", {"prompt": "a queue"}),
        "unavailable": ("generate_image", {"prompt": "a closed shop"}),
        "outcome_unknown": ("generate_image", {"prompt": "a letter lost at sea"}),
    }
    environment = vendor(
        "submit:refuse=402*1",
        "submit:refuse=403*1",
        "submit:rate_limited=600*1",
        "submit:refuse=404*1",
        "submit:lose_answer*1",
    )
    url = serve(environment) if transport == "http" else None

    _, answers = make_calls(node, environment, list(expected.values()), url)

    for category, answer in zip(expected, answers, strict=True):
        check_error(answer, category)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_it_is_told_that_there_is_no_key(
    node: Node, surroundings: dict[str, str], serve: Serve, transport: Transport
) -> None:
    """Without a key a picture can be priced, and the error of a paid call names the variable."""
    url = serve(surroundings) if transport == "http" else None
    calls: list[Call] = [("estimate_cost", {"size": "auto"}), ("generate_image", {"prompt": "a fox"})]

    tools, (price, refused) = make_calls(node, surroundings, calls, url)

    assert tools == TOOLS
    assert price["structuredContent"]["credits"] == 2
    check_error(refused, "authentication")
    assert "VIDGO_API_KEY" in text_of(refused)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_edit_of_inline_data_reaches_it(node: Node, vendor: Vendor, serve: Serve, transport: Transport) -> None:
    """A picture that is pasted into the call is uploaded and edited; one that is cut off is refused, unpaid."""
    environment = vendor()
    url = serve(environment) if transport == "http" else None
    given = {"prompt": "in snow", "wait_seconds": 30}

    _, (edited, refused, balance) = make_calls(
        node,
        environment,
        [
            ("edit_image", {**given, "image_urls": [PICTURE]}),
            ("edit_image", {**given, "image_urls": ["https://example.com/a.png", PICTURE[:-24]]}),
            ("get_balance", {}),
        ],
        url,
    )

    facts = edited["structuredContent"]
    assert (facts["outcome"], facts["sources"], facts["credits_charged"]) == ("finished", ["a file"], 2)
    assert ("saved_paths" in facts) == (transport == "stdio")
    assert all(path in text_of(edited) for path in facts.get("saved_paths", ()))
    check_error(refused, "invalid_request")
    assert "image_urls[1]" in text_of(refused)
    assert balance["structuredContent"]["credits"] == 1000 - 2


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_resources_prompts_and_completion_reach_it(
    node: Node, vendor: Vendor, serve: Serve, transport: Transport
) -> None:
    """Everything that is no tool can be listed, read and completed; what is not there is an error, not silence."""
    environment = vendor()
    url = serve(environment) if transport == "http" else None
    _, [made] = make_calls(node, environment, [("generate_image", {"prompt": "a fox", "wait_seconds": 30})], url)
    task_id = made["structuredContent"]["task_id"]
    template = "vidgo://tasks/{task_id}"

    *answers, missing = ask(
        node,
        environment,
        [
            ("listResources", {}),
            ("listResourceTemplates", {}),
            ("readResource", {"uri": "vidgo://pricing"}),
            ("readResource", {"uri": "vidgo://spending"}),
            ("readResource", {"uri": f"vidgo://tasks/{task_id}"}),
            ("readResource", {"uri": f"vidgo://images/{task_id}"}),
            ("listPrompts", {}),
            ("getPrompt", {"name": "edit_brief", "arguments": {"picture": f"task:{task_id}", "change": "add snow"}}),
            (
                "complete",
                {"ref": {"type": "ref/resource", "uri": template}, "argument": {"name": "task_id", "value": "task-"}},
            ),
            (
                "complete",
                {"ref": {"type": "ref/prompt", "name": "picture_brief"}, "argument": {"name": "size", "value": "16"}},
            ),
            ("readResource", {"uri": "vidgo://tasks/task-of-nobody"}),
        ],
        url,
    )

    assert [answer["thrown"] for answer in answers if "thrown" in answer] == []
    listed, templates, pricing, spending, task, image, prompts, brief, ids, sizes = [
        answer["result"] for answer in answers
    ]
    uris = [resource["uri"] for resource in listed["resources"]]
    assert uris[:2] == ["vidgo://pricing", "vidgo://spending"]
    assert f"vidgo://tasks/{task_id}" in uris
    assert template in [found["uriTemplate"] for found in templates["resourceTemplates"]]
    assert "| quality |" in pricing["contents"][0]["text"]
    assert json.loads(spending["contents"][0]["text"])["periods"][0]["credits"] == 2
    assert json.loads(task["contents"][0]["text"])["image_urls"] == made["structuredContent"]["image_urls"]
    assert base64.b64decode(image["contents"][0]["blob"]).startswith(b"\x89PNG")
    assert [prompt["name"] for prompt in prompts["prompts"]] == ["picture_brief", "edit_brief"]
    assert f"task:{task_id}" in brief["messages"][0]["content"]["text"]
    assert ids["completion"]["values"] == [task_id]
    assert "16:9" in sizes["completion"]["values"]
    assert "task-of-nobody" in missing["thrown"]


def check_error(answer: Mapping[str, Any], category: str) -> None:
    assert answer["isError"] is True
    facts = answer["structuredContent"]
    money = "unknown" if category == "outcome_unknown" else "nothing_spent"
    assert (facts["category"], facts["money"]) == (category, money)
    assert facts["message"] in text_of(answer)
    assert facts["next_step"] in text_of(answer)
