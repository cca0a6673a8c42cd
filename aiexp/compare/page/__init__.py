"""The comparison as one HTML file that needs nothing else: no network, no server, no other file."""

from aiexp.compare.page.document import render

__all__ = ["render"]
