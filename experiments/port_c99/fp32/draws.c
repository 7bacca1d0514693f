/* Initial weights and standard normal perturbations, from the words of rng.c. */
#include "fp32.h"

#include <math.h>
#include <string.h>

/* ln x of x in (0, 1], as x = m * 2^e with m in [2/3, 4/3): a series in s = (m - 1) / (m + 1).  bits: those of x. */
static float natural_log(int32_t bits)
{
    union {
        int32_t bits;
        float value;
    } m;
    const int32_t e = (bits - 0x3f2aaaab) / 0x800000 - (bits < 0x3f2aaaab && (bits - 0x3f2aaaab) % 0x800000);
    m.bits = bits - e * 0x800000;   /* 0x3f2aaaab is 2/3, 0x800000 one binary order */
    const float s = (m.value - 1) / (m.value + 1), q = s * s;
    const float series = 2 * s + s * q * (0.666666667f + q * (0.4f + q * (0.285714286f + q * 0.222222222f)));
    return (float)e * 0.693147181f + series;
}

/* Two elements of z from each word: Box-Muller with u from its low half, v from its high half, both in (0, 1]. In
 * pieces, each of which is one type throughout, so that it vectorises.  count: at most CHUNK_FP32 / 2 words. */
void box_muller(const uint64_t *drawn, int32_t count, float *z)
{
    int32_t low[CHUNK_FP32 / 2], high[CHUNK_FP32 / 2];
    float first[CHUNK_FP32 / 2], second[CHUNK_FP32 / 2];
    for (int32_t i = 0; i < count; i++) {
        low[i] = (int32_t)((uint32_t)(drawn[i] & 0xffffffffu) >> 8) + 1;
        high[i] = (int32_t)(uint32_t)(drawn[i] >> 40) + 1;
    }
    for (int32_t i = 0; i < count; i++) {
        union {
            float value;
            int32_t bits;
        } u;
        u.value = (float)low[i] * 5.9604644775390625e-8f;   /* 2^-24 */
        first[i] = sqrtf(-2 * natural_log(u.bits));
    }
    for (int32_t i = 0; i < count; i++) {
        /* 2 pi v is a whole number of quarter turns and a rest within an eighth: both series are short there. */
        const float v = (float)high[i] * 5.9604644775390625e-8f, radius = first[i];
        const int32_t quarters = (int32_t)(4 * v + 0.5f), odd = quarters & 1;
        const float a = (v - 0.25f * (float)quarters) * 6.28318531f, q = a * a;
        const float sine = radius * (a + a * q * (-0.166666667f + q * (8.33333333e-3f + q * -1.98412698e-4f)));
        const float cosine = radius * (1 + q * (-0.5f + q * (4.16666667e-2f + q * (-1.38888889e-3f +
                                                                                   q * 2.48015873e-5f))));
        const float across = odd ? sine : cosine, up = odd ? cosine : sine;
        first[i] = (float)(1 - ((quarters + 1) & 2)) * across;
        second[i] = (float)(1 - (quarters & 2)) * up;
    }
    for (int32_t i = 0; i < count; i++) {
        z[2 * i] = first[i];
        z[2 * i + 1] = second[i];
    }
}

/* Elements start to start + count - 1 of z of one tensor; start is a multiple of 8, count at most CHUNK_FP32. */
void draw_z_fp32(const struct address *address, uint64_t start, int32_t count, float *z)
{
    uint64_t drawn[CHUNK_FP32 / 2];
    float last[2];
    words(address, start / 2, (count + 1) / 2, drawn);
    box_muller(drawn, count / 2, z);
    if (count % 2) {
        box_muller(drawn + count / 2, 1, last);
        z[count - 1] = last[0];
    }
}

/* Kaiming-uniform weights; biases, beta and running means 0; gamma and running variances 1. */
void init_weights_fp32(struct trainer_fp32 *trainer, uint64_t seed)
{
    const struct model *model = trainer->model;
    for (int32_t i = 0; i < trainer->total; i++) {
        struct parameter *parameter = &trainer->parameters[i];
        const char *part = strchr(parameter->name, '.');
        const float value = part && (!strcmp(part, ".gamma") || !strcmp(part, ".var")) ? 1 : 0;
        for (int32_t j = 0; j < parameter->size; j++)
            parameter->data[j] = value;
    }
    for (int32_t b = 0; b < model->block_count; b++) {
        struct parameter *weight = &trainer->parameters[trainer->weight_of[b]];
        const struct address address = {seed, INIT, 0, (uint64_t)trainer->weight_of[b], 0};
        const float bound = (float)sqrt(6.0 / fan_in(model->blocks[b].layers));
        uint64_t drawn[256];
        for (int32_t start = 0; start < weight->size; start += 256) {
            const int32_t count = weight->size - start < 256 ? weight->size - start : 256;
            words(&address, (uint64_t)start, count, drawn);
            for (int32_t i = 0; i < count; i++)
                weight->data[start + i] = bound * ((float)(int32_t)(drawn[i] >> 40) * 1.1920928955078125e-7f - 1);
        }
    }
}
