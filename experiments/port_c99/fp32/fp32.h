/* ElasticZO in FP32, the twin of int8.h: the same steps with biases, batch norm and Box-Muller's z. One section a file.
 *
 * Tensors are float; what is one number (a loss, g, a learning rate) is double. */
#ifndef FP32_H
#define FP32_H

#include "../models.h"
#include "../rng.h"

#define MAX_PARAMETERS 96   /* running statistics among them */
#define EPSILON 1e-5f       /* added to a variance */
#define MOMENTUM 0.1f       /* the share of a new batch in the running statistics */

struct parameter {
    char name[NAME_SIZE + 8];
    float *data;
    int32_t size, dims, shape[4];
};

struct settings_fp32 {
    double eps, eta, clip, eta_tail;
    int32_t queries;
    bool both, frozen;
};

struct outcome_fp32 {
    double loss_plus, loss_minus, g[64];
    int32_t queries;
};

/* What is told of a step that is watched: an array, or, if that is NULL, a number. */
struct note_fp32 {
    const char *phase, *op, *name;
    int32_t query;
    const float *array;
    int32_t dims, shape[4];
    double value;
};

struct recorder_fp32 {
    void (*note)(struct recorder_fp32 *recorder, const struct note_fp32 *note);
};

struct trainer_fp32 {
    const struct model *model;
    int32_t bp_tail, max_batch;
    struct parameter parameters[MAX_PARAMETERS];
    int32_t learned, total;            /* parameters that learn; these and the running statistics after them */
    int32_t weight_of[MAX_BLOCKS];     /* a block's weight; its bias, or gamma and beta, follow it */
    int32_t mean_of[MAX_BLOCKS];       /* a block's running mean, and its running variance after it; or -1 */
    float *statistics[MAX_BLOCKS];     /* mean and variance of the latest batch, (2, channels) */
    float *x[MAX_BLOCKS + 1];          /* the input of each block, and the logits */
    float *steps[MAX_PARAMETERS], *first_steps[MAX_PARAMETERS];   /* of the tail */
    float *errors[2], *scratch;
    bool evaluating;                   /* by the running statistics */
    struct recorder_fp32 *recorder;
};

struct arena_fp32 {
    unsigned char *base;
    uint64_t used;
};

/* layers.c, points.c */
void conv2d_fp32(const struct layer *layer, const struct shape *input, int32_t n, const float *x, const float *weight,
                 const float *bias, float *out);
void linear_fp32(int32_t n, int32_t in, int32_t out, const float *x, const float *weight, const float *bias, float *y);
void max_pool2d_fp32(int32_t images, int32_t height, int32_t width, int32_t size, float *x);
void relu_fp32(int32_t count, float *x);
void forward_fp32(struct trainer_fp32 *trainer, int32_t n, const char *phase, int32_t query);
void point_linear_fp32(int32_t rows, int32_t in, int32_t out, const float *x, const float *weight, float *y);
void batch_statistics(int32_t rows, int32_t channels, const float *x, float *mean, float *variance);
void scale_and_shift(int32_t channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                     float *scale, float *shift);
void max_over_points_fp32(int32_t n, int32_t points, int32_t channels, float *x);
void update_running(struct trainer_fp32 *trainer);
const float *statistics_of(struct trainer_fp32 *trainer, int32_t block);

/* loss.c, tail.c */
double cross_entropy_fp32(const float *logits, const uint8_t *labels, int32_t n, int32_t classes);
void softmax_error_fp32(const float *logits, const uint8_t *labels, int32_t n, int32_t classes, float *error);
void tail_steps_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, double eta_tail,
                     const char *phase, int32_t query, float **steps);
void update_tail_fp32(struct trainer_fp32 *trainer, bool both);

/* draws.c */
void box_muller(const uint64_t *drawn, int32_t count, float *z);
void init_weights_fp32(struct trainer_fp32 *trainer, uint64_t seed);
#define CHUNK_FP32 1024   /* elements of z that are drawn at a time, a multiple of 8 */
void draw_z_fp32(const struct address *address, uint64_t start, int32_t count, float *z);

/* elastic_zo.c, variants.c */
void perturb_fp32(struct trainer_fp32 *trainer, double times, uint64_t seed, uint64_t step, uint64_t query);
double zo_gradient_fp32(double loss_plus, double loss_minus, const struct settings_fp32 *settings);
void restore_and_update_fp32(struct trainer_fp32 *trainer, const double *g, int32_t queries, uint64_t seed,
                             uint64_t step, const struct settings_fp32 *settings);
double forward_pass_fp32(struct trainer_fp32 *trainer, const struct settings_fp32 *settings, const uint8_t *labels,
                         int32_t n, const char *phase, int32_t query, float **steps);
void train_step_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                     const struct settings_fp32 *settings, struct outcome_fp32 *outcome);
void train_variant_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                        const struct settings_fp32 *settings, struct outcome_fp32 *outcome);
void from_pixels_fp32(const uint8_t *pixels, int32_t count, float *x);

/* precision.c */
bool lay_out_fp32(struct trainer_fp32 *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch,
                  bool both, bool watched, struct arena_fp32 *arena);
int32_t first_of_tail(const struct trainer_fp32 *trainer);
void note_fp32(struct trainer_fp32 *trainer, const char *phase, int32_t query, const char *op, const char *name,
               const float *array, int32_t n, const struct shape *shape);
void note_parameter(struct trainer_fp32 *trainer, const char *phase, int32_t query, const char *op,
                    const struct parameter *parameter, const float *array);

/* tiled.c */
int32_t tiled_scratch_fp32(const struct model *model, int32_t max_batch);
void tiled_block_fp32(struct trainer_fp32 *trainer, int32_t block, int32_t n);
void tiled_gradient_fp32(int32_t n, int32_t in, int32_t out, const float *error, const float *x, float *gradient);
void tiled_backward_fp32(int32_t n, int32_t in, int32_t out, const float *error, const float *weight, float *below);

#endif
