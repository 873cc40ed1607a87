"""Webhooks, verified as Standard Webhooks 1.0 has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any


class NotGenuine(Exception):
    """A request that the endpoint's secret did not sign, or that is too old."""


def verify(
    secret: str, headers: Mapping[str, str], body: bytes | str, *, tolerance: int = 300, now: float | None = None
) -> Any:
    """The event of a webhook. `secret` is the endpoint's `whsec_…`, `body` the request's own bytes, `tolerance` the
    seconds its timestamp may differ from `now`. Raises NotGenuine."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        ident, stamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split()
        age = abs((time.time() if now is None else now) - int(stamp))
        key = base64.b64decode(secret.removeprefix("whsec_"))
    except (KeyError, ValueError) as error:
        raise NotGenuine("a header is missing or does not read") from error
    if age > tolerance:
        raise NotGenuine("the timestamp is too far from now")
    raw = body.encode() if isinstance(body, str) else body
    made = hmac.new(key, f"{ident}.{stamp}.".encode() + raw, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(made).decode()
    if not any(hmac.compare_digest(wanted.encode(), one.encode()) for one in signatures):
        raise NotGenuine("no signature is the secret's")
    return json.loads(raw)
