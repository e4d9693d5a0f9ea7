"""The messages of Prometheus remote write, 1.0 and 2.0, as far as they are read.

Declared here instead of generated, with one liberty: a label of 1.0 stays a blob, so that a series is known
by its bytes and its labels are decoded when it is new.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "double": _Field.TYPE_DOUBLE,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
}

# Message -> field -> (number, type, repeated), after prompb/types.proto, prompb/remote.proto and
# io/prometheus/write/v2/types.proto. Fields that are not here are skipped by the decoder.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Label": {"name": (1, "string", False), "value": (2, "string", False)},
    "Sample": {"value": (1, "double", False), "timestamp": (2, "int64", False)},
    "Series": {
        "labels": (1, "bytes", True),
        "samples": (2, "Sample", True),
        "exemplars": (3, "bytes", True),
        "histograms": (4, "bytes", True),
    },
    "WriteRequest": {"timeseries": (1, "Series", True)},
    "Series2": {
        "labels_refs": (1, "uint32", True),
        "samples": (2, "Sample", True),
        "histograms": (3, "bytes", True),
        "exemplars": (4, "bytes", True),
    },
    "Request": {"symbols": (4, "string", True), "timeseries": (5, "Series2", True)},
}
_PACKAGE = "monitor.remote"


def _declared() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="monitor_remote.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _declared()
Label, WriteRequest, Request = _CLASSES["Label"], _CLASSES["WriteRequest"], _CLASSES["Request"]
"""Message classes: of a label, of a request of 1.0 and of 2.0."""
