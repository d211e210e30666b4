"""The clients of the command line, so that every command is written once for both."""

from service.http_client import HttpClient
from service.local_client import LocalClient

Client = HttpClient | LocalClient
"""Through the service that holds a data folder, or in process."""
