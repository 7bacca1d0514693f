/* A network as a plain list of layers, shared by both precisions (SPEC 6, 7, 15). Nothing here computes.
 *
 * N samples in a batch, C channels, H x W pixels, P points, K layers in the tail. A tensor of weights is numbered by
 * its place in the whole model. A block is a layer with weights and the weightless ones up to the next: what INT8
 * requantises once, at its end. */
#ifndef MODELS_H
#define MODELS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_LAYERS 64
#define MAX_BLOCKS 24
#define NAME_SIZE 24
#define FULL_BP (-1)   /* bp_tail of a run that sends errors through the whole network */

enum layer_type { CONV2D, LINEAR, POINT_LINEAR, BATCH_NORM, MAX_POOL2D, MAX_OVER_POINTS, RELU, FLATTEN };

struct layer {
    enum layer_type type;
    char name[NAME_SIZE];
    int32_t in, out;        /* channels or features; of a batch norm both are its channels */
    int32_t kernel, pad;    /* of a convolution */
    int32_t size;           /* of a max-pool */
};

struct shape {   /* of one sample: (C, H, W), (P, C) or (features) */
    int32_t dims, at[3];
};

struct block {
    const struct layer *layers;   /* the first has the weights */
    int32_t count;
    struct shape input, product, output;
    bool relu;                    /* whether nothing it gives is negative */
};

struct model {
    int32_t layer_count, block_count, classes;
    struct layer layers[MAX_LAYERS];
    struct shape input;
    struct block blocks[MAX_BLOCKS];
};

bool has_weight(const struct layer *layer);
int32_t fan_in(const struct layer *layer);
int32_t weight_count(const struct layer *layer);
int32_t shape_size(const struct shape *shape);
void output_shape(const struct layer *layer, struct shape *shape);
bool cut_into_blocks(struct model *model);
int32_t longest_tail(const struct model *model);
int32_t head_blocks(const struct model *model, int32_t bp_tail);
void drop_batch_norm(struct model *model);
bool named_model(const char *name, struct model *model);

#endif
