/* Philox4x64-10 and what is made of its words (SPEC 4). Nothing is stored between draws. */
#include "rng.h"

#define M0 0xD2E7470EE14C6C93u
#define M1 0xCA5A826395121157u
#define W0 0x9E3779B97F4A7C15u
#define W1 0xBB67AE8584CAA73Bu

/* The upper half of a product of 64-bit numbers. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 product;
    return (uint64_t)(((product)a * b) >> 64);
#else
    const uint64_t low = 0xffffffffu, ah = a >> 32, al = a & low, bh = b >> 32, bl = b & low;
    const uint64_t q = ah * bl + (al * bl >> 32), r = al * bh + (q & low);
    return ah * bh + (q >> 32) + (r >> 32);
#endif
}

/* One block: four words of a counter and a key. */
void philox4x64_10(const uint64_t counter[4], const uint64_t key[2], uint64_t block[4])
{
    uint64_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t high0 = high_product(M0, c0), low0 = M0 * c0, high1 = high_product(M1, c2), low1 = M1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += W0;
        k1 += W1;
    }
    block[0] = c0;
    block[1] = c1;
    block[2] = c2;
    block[3] = c3;
}

/* Words start to start + count - 1 of a draw; start is a multiple of 4. Block 1 is the first. */
void words(const struct address *address, uint64_t start, int32_t count, uint64_t *out)
{
    const uint64_t key[2] = {address->seed, address->stream};
    uint64_t counter[4] = {start / 4, address->tensor, address->step, address->query}, block[4];
    for (int32_t i = 0; i < count; i += 4) {
        counter[0]++;
        if (count - i >= 4) {
            philox4x64_10(counter, key, out + i);
        } else {
            philox4x64_10(counter, key, block);
            for (int32_t j = 0; i + j < count; j++)
                out[i + j] = block[j];
        }
    }
}

/* Half-words start to start + count - 1 of a draw, low half-word of a word first; start is a multiple of 16. */
void half_words(const struct address *address, uint64_t start, int32_t count, uint16_t *out)
{
    uint64_t block[4];
    for (int32_t i = 0; i < count; i += 16) {
        words(address, (start + (uint64_t)i) / 4, 4, block);
        for (int32_t j = 0; j < 16 && i + j < count; j++)
            out[i + j] = (uint16_t)(block[j / 4] >> (16 * (j % 4)) & 0xffffu);
    }
}

/* What half-words are as elements of z (CHOICE 5): all of it in 16 bits and without a branch, so that it vectorises. */
void z_of(const uint16_t *half_words, int32_t count, int32_t r_max, int32_t p_zero, int8_t *z)
{
    const uint16_t mask = (uint16_t)r_max, kept_below = (uint16_t)(256 - p_zero);
    for (int32_t i = 0; i < count; i++) {
        const uint16_t h = half_words[i], magnitude = h & mask;
        const uint16_t kept = (uint16_t)((uint16_t)(h >> 8) < kept_below ? 0xffffu : 0);
        const uint16_t negative = (uint16_t)(h & 0x80u ? 0xffffu : 0);
        z[i] = (int8_t)(int16_t)((uint16_t)((magnitude ^ negative) - negative) & kept);
    }
}

/* Uniform in -bound..bound (CHOICE 13). */
int8_t uniform_int8(uint16_t half_word, int32_t bound)
{
    return (int8_t)((int32_t)(((uint32_t)half_word * (uint32_t)(2 * bound + 1)) >> 16) - bound);
}

/* The order in which an epoch visits its samples (CHOICE 14).  keys, order: room for count. */
void shuffled(uint64_t seed, uint64_t epoch, int32_t count, uint64_t *keys, int32_t *order)
{
    const struct address address = {seed, SHUFFLE, epoch, 0, 0};
    words(&address, 0, count, keys);
    stable_argsort(keys, count, order);
}

static int before(const uint64_t *keys, int32_t a, int32_t b)
{
    return keys[a] < keys[b] || (keys[a] == keys[b] && a < b);
}

static void sift(const uint64_t *keys, int32_t *order, int32_t root, int32_t count)
{
    const int32_t moved = order[root];
    for (int32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(keys, order[child], order[child + 1]))
            child++;
        if (!before(keys, moved, order[child]))
            break;
        order[root] = order[child];
    }
    order[root] = moved;
}

/* Indices by (key, index): a heap sort, in place; as no two are equal, it is stable. */
void stable_argsort(const uint64_t *keys, int32_t count, int32_t *order)
{
    for (int32_t i = 0; i < count; i++)
        order[i] = i;
    for (int32_t root = count / 2 - 1; root >= 0; root--)
        sift(keys, order, root, count);
    for (int32_t end = count - 1; end > 0; end--) {
        const int32_t largest = order[0];
        order[0] = order[end];
        order[end] = largest;
        sift(keys, order, 0, end);
    }
}
