/* Initial weights and perturbations, from the words of rng.c (SPEC 4.3 and 6.2). */
#include "int8.h"

/* h - k: k is the smallest integer with 12 * 4^k >= 127^2 * fan_in. */
int32_t init_exponent(int32_t fan_in_of, int32_t headroom)
{
    int32_t k = 0;
    for (int64_t power = 12; power < (int64_t)LARGEST * LARGEST * fan_in_of; power *= 4)
        k++;
    return headroom - k;
}

/* Uniform within 127 >> h (CHOICE 3).  weights: a tensor for each block, with room for its data. */
void init_weights(const struct model *model, uint64_t seed, const int32_t *headroom, struct tensor *weights)
{
    uint16_t halves[256];
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct address address = {seed, INIT, 0, (uint64_t)b, 0};
        weights[b].exponent = init_exponent(fan_in(model->blocks[b].layers), headroom[b]);
        for (int32_t start = 0; start < weights[b].size; start += 256) {
            const int32_t count = weights[b].size - start < 256 ? weights[b].size - start : 256;
            half_words(&address, (uint64_t)start, count, halves);
            for (int32_t i = 0; i < count; i++)
                weights[b].data[start + i] = uniform_int8(halves[i], LARGEST >> headroom[b]);
        }
    }
}

/* Brings the first `count` tensors into +-(127 - R), so that theta +- z never saturates (CHOICE 9). */
void clip_for_zo(struct tensor *weights, int32_t count, int32_t r_limit)
{
    for (int32_t b = 0; b < count; b++)
        for (int32_t i = 0; i < weights[b].size; i++)
            weights[b].data[i] = (int8_t)clip(weights[b].data[i], LARGEST - r_limit);
}

/* Elements start to start + count - 1 of z of one tensor; start is a multiple of 16, count at most CHUNK. */
void draw_z(const struct address *address, uint64_t start, int32_t count, int32_t r_max, int32_t p_zero, int8_t *z)
{
    uint16_t halves[CHUNK];
    half_words(address, start, count, halves);
    z_of(halves, count, r_max, p_zero, z);
}
