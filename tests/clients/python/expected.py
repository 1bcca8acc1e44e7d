"""What every Python suite sends and expects back, so that the suites agree word for word.

The field table is raw bytes because no client library can write every type the broker must carry.
"""

import array
import decimal
import struct
from datetime import datetime, timezone

# The sizes of bodies that have gone wrong somewhere before: nothing, one byte, exactly one frame of
# the usual 131,072 bytes, one byte more, two frames, and two sizes far beyond any buffer.
BODY_SIZES = [0, 1, 131_064, 131_065, 262_128, 1_000_003, 10_000_000]

WRONG_PASSWORD_TEXT = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
    "For details see the broker logfile."
)


def body_of(size):
    """A body in which no two stretches are alike, so that a slice put in the wrong place shows."""
    numbers = array.array("I", range(size // 4 + 1))
    return numbers.tobytes()[:size]


def _field(key, kind, value):
    return struct.pack("B", len(key)) + key.encode() + kind + value


def _long_string(text):
    return struct.pack(">I", len(text)) + text


# Key, value as bytes with its type tag, value as a client reads it.
FIELDS = [
    ("t_true", b"t\x01", True),
    ("t_false", b"t\x00", False),
    ("b", b"b" + struct.pack(">b", -128), -128),
    ("B", b"B" + struct.pack(">B", 255), 255),
    ("s", b"s" + struct.pack(">h", -32768), -32768),
    ("u", b"u" + struct.pack(">H", 65535), 65535),
    ("I", b"I" + struct.pack(">i", -(2**31)), -(2**31)),
    ("i", b"i" + struct.pack(">I", 2**32 - 1), 2**32 - 1),
    ("l", b"l" + struct.pack(">q", -(2**63)), -(2**63)),
    ("L", b"L" + struct.pack(">q", 2**63 - 1), 2**63 - 1),
    ("f", b"f" + struct.pack(">f", 8.0), 8.0),
    ("d", b"d" + struct.pack(">d", -4096.0), -4096.0),
    ("D", b"D" + struct.pack(">Bi", 2, 314), decimal.Decimal("3.14")),
    ("S", b"S" + _long_string("grüße".encode()), "grüße"),
    ("S_empty", b"S" + _long_string(b""), ""),
    ("A", b"A" + _long_string(b"t\x01" + b"V" + b"S" + _long_string(b"x")), [True, None, "x"]),
    ("A_empty", b"A" + _long_string(b""), []),
    ("T", b"T" + struct.pack(">Q", 1_700_000_000), datetime.fromtimestamp(1_700_000_000, timezone.utc)),
    ("F", b"F" + _long_string(_field("in", b"F", _long_string(_field("deep", b"I", struct.pack(">i", 7))))),
     {"in": {"deep": 7}}),
    ("F_empty", b"F" + _long_string(b""), {}),
    ("V", b"V", None),
    ("x", b"x" + _long_string(b"\x00\xff\xce"), b"\x00\xff\xce"),
    ("", b"S" + _long_string(b"a name may be empty"), "a name may be empty"),
    ("k" * 128, b"t\x01", True),
]

# The whole table with its length in front, as it goes into a header frame.
RAW_TABLE = _long_string(b"".join(struct.pack("B", len(key)) + key.encode() + raw for key, raw, _ in FIELDS))
TABLE = {key: value for key, _, value in FIELDS}
