"""What a live process keeps in its state directory beside its work: a lock, its address, a token."""

from __future__ import annotations

import fcntl
import os
import secrets
from typing import IO, TYPE_CHECKING

import msgspec

from monitor.adapters.lines import replace_file
from monitor.errors import BusyError, StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN_FROM = "MONITOR_TOKEN"  # noqa: S105 - the name of a variable, not its value
URL_FROM = "MONITOR_URL"
ADDRESS, LOCK, TOKEN = "address.json", "lock", "token"
TOKEN_LEAST = 16


class Address(msgspec.Struct, frozen=True):
    """Where a live process listens."""

    url: str
    pid: int


def hold(state: Path) -> IO[str]:
    """Return the lock of a state directory, held. Raises BusyError; the system lets go when we end."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o750)
        stream = (state / LOCK).open("a+")
    except OSError as error:
        raise StateError(f"{state}: cannot be written ({error.strerror}); name another --state") from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        pid = stream.read().strip() or "unknown"
        stream.close()
        raise BusyError(
            f"{state}: a live process (process {pid}) has this state directory; stop it first, or name "
            "another --state"
        ) from error
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return stream


def is_held(state: Path) -> bool:
    """Whether a live process has a state directory."""
    try:
        with (state / LOCK).open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_address(state: Path, url: str) -> None:
    """Say where we listen."""
    replace_file(state / ADDRESS, msgspec.json.encode(Address(url, os.getpid())))


def address_of(state: Path) -> str | None:
    """Return where the live process of a state directory listens, None where none runs."""
    if not is_held(state):
        return None
    try:
        return msgspec.json.decode((state / ADDRESS).read_bytes(), type=Address).url
    except (OSError, msgspec.MsgspecError):
        return None


def forget_address(state: Path) -> None:
    """Say that we listen no more."""
    (state / ADDRESS).unlink(missing_ok=True)


def read_token(state: Path | None, environ: Mapping[str, str]) -> str:
    """Return the token that the environment or a state directory holds, "" for none."""
    if given := environ.get(TOKEN_FROM, "").strip():
        return given
    try:
        return "" if state is None else (state / TOKEN).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"{state}/{TOKEN}: cannot be read ({error.strerror})") from error


def make_token(state: Path, environ: Mapping[str, str]) -> str:
    """Return the token, made where there is none. Raises UsageError for one that others may read or guess."""
    if given := environ.get(TOKEN_FROM, "").strip():
        if len(given) < TOKEN_LEAST:
            raise UsageError(f"{TOKEN_FROM}: {len(given)} characters; a token has at least {TOKEN_LEAST}")
        return given
    file = state / TOKEN
    if not file.exists():
        made = secrets.token_urlsafe(32)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as stream:
            stream.write(made + "\n")
        return made
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{file}: others may read it; run `chmod 600 {file}`, or delete it for a new one")
    return read_token(state, {}) or _empty(file)


def _empty(file: Path) -> str:
    raise UsageError(f"{file}: holds no token; delete it for a new one")
