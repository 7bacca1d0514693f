"""Counter-based random numbers: every draw is a pure function of (seed, stream, step, tensor, query, element).

The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11), taken from
NumPy, whose raw stream is stable by policy. Nothing is stored between draws: +z, -2z and +z of one training step
regenerate the same z, and any element of any draw can be had without the others. That is how a step draws: never z of
the whole network, but some ten thousand elements at a time, a group of pieces of tensors.

The contract (CHOICE 12)
    key     = (seed, stream)                    two unsigned 64-bit words
    counter = (block, tensor, step, query)      four unsigned 64-bit words, block the least significant
    words   = Philox4x64-10(counter, key)       four unsigned 64-bit words for each block
Block numbers start at 1, not 0: NumPy adds one to the counter before it computes its first block.
Word i of a draw is word i % 4 of block 1 + i // 4. Half-word j is (word[j // 4] >> (16 * (j % 4))) & 0xffff.

    stream      number  tensor               step                          query
    INIT        0       index in the model   0                             0
    PERTURB     1       index in the model   training step, from 0         number of the perturbation in its step
    SHUFFLE     2       0                    epoch, from 0                 0
    DATA        3       defined by the data set that draws

`tensor` is the index of the parameter in the whole model in parameter order, whatever part of it is trained how.
"""
import functools
from typing import NamedTuple

import numpy as np

CHUNK = 8192   # words drawn at a time, a whole number of blocks
INIT, PERTURB, SHUFFLE, DATA = 0, 1, 2, 3


def words(seed, stream, step, tensor, query, count, start=0):
    """`count` 64-bit words of one draw, from word `start` on, which begins a block: a multiple of 4.

    seed, stream, step, tensor, query: integers in [0, 2^64).  Returns (count,) uint64.
    """
    key = np.array([seed, stream], np.uint64)
    counter = np.array([start // 4, tensor, step, query], np.uint64)  # the first block computed is one further on
    return np.random.Philox(key=key, counter=counter).random_raw(count)


def half_words(seed, stream, step, tensor, query, count):
    """The first `count` 16-bit half-words of one draw, low half-word of each word first.  Returns (count,) uint16."""
    return as_half_words(words(seed, stream, step, tensor, query, -(-count // 4)))[:count]


def as_half_words(whole):
    """(count,) uint64 -> (4 count,) uint16.

    Reading little-endian 64-bit words as little-endian 16-bit ones is the shift and mask of the contract; the byte
    order is named, so that a big-endian machine gives the same numbers.
    """
    return whole.astype("<u8", copy=False).view("<u2")


class Piece(NamedTuple):
    """Elements start to stop - 1 of a tensor; the word that makes element start begins a block of four."""
    tensor: int   # its index in the model
    start: int
    stop: int


def groups(sizes, per_word):
    """Cuts tensors into pieces and collects these, in order, in groups of at most CHUNK * per_word elements.

    A group is what is drawn at a time, so scratch is bounded, and what follows is done once for several small tensors.
    sizes: {tensor: its number of elements}, of which a word makes `per_word`.  Returns a list of lists of Piece.
    """
    collected, free, most = [], 0, CHUNK * per_word
    for tensor, size in sizes.items():
        for start in range(0, size, most):
            piece = Piece(tensor, start, min(start + most, size))
            if piece.stop - start > free:
                collected.append([])
                free = most
            collected[-1].append(piece)
            free -= piece.stop - start
    return collected


def group_words(seed, step, query, group, per_word):
    """The words that make a group's elements, piece after piece; each piece begins a word.  (words,) uint64."""
    drawn = [words(seed, PERTURB, step, piece.tensor, query, -(-(piece.stop - piece.start) // per_word),
                   piece.start // per_word) for piece in group]
    return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)


def of_pieces(group, z, per_word):
    """Yields (piece, its elements of z) for each piece of a group.  z: what the words of `group_words` made."""
    first = 0
    for piece in group:
        count = piece.stop - piece.start
        yield piece, z[first:first + count]
        first += -(-count // per_word) * per_word   # what else the piece's last word made belongs to nobody


def perturbation(seed, step, tensor, query, count, r_max, p_zero):
    """The INT8 perturbation z of one tensor.  r_max, p_zero: see `z_of`.  Returns (count,) int8 in [-r_max, r_max]."""
    return z_of(half_words(seed, PERTURB, step, tensor, query, count), r_max, p_zero)


def z_of(h, r_max, p_zero):
    """What half-words are as elements of z: symmetric, exactly zero in expectation (CHOICE 5).

    Magnitude h & r_max, negative if bit 7 of h is set, kept if (h >> 8) < 256 - p_zero, else 0.
    h: uint16, any shape.  r_max: 2^k - 1 with 1 <= k <= 6.  p_zero: n of a probability n / 256 of being dropped,
    0..255.  Returns int8 in [-r_max, r_max], same shape.
    """
    low = h.astype(np.int8)                            # bits 0 to 7: negative where bit 7 is set
    z = low & np.int8(r_max)                           # the magnitude
    z *= (h < (256 - p_zero << 8)).view(np.int8)       # times 1 where it is kept, else 0
    del h                                              # twice as large as what is left to do
    z *= np.sign(low)                                  # a sign of 0 is that of low = 0, where z is 0 already
    return z


def perturbation_table(r_max, p_zero):
    """What each of the 65,536 half-words is as an element of z, by its value.  Returns (65536,) int8."""
    return z_of(np.arange(1 << 16, dtype=np.uint16), r_max, p_zero)


def uniform_int8(seed, tensor, count, bound):
    """Initial INT8 weights: uniform integers in [-bound, bound], ((h * (2 bound + 1)) >> 16) - bound of half-word h.

    No rejection, so that element j needs half-word j alone; the bias is below 1 in 256 of a value's probability
    (CHOICE 13).
    bound: 0..127.  Returns (count,) int8.
    """
    h = half_words(seed, INIT, 0, tensor, 0, count).astype(np.int32)
    return (((h * (2 * bound + 1)) >> 16) - bound).astype(np.int8)


@functools.lru_cache(maxsize=2)   # every step of an epoch asks for it
def shuffled(seed, epoch, count):
    """The order in which an epoch visits its samples: stable argsort of one word a sample (CHOICE 14).

    Returns (count,) int64, read-only.
    """
    order = np.argsort(words(seed, SHUFFLE, epoch, 0, 0, count), kind="stable")
    order.setflags(write=False)
    return order
