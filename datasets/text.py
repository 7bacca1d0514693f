"""Text files as editors on any system write them: UTF-8 or UTF-16, a byte order mark or none, any ends of lines."""

import codecs

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def encoding(start):
    """The encoding of a text that begins with the bytes `start`."""
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")


def lines(content):
    """The lines of a text, bytes, that are not blank, without spaces around.  Raises UnicodeError if it is no text."""
    text = content.decode(encoding(content))
    if "\0" in text:
        raise UnicodeError("it holds zero bytes")
    return [line.strip() for line in text.splitlines() if line.strip()]
