/* ElasticZO-INT8: everything that has an integer contract (zo_numpy/int8/SPEC.md). One section a file.
 *
 * Data is int8 in -127..127 with one exponent a tensor; accumulators are int32. There is no float, no allocation and
 * no global state in these files: what a step needs lies in a `struct trainer` whose memory the caller gives once. */
#ifndef INT8_H
#define INT8_H

#include "../models.h"
#include "../rng.h"

#define LARGEST 127            /* CHOICE 1: -128 never occurs */
#define MAX_TERMS 132624       /* of an int32 sum of products of int8 (SPEC 5.4) */
#define MAX_QUERIES 64

struct tensor {
    int8_t *data;
    int32_t size, exponent;
};

/* arith.c */
int32_t bit_width(uint64_t magnitude);
int64_t round_shift(int64_t a, int32_t shift);
int64_t pseudo_stochastic_shift(int64_t a, int32_t shift);
void pseudo_stochastic_shifts(const int32_t *values, int32_t count, int32_t shift, int32_t *result);
int32_t clip(int32_t a, int32_t bound);
int32_t max_abs(const int32_t *values, int32_t count);
int32_t requantise_shift(int32_t maximum);
int32_t requantise(const int32_t *sums, int32_t count, int8_t *data);
void from_pixels(const uint8_t *pixels, int32_t count, int8_t *data);

/* layers.c, points.c; `forward` is plain where the trainer is watched, else tiled */
void conv2d(const struct layer *layer, const struct shape *input, int32_t n, const int8_t *x, const int8_t *weight,
            int32_t *sums);
void linear(int32_t n, int32_t in, int32_t out, const int8_t *x, const int8_t *weight, int32_t *sums);
void max_pool2d(int32_t images, int32_t height, int32_t width, int32_t size, int32_t *x);
void max_over_points(int32_t n, int32_t points, int32_t channels, int32_t *x);
void relu(int32_t count, int32_t *x);
void product(const struct block *block, int32_t n, const int8_t *x, const int8_t *weight, int32_t *sums);
void apply_layer(const struct layer *layer, int32_t n, struct shape *shape, int32_t *x);

/* loss.c */
#define FRACTION_BITS 22
#define SOFTMAX_BITS 15
int64_t base2_logit(int32_t logit, int32_t exponent);
int64_t exp2_term(int64_t distance);
int64_t log2_sum(int64_t total);
int64_t cross_entropy(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n, int32_t classes);
int64_t coarse_cross_entropy(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n,
                             int32_t classes);

/* tail.c */
int32_t softmax_error(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n, int32_t classes,
                      int32_t *sums, int8_t *error);
void linear_gradient(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *x, int32_t *gradient);
void linear_backward(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *weight, int32_t *sums);
void relu_backward(int32_t count, const int8_t *x, int32_t *error);
struct scale {                   /* of a layer of the tail, with `tail_scale` = running (SPEC 9.1) */
    int32_t reference, age;
};
#define FIRST_REFERENCE (-1024)   /* below the size of any gradient: the first one decides */
#define FALL_AFTER 64             /* gradients in a row below the reference, until it falls by one */
#define LARGEST_SHIFT 30          /* of an int32 */
int32_t own_shift(uint64_t maximum, int32_t b_bp);
int32_t running_shift(uint64_t maximum, int32_t exponent, int32_t b_bp, struct scale *scale);
int32_t gradient_shift(uint64_t maximum, int32_t exponent, int32_t b_bp, struct scale *scale);
void gradient_step(int32_t *gradient, int32_t count, int32_t exponent, int32_t b_bp, struct scale *scale,
                   int16_t *step);
void update_tail(struct tensor *weight, const int16_t *step, const int16_t *first_step);

/* draws.c */
int32_t init_exponent(int32_t fan_in, int32_t headroom);
void init_weights(const struct model *model, uint64_t seed, const int32_t *headroom, struct tensor *weights);
void clip_for_zo(struct tensor *weights, int32_t count, int32_t r_limit);
#define CHUNK 1024   /* elements of z that are drawn at a time, a multiple of 16 */
void draw_z(const struct address *address, uint64_t start, int32_t count, int32_t r_max, int32_t p_zero, int8_t *z);

/* elastic_zo.c, variants.c, full_bp.c */
struct settings {
    int32_t r_max, p_zero, b_zo, b_bp, r_limit, queries;
    bool coarse, both, frozen;
};

