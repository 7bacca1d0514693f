"""Seeded damage to the bytes of a file: flips, cuts, extensions, swapped parts, numbers and types out of place."""
import re

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
VALUES = (b"-1", b"0", b"1", b"2.5", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'"x"', b"1099511627776",
          b"-9" * 3, b"9" * 400, b"65536", b"18446744073709551616")
WORDS = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0\0\1\0\0", b"\xff" * 8, bytes(8))


def flip(draw, content):
    for _ in range(draw.randint(1, 3)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def replace(draw, content):
    content[draw.randrange(len(content))] = draw.randrange(256)


def truncate(draw, content):
    del content[draw.randrange(len(content)):]


def extend(draw, content):
    content += draw.choice((b"\0", b"\n", draw.randbytes(draw.randint(1, 2000)), bytes(content)))


def delete(draw, content):
    place = draw.randrange(len(content))
    del content[place:place + draw.randint(1, 40)]


def insert(draw, content):
    place = draw.randrange(len(content))
    content[place:place] = draw.randbytes(draw.randint(1, 12))


def swap(draw, content):
    """Two parts of equal length change places."""
    size = draw.randint(1, max(1, min(64, len(content) // 2)))
    first, second = sorted(draw.randrange(len(content) - size + 1) for _ in range(2))
    if second >= first + size:
        content[first:first + size], content[second:second + size] = (
            content[second:second + size], content[first:first + size])


def word(draw, content):
    """An extreme number in binary, most often in the first hundred bytes, where headers are."""
    place = draw.randrange(min(len(content), draw.choice((100, 10**9))))
    value = draw.choice(WORDS)
    content[place:place + len(value)] = value


def number(draw, content):
    """A number in text becomes another, or a value of another type."""
    found = list(NUMBER.finditer(content[:20_000]))
    if found:
        match = draw.choice(found)
        content[match.start():match.end()] = draw.choice(VALUES)


def line(draw, content):
    """A line goes, comes twice, or changes places."""
    lines = content.split(b"\n")
    first, second = (draw.randrange(len(lines)) for _ in range(2))
    match draw.randrange(3):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
    content[:] = b"\n".join(lines)


KINDS = (flip, flip, replace, truncate, extend, delete, insert, swap, word, number, number, line)


def mutated(draw, content):
    """Damaged bytes.  draw: a random.Random."""
    result = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2))):
        if result:
            draw.choice(KINDS)(draw, result)
    return bytes(result)
