"""The live reader's half of a frame: is it one, and when was it taken in.

A stamped line is the line as it came with `received` set to our clock, at its end. What cannot be read is
kept as it came, so that whoever reads the journal again finds the same dead letters.
"""

from __future__ import annotations

import msgspec

from monitor.ingest.frames import MARK, MAX_FRAME_BYTES, Header, Rejection, read_body, read_header
from monitor.reasons import DeadReason
from monitor.units import EARLIEST_TS, LATEST_TS

STAMP_BYTES = len(b',"received":1795500000000')
MAX_STAMPED_BYTES = MAX_FRAME_BYTES - STAMP_BYTES


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A line that came in: `line` is what goes into the journal, stamped where its header can be read.

    received: the stamp that it came with, where that is one.
    """

    line: bytes
    header: Header | None
    rejection: Rejection | None
    received: int | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check(line: bytes) -> Checked:
    """Check a line, which holds no end of line. A stamp that it came with says nothing about the frame.

    >>> check(b'{"kind":"gpu","ts":1795500000000,"source":"node:n1","received":"soon"}').rejection is None
    True
    >>> check(b'{"kind":"gpu"').rejection.reason
    <DeadReason.MALFORMED: 'malformed'>
    """
    came = line.rstrip()
    line, received = _without_stamp(came)
    header = read_header(line)
    if isinstance(header, Rejection):
        whole = read_header(came)
        return Checked(came, None, whole) if isinstance(whole, Rejection) else Checked(line, None, header)
    if len(line) > MAX_STAMPED_BYTES:
        return Checked(line, header, Rejection(DeadReason.OVERSIZED, f"{len(line)} bytes and a stamp"))
    body = read_body(line)
    return Checked(line, header, body if isinstance(body, Rejection) else None, received)


def _without_stamp(line: bytes) -> tuple[bytes, int | None]:
    """Return a line without the stamp that it came with, and that."""
    if b"received" not in line or len(line) > MAX_FRAME_BYTES:
        return line, None
    try:
        fields = _fields.decode(line)
        stamp_ = fields.pop("received", None)
        return (line, None) if stamp_ is None else (msgspec.json.encode(fields), _time_of(stamp_))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return line, None


def _time_of(stamp_: msgspec.Raw) -> int | None:
    try:
        ts = msgspec.json.decode(stamp_, type=int)
    except msgspec.MsgspecError:
        return None
    return ts if EARLIEST_TS <= ts < LATEST_TS else None


def stamp(line: bytes, received: int) -> bytes:
    """Return a line whose header was read, stamped.

    >>> stamp(b'{"kind":"gpu"}', 1795500000000)
    b'{"kind":"gpu","received":1795500000000}'
    """
    return b'%b,"received":%d}' % (line[:-1], received)


def mark(received: int) -> bytes:
    """Return the line that says what time it is while nothing comes."""
    return b'{"kind":"%b","ts":%d,"source":"reader:live","received":%d}' % (MARK.encode(), received, received)