struct outcome {
    int64_t loss_plus, loss_minus;
    int32_t queries;
    int8_t g[MAX_QUERIES];
};

/* What is told of a step that is watched: an array of int8, int16 or int32 (bytes of an element), or a number.
 * maximum and shift are those of a requantisation. */
struct note {
    const char *phase, *op, *name;
    int32_t query, bytes;
    const void *array;
    int32_t n;
    const struct shape *shape;   /* of one sample; of weights NULL: those of the tensor called `name` */
    int64_t value;
    int32_t exponent, maximum, shift;
};

struct recorder {
    void (*note)(struct recorder *recorder, const struct note *note);
};

struct trainer {
    const struct model *model;
    int32_t bp_tail, max_batch;
    struct tensor weights[MAX_BLOCKS];
    int8_t *x[MAX_BLOCKS + 1];         /* the input of each block, and the logits; (max_batch, ...) */
    int32_t exponents[MAX_BLOCKS + 1];
    int16_t *steps[MAX_BLOCKS];        /* of the layers that learn by BP, from the second pass */
    int16_t *first_steps[MAX_BLOCKS];  /* from the first, where both passes give one */
    bool running;                      /* whether the steps have a running scale, one for each of these layers: */
    struct scale scales[MAX_BLOCKS];
    int8_t *errors[2];
    int32_t *sums;                     /* accumulators and gradients */
    int64_t *wide;                     /* of full BP: sums over batch and image */
    uint8_t *places;                   /* of full BP: where each maximum of a pooling was; */
    int32_t place_of[MAX_BLOCKS];      /* those of a block begin there */
    int32_t *points;                   /* of full BP: the point of each maximum */
    int16_t *scratch;                  /* tiled.c's */
    uint8_t *shifts;                   /* of each sample or tile, while a block is made */
    struct recorder *recorder;         /* NULL, or who watches: then layers are made plainly, one by one */
};

struct arena {   /* memory that is handed out once, before the first step; a base of NULL counts only */
    unsigned char *base;
    uint64_t used;
};

bool lay_out(struct trainer *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch, bool both,
             bool watched, struct arena *arena);
void begin_scales(struct trainer *trainer, bool running);
struct scale *scale_of(struct trainer *trainer, int32_t block);
void forward(struct trainer *trainer, int32_t n, const char *phase, int32_t query);
int64_t forward_pass(struct trainer *trainer, const struct settings *settings, const uint8_t *labels, int32_t n,
                     const char *phase, int32_t query, int16_t **steps);
void tail_steps(struct trainer *trainer, const uint8_t *labels, int32_t n, int32_t b_bp, const char *phase,
                int32_t query, int16_t **steps);
void update_all(struct trainer *trainer, int32_t first, bool both);
void note_weights(struct trainer *trainer, const char *phase, int32_t query);
void note_loss(struct trainer *trainer, const char *phase, int32_t query, int64_t loss);
void note_made(struct trainer *trainer, const char *phase, int32_t query, const char *op, const char *name,
               const int8_t *array, int32_t n, const struct shape *shape, int32_t exponent, int32_t maximum,
               int32_t shift);
void note(struct trainer *trainer, const char *phase, int32_t query, const char *op, const char *name, int32_t bytes,
          const void *array, int32_t n, const struct shape *shape);
void perturb(struct trainer *trainer, int32_t times, uint64_t seed, uint64_t step, uint64_t query,
             const struct settings *settings);
int32_t zo_gradient(int64_t loss_plus, int64_t loss_minus);
void restore_and_update(struct trainer *trainer, const int8_t *g, int32_t queries, uint64_t seed, uint64_t step,
                        const struct settings *settings);
void train_step(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                const struct settings *settings, struct outcome *outcome);
void train_variant(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                   const struct settings *settings, struct outcome *outcome);
void full_bp_step(struct trainer *trainer, const uint8_t *labels, int32_t n, const struct settings *settings,
                  struct outcome *outcome);
void any_step(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
              const struct settings *settings, struct outcome *outcome);
int32_t class_of(const int8_t *logits, int32_t classes);

/* tiled.c */
int32_t tiled_scratch(const struct model *model, int32_t max_batch);
void tiled_block(struct trainer *trainer, int32_t block, int32_t n);
void tiled_backward(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *weight, int32_t *sums);

#endif
