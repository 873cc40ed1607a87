"""Lists, read to their end."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import attrs


class Refused(Exception):
    """A list that was not given; `answer` is the server's own error."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"{status}: {getattr(answer, 'message', answer)}")
        self.status = status
        self.answer = answer


def every(operation: ModuleType, *, client: Any, **query: Any) -> Iterator[Any]:
    """Every row of a list: `every(list_leads, client=client)`. Pages are asked for as they are needed."""
    while True:
        response = operation.sync_detailed(client=client, **query)
        page = response.parsed
        cursor = getattr(page, "next_cursor", None)
        if response.status_code != 200 or page is None:
            raise Refused(int(response.status_code), page)
        values = (getattr(page, field.name) for field in attrs.fields(type(page)))
        yield from next(value for value in values if isinstance(value, list))
        if not isinstance(cursor, str):
            return
        query["cursor"] = cursor
