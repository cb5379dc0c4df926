"""Callbacks: the one thing that the sandbox does unasked, so each has a task of its own beside the requests."""

import contextlib
import ipaddress
import math
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import httpx

from vidgo_mcp.sandbox.answers import invented
from vidgo_mcp.sandbox.simulated_tasks import Task
from vidgo_mcp.sandbox.state import CallbackRecord, Sandbox

NOT_LOOPBACK = invented("Not sent: the sandbox posts callbacks to loopback only")


class Callbacks:
    """Posts the end of each task that asked for it, while `sending` is open."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._group: anyio.abc.TaskGroup | None = None

    @contextlib.asynccontextmanager
    async def sending(self, _: object) -> AsyncIterator[None]:
        """Deliver what is announced; what is still under way at the end is dropped."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    def announce(self, task: Task) -> None:
        """Deliver the end of this task, if it has a callback URL and `sending` is open."""
        if self._group is not None and task.submission.callback_url is not None:
            self._group.start_soon(self._deliver, task, task.submission.callback_url)

    async def _deliver(self, task: Task, url: str) -> None:
        faults = {fault.name: fault for fault in self._sandbox.fault_plan.take("callback")}
        if "lost" in faults:
            return
        if "early" in faults:
            await self._post(task, url, self._body(task, task.started, claim="finished"))
        while (left := task.ends_at - self._sandbox.clock()) > 0:
            if left == math.inf:
                return
            # Short looks rather than one long sleep: advance() may move the clock meanwhile.
            await anyio.sleep(min(left, 0.2))
        if "slow" in faults:
            await anyio.sleep(faults["slow"].number or 0)
        for _ in range(2 if "duplicate" in faults else 1):
            await self._post(task, url, self._body(task, task.ends_at))

    async def _post(self, task: Task, url: str, body: dict[str, Any]) -> None:
        options = self._sandbox.options
        if options.callback_transport is None and not is_loopback(urlsplit(url).hostname):
            self._sandbox.callbacks.append(CallbackRecord(task.task_id, url, body, error=NOT_LOOPBACK))
            return
        async with httpx.AsyncClient(transport=options.callback_transport, timeout=30, trust_env=False) as client:
            for delay in (*options.retry_delays, None):
                status = error = None
                try:
                    # What it answers is not read.
                    async with client.stream("POST", url, json=body) as answer:
                        status = answer.status_code
                except (httpx.HTTPError, httpx.InvalidURL) as failure:
                    error = type(failure).__name__
                self._sandbox.callbacks.append(CallbackRecord(task.task_id, url, body, status, error))
                if delay is None or (status is not None and status < 500):
                    return
                await anyio.sleep(delay)

    def _body(self, task: Task, at: float, claim: str | None = None) -> dict[str, Any]:
        data = task.data(at, self._sandbox.storage.url(task.base_url, task.result))
        data["status"] = claim or data["status"]
        if self._sandbox.options.callback_form == "envelope":
            return {"code": 200, "data": data}
        data.pop("progress", None)
        return data


def is_loopback(host: str | None) -> bool:
    """Return whether this host is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
