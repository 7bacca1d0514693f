/* Cross-entropy in bits, summed over the batch, in units of 2^-22 (SPEC 8). 64-bit integers hold all of it. */
#include "int8.h"

#define LOG2_E 47274
#define LOG2_E_BITS 15
#define MAX_EXPONENT 20
#define TERM_BITS 30
#define COARSE_WINDOW 10

static const int64_t EXP2[] = {744261108, 257941996, 59588402, 10363966, 1362811, 223531};
static const int64_t LOG2[] = {3098164021, 1032715992, 620013802, 433203226, 436187078};
static const int64_t ONE = (int64_t)1 << TERM_BITS, WHOLE = (int64_t)1 << FRACTION_BITS;

/* A polynomial in f, both in units of 2^-30, truncated after each product (CHOICE 17). */
static int64_t horner(const int64_t *coefficients, int32_t count, int64_t f)
{
    int64_t v = coefficients[count - 1];
    for (int32_t i = count - 2; i >= 0; i--)
        v = coefficients[i] + ((v * f) >> TERM_BITS);
    return v;
}

/* u = logit * 2^exponent * log2(e) in units of 2^-22 (CHOICE 18). */
int64_t base2_logit(int32_t logit, int32_t exponent)
{
    const int32_t capped = exponent > MAX_EXPONENT ? MAX_EXPONENT : exponent;
    const int32_t shift = FRACTION_BITS - LOG2_E_BITS + capped;
    const int64_t scaled = (int64_t)logit * LOG2_E;
    if (shift >= 0)
        return scaled * ((int64_t)1 << shift);
    return shift <= -24 ? 0 : round_shift(scaled, -shift);
}

/* 2^-distance, distance in units of 2^-22, in units of 2^-30. */
int64_t exp2_term(int64_t distance)
{
    const int64_t whole = (distance + WHOLE - 1) >> FRACTION_BITS;
    const int64_t f = (whole * WHOLE - distance) * ((int64_t)1 << (TERM_BITS - FRACTION_BITS));
    const int64_t p = ONE + ((f * horner(EXP2, 6, f)) >> TERM_BITS);
    return p >> (whole > 32 ? 32 : whole);
}

/* log2(total), total in units of 2^-30, in units of 2^-22. */
int64_t log2_sum(int64_t total)
{
    const int32_t above = bit_width((uint64_t)total) - TERM_BITS - 1;
    const int64_t x = total >> above;
    const int64_t t = (x - ONE) * ONE / (x + ONE);
    const int64_t fraction = (t * horner(LOG2, 5, (t * t) >> TERM_BITS)) >> TERM_BITS;
    return above * WHOLE + (fraction >> (TERM_BITS - FRACTION_BITS));
}

static int64_t largest_of(const int8_t *logits, int32_t classes)
{
    int32_t largest = logits[0];
    for (int32_t j = 1; j < classes; j++)
        largest = logits[j] > largest ? logits[j] : largest;
    return largest;
}

/* The loss of a batch: log2 of the sum of 2^u, minus u of the label (CHOICE 6).  logits: (N, classes). */
int64_t cross_entropy(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n, int32_t classes)
{
    int64_t loss = 0;
    for (int32_t sample = 0; sample < n; sample++, logits += classes) {
        const int64_t most = base2_logit((int32_t)largest_of(logits, classes), exponent);
        int64_t total = 0;
        for (int32_t j = 0; j < classes; j++)
            total += exp2_term(most - base2_logit(logits[j], exponent));
        loss += log2_sum(total) + most - base2_logit(logits[labels[sample]], exponent);
    }
    return loss;
}

/* u in whole bits, rounded down. */
static int64_t whole_bits(int32_t logit, int32_t exponent)
{
    const int64_t u = base2_logit(logit, exponent);
    return u >= 0 ? u / WHOLE : -((-u + WHOLE - 1) / WHOLE);
}

/* The loss without fraction bits (CHOICE 19). */
int64_t coarse_cross_entropy(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n,
                             int32_t classes)
{
    int64_t loss = 0;
    for (int32_t sample = 0; sample < n; sample++, logits += classes) {
        const int64_t most = whole_bits((int32_t)largest_of(logits, classes), exponent);
        int64_t total = 0;
        for (int32_t j = 0; j < classes; j++) {
            const int64_t distance = most - whole_bits(logits[j], exponent);
            total += ((int64_t)1 << COARSE_WINDOW) >> (distance > COARSE_WINDOW + 1 ? COARSE_WINDOW + 1 : distance);
        }
        loss += (bit_width((uint64_t)total) - 1 - COARSE_WINDOW + most - whole_bits(logits[labels[sample]], exponent)) *
                WHOLE;
    }
    return loss;
}
