"""The live reader's half of a frame: is it one, and when was it taken in.

A stamped line is the line as it came with `received` set to our clock, at its end. What cannot be read is
kept as it came, so that whoever reads the journal again finds the same dead letters.
"""

from __future__ import annotations

import msgspec

from monitor.ingest.frames import MARK, Header, Rejection, read_body, read_header
from monitor.reasons import DeadReason

STAMP_BYTES = len(b',"received":1795500000000')
MAX_STAMPED_BYTES = (1 << 20) - STAMP_BYTES


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A line that came in: `line` is what goes into the journal, stamped where its header can be read."""

    line: bytes
    header: Header | None
    rejection: Rejection | None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check(line: bytes) -> Checked:
    """Check a line, which holds no end of line.

    >>> check(b'{"kind":"gpu","ts":1795500000000,"source":"node:n1"}').rejection is None
    True
    >>> check(b'{"kind":"gpu"').rejection.reason
    <DeadReason.MALFORMED: 'malformed'>
    """
    line = line.rstrip()
    header = read_header(line)
    if isinstance(header, Rejection):
        return Checked(line, None, header)
    if b"received" in line:
        line = _without_stamp(line)
    if len(line) > MAX_STAMPED_BYTES:
        return Checked(line, header, Rejection(DeadReason.OVERSIZED, f"{len(line)} bytes and a stamp"))
    body = read_body(line)
    return Checked(line, header, body if isinstance(body, Rejection) else None)


def _without_stamp(line: bytes) -> bytes:
    fields = _fields.decode(line)
    if fields.pop("received", None) is None:
        return line
    return msgspec.json.encode(fields)


def stamp(line: bytes, received: int) -> bytes:
    """Return a line whose header was read, stamped.

    >>> stamp(b'{"kind":"gpu"}', 1795500000000)
    b'{"kind":"gpu","received":1795500000000}'
    """
    return b'%b,"received":%d}' % (line[:-1], received)


def mark(received: int) -> bytes:
    """Return the line that says what time it is while nothing comes."""
    return b'{"kind":"%b","ts":%d,"source":"reader:live","received":%d}' % (MARK.encode(), received, received)
