"""The manifest of a folder of arrays; apart from them, so that listing folders needs no numpy."""

from aiexp.storage.reader import StoredFile
from aiexp.storage.shape import anything, fields, map_of, text, whole

FORMAT = 1
MANIFEST = "manifest.json"

_ARRAY = fields({"dtype": text, "length": whole(0), "sha256": text})
MANIFEST_FILE = StoredFile(
    shape=fields({"format": whole(1), "arrays": map_of(_ARRAY), "facts": anything}),
    format=FORMAT,
    whole="this folder of arrays",
)
