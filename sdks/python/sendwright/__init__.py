"""A typed client of the Sendwright API."""

from .client import AuthenticatedClient, Client
from .paging import Refused, every
from .retrying import connect
from .webhooks import NotGenuine, verify

__all__ = ["AuthenticatedClient", "Client", "NotGenuine", "Refused", "connect", "every", "verify"]
