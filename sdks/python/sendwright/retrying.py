"""Requests that may be repeated are, where the server or the network failed."""

from __future__ import annotations

import asyncio
import random
import time

import httpx

from .client import AuthenticatedClient

REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
PASSING = {429, 502, 503, 504}
LONGEST = 60.0


def connect(key: str, base_url: str, *, retries: int = 3, timeout: float = 30.0) -> AuthenticatedClient:
    """A client for one key; `retries` is how often a request is tried again, `timeout` is in seconds."""
    client = AuthenticatedClient(base_url=base_url, token=key, timeout=httpx.Timeout(timeout))
    headers = {"Authorization": f"Bearer {key}"}
    common = {"base_url": base_url, "headers": headers, "timeout": timeout}
    client.set_httpx_client(httpx.Client(transport=Retrying(retries), **common))
    client.set_async_httpx_client(httpx.AsyncClient(transport=AsyncRetrying(retries), **common))
    return client


def may_repeat(request: httpx.Request) -> bool:
    """Whether the same request twice has the effect of one."""
    return request.method in REPEATABLE or "idempotency-key" in request.headers


def wait(response: httpx.Response | None, attempt: int) -> float:
    """Seconds until the next attempt: what the server says, else twice as long each time, with jitter."""
    said = response.headers.get("retry-after", "") if response is not None else ""
    if said.isdigit():
        return min(float(said), LONGEST)
    return min(0.5 * 2**attempt, LONGEST) * random.uniform(0.5, 1.0)


class Retrying(httpx.BaseTransport):
    """A transport that tries again."""

    def __init__(self, retries: int, inner: httpx.BaseTransport | None = None) -> None:
        self.retries = retries
        self.inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(self.retries + 1):
            last = attempt == self.retries or not may_repeat(request)
            response = None
            try:
                response = self.inner.handle_request(request)
                if last or response.status_code not in PASSING:
                    return response
                response.close()
            except httpx.TransportError:
                if last:
                    raise
            time.sleep(wait(response, attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        self.inner.close()


class AsyncRetrying(httpx.AsyncBaseTransport):
    """The same for asyncio."""

    def __init__(self, retries: int, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self.retries = retries
        self.inner = inner or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(self.retries + 1):
            last = attempt == self.retries or not may_repeat(request)
            response = None
            try:
                response = await self.inner.handle_async_request(request)
                if last or response.status_code not in PASSING:
                    return response
                await response.aclose()
            except httpx.TransportError:
                if last:
                    raise
            await asyncio.sleep(wait(response, attempt))
        raise AssertionError("the last attempt returns or raises")

    async def aclose(self) -> None:
        await self.inner.aclose()
