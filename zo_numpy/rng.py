"""Counter-based random numbers: every draw is a pure function of (seed, stream, step, tensor, query, element).

The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11), taken from
NumPy, whose raw stream is stable by policy. Nothing is stored between draws: +z, -2z and +z of one training step
regenerate the same z, and any element of any draw can be had without the others. A step draws some thousand
words at a time (`words_in_turn`), never z of a whole layer. This file only makes words; draws.py of each precision
turns them into numbers.

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

`tensor` is the index of the parameter in the whole model, in parameter order; how it is trained changes nothing.
"""
import functools

import numpy as np

INIT, PERTURB, SHUFFLE, DATA = 0, 1, 2, 3


def words(seed, stream, step, tensor, query, count, start=0):
    """`count` 64-bit words of one draw, from word `start` on: a multiple of 4, where a block begins.

    seed, stream, step, tensor, query: integers in [0, 2^64).  Returns (count,) uint64.
    """
    return generator(seed, stream, step, tensor, query, start).random_raw(count)


def words_in_turn(seed, stream, step, tensor, query, count, most):
    """The same from word 0 on, at most `most` at a time, so that scratch is bounded: yields (.,) uint64.

    One generator gives them all in turn, and then waits in _IDLE for another draw. Making a generator takes as
    long as 2,000 words, four times as long as setting an idle one to its next draw.
    """
    source = _IDLE.pop() if _IDLE else np.random.Philox()
    source.state = {"bit_generator": "Philox", "state": _key_and_counter(seed, stream, step, tensor, query),
                    "buffer": np.zeros(4, np.uint64), "buffer_pos": 4, "has_uint32": 0, "uinteger": 0}   # 4: all used
    try:
        for start in range(0, count, most):
            yield source.random_raw(min(most, count - start))
    finally:   # a caller that has all its words may never come back here
        _IDLE.append(source)


_IDLE = []   # generators that no draw needs now


def generator(seed, stream, step, tensor, query, start=0):
    """NumPy's Philox, whose next word is word `start` of a draw, a multiple of 4."""
    return np.random.Philox(**_key_and_counter(seed, stream, step, tensor, query, start))


def _key_and_counter(seed, stream, step, tensor, query, start=0):
    """See the contract above; NumPy's first block is that of the counter plus one."""
    return {"key": np.array([seed, stream], np.uint64),
            "counter": np.array([start // 4, tensor, step, query], np.uint64)}


def half_words(seed, stream, step, tensor, query, count):
    """The first `count` 16-bit half-words of one draw, low half-word of each word first.  Returns (count,) uint16."""
    return as_half_words(words(seed, stream, step, tensor, query, -(-count // 4)))[:count]


def as_half_words(whole):
    """(count,) uint64 -> (4 count,) uint16.

    To read little-endian 64-bit words as little-endian 16-bit ones is the shift and mask of the contract. The byte
    order is named, so a big-endian machine gives the same numbers.
    """
    return whole.astype("<u8", copy=False).view("<u2")


@functools.lru_cache(maxsize=2)   # every step of an epoch asks for it
def shuffled(seed, epoch, count):
    """The order in which an epoch visits its samples: stable argsort of one word a sample (CHOICE 14).

    Returns (count,) int64, read-only.
    """
    order = np.argsort(words(seed, SHUFFLE, epoch, 0, 0, count), kind="stable")
    order.setflags(write=False)
    return order
