"""The files that the sandbox hands out: results and uploads, behind URLs that are signed and that die on time."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Union
from urllib.parse import parse_qs, quote, unquote, urlsplit

from vidgo_mcp.sandbox.answers import Refusal, invented

RESULT_SECONDS = 24 * 3600.0
UPLOAD_SECONDS = 72 * 3600.0
FILES = "/files/"
REFERENCE_DEPTH = 3
SHOWN_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class Brief:
    """What a result shows, as data: it is drawn only when somebody fetches it. Lengths are in pixels.

    `references` are what an edit was made from: other pictures of the sandbox, or the bytes of uploads.
    """

    prompt: str
    width: int
    height: int
    quality: str
    tier: str
    seed: str = ""
    references: tuple[Union["Brief", bytes], ...] = ()

    def pruned(self, depth: int = REFERENCE_DEPTH) -> "Brief":
        """Leave out what cannot be seen any more: edits of edits would otherwise grow without bound."""
        seen = self.references[:SHOWN_REFERENCES] if depth else ()
        kept = (each.pruned(depth - 1) if isinstance(each, Brief) else each for each in seen)
        return replace(self, references=tuple(kept))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file under a name: the bytes of an upload, or the brief of a result. `dies_at` is on the sandbox's clock."""

    name: str
    dies_at: float
    mime_type: str
    content: Brief | bytes


class Storage:
    """All files by name. Dead ones stay known, so that an edit can still show what it was made from."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._files: dict[str, StoredFile] = {}
        self._secret = secret or secrets.token_bytes(16)

    def keep(self, file: StoredFile) -> StoredFile:
        self._files[file.name] = file
        return file

    def url(self, base_url: str, file: StoredFile) -> str:
        """Return the signed URL of a file, below the address that the client used."""
        return f"{base_url.rstrip('/')}{FILES}{quote(file.name)}?sig={self._signature(file.name)}"

    def find(self, name: str, signature: str, at: float) -> StoredFile:
        """Return a living file. Raises `Refusal`: 403 for a wrong signature, 404 for what is unknown or dead."""
        file = self._files.get(name)
        if file is None:
            raise Refusal(404, invented("File not found"))
        if not hmac.compare_digest(signature.encode(), self._signature(name).encode()):
            raise Refusal(403, invented("The signature does not match"))
        if at >= file.dies_at:
            raise Refusal(404, invented("The URL has expired"))
        return file

    def own(self, url: str, base_url: str, at: float) -> StoredFile | None:
        """Return the file behind a URL of this sandbox, as `find` does; None for a URL of somebody else."""
        parts = urlsplit(url)
        if parts.netloc != urlsplit(base_url).netloc or not parts.path.startswith(FILES):
            return None
        name = unquote(parts.path.removeprefix(FILES))
        return self.find(name, parse_qs(parts.query).get("sig", [""])[0], at)

    def _signature(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()[:24]
