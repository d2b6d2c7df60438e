"""What went wrong with a store, from what its libraries raise: a coded VideoError, and whether trying again may help.

Libraries put addresses with their signatures into what they say, so nothing that they say is repeated here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from captioner.errors import CaptionerError, VideoError, VideoErrorCode

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_DENIED = (401, 403, 407)
_GONE = (404, 410)


NO_BUCKET = "the bucket does not exist"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a request failed."""

    message: str
    code: VideoErrorCode | None
    """None: it is not of this object alone."""
    passes: bool = False
    """Whether the same request may succeed later."""

    def error(self, repeated: int) -> CaptionerError:
        """To raise, after so many repetitions."""
        message = f"{self.message}, also after {repeated} retries" if repeated and self.passes else self.message
        return VideoError(self.code, message) if self.code else CaptionerError(message)


def fault_of(error: BaseException, name: str, *, doing: str = "read") -> Fault:
    """The fault behind an exception; ``name`` is the object's, as it may be shown."""
    causes = list(_causes(error))
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in causes):
        return Fault(
            code=None, message=f"the disk of --scratch is full: {name} cannot be fetched; give one with more space"
        )
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"}:
        return Fault(code=None, message=f"{name} needs credentials: set AWS_PROFILE, or {_ANONYMOUS} for a public one")
    status = next((number for cause in causes if (number := _status(cause))), 0)
    if status in _DENIED or "PermissionError" in kinds:
        return Fault(code="forbidden", message=f"{name} may not be {doing} with these credentials")
    if any(_code(cause) == "NoSuchBucket" for cause in causes):
        return Fault(code="not_found", message=f"{name} cannot be {doing}: {NO_BUCKET}")
    if status in _GONE or (not status and isinstance(causes[-1], FileNotFoundError)):
        return Fault(code="not_found", message=f"{name} does not exist")
    if kinds & {"ParamValidationError", "NotImplementedError", "ValueError", "TypeError"} and not status:
        return Fault(code="not_found", message=f"{name} is not a name that this store knows")
    reason = f"the server answered {status}" if status else f"the connection failed ({type(causes[-1]).__name__})"
    passes = not 400 <= status < 500 or status in (408, 412, 425, 429)
    return Fault(code="unreachable", message=f"{name} cannot be {doing}: {reason}", passes=passes)


_ANONYMOUS = """FSSPEC_S3='{"anon": true}'"""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came of, the first one last."""
    while error is not None:
        yield error
        error = error.__cause__


def _code(error: BaseException) -> str:
    """The name that S3 gives a fault."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _status(error: BaseException) -> int:
    """The HTTP status that an exception of aiohttp or botocore holds; 0 where it holds none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    status = getattr(error, "status", None) or getattr(error, "status_code", None)  # aiohttp; azure
    return status if isinstance(status, int) else 0
