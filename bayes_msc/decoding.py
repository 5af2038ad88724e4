"""Text from bytes: the encodings that spreadsheets write, and what is no text at all."""

from __future__ import annotations

import codecs
import re

from bayes_msc.errors import TrialError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: First bytes of files that are sometimes given a name that ends in .csv.
BINARY_STARTS = (
    (b"PK\x03\x04", "looks like an Excel workbook or a ZIP archive: name it .xlsx if it is one"),
    (b"PAR1", "looks like a Parquet file: name it .parquet"),
    (b"\xd0\xcf\x11\xe0", "looks like an old Excel file: save it as .xlsx"),
    (b"\x1f\x8b", "looks compressed: unpack it first"),
)


def decoded(content: bytes, name: str) -> str:
    """Return the text of a file, whatever its encoding.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        Its name, for the message.

    Returns
    -------
    str

    Raises
    ------
    TrialError
        If it is no text: zeros or control characters in it, or the start of a known format.
    """
    for start, hint in BINARY_STARTS:
        if content.startswith(start):
            raise TrialError(f"{name} is not text: it {hint}")
    encodings = [encoding for mark, encoding in MARKS if content.startswith(mark)]
    encodings = encodings or _unmarked(content)
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
            return text
    raise TrialError(f"{name} is not text: save the table as CSV (UTF-8), .xlsx or .parquet")


def _unmarked(content: bytes) -> list[str]:
    """Return the encodings to try for a file without a byte-order mark, in order."""
    head = content[:4096]
    if b"\x00" not in head:
        return ["utf-8", "cp1252", "latin-1"]
    # plain letters in UTF-16 have a zero for every other byte
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.8 * pairs and not head[0::2].count(0):
        return ["utf-16-le"]
    if head[0::2].count(0) > 0.8 * pairs and not head[1::2].count(0):
        return ["utf-16-be"]
    return []
