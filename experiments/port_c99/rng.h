/* Counter-based random numbers (SPEC 4): every draw is a pure function of where it is used. */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

enum stream { INIT, PERTURB, SHUFFLE, DATA };

struct address {   /* of a draw; key (seed, stream), counter (block, tensor, step, query) */
    uint64_t seed, stream, step, tensor, query;
};

void philox4x64_10(const uint64_t counter[4], const uint64_t key[2], uint64_t block[4]);
void words(const struct address *address, uint64_t start, int32_t count, uint64_t *out);
void half_words(const struct address *address, uint64_t start, int32_t count, uint16_t *out);
void z_of(const uint16_t *half_words, int32_t count, int32_t r_max, int32_t p_zero, int8_t *z);
int8_t uniform_int8(uint16_t half_word, int32_t bound);
void shuffled(uint64_t seed, uint64_t epoch, int32_t count, uint64_t *keys, int32_t *order);
void stable_argsort(const uint64_t *keys, int32_t count, int32_t *order);

#endif
