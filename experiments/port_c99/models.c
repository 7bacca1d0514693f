/* The networks of SPEC 6 and 15, and how any list of layers is cut into blocks. */
#include "models.h"

#include <string.h>

bool has_weight(const struct layer *layer)
{
    return layer->type == CONV2D || layer->type == LINEAR || layer->type == POINT_LINEAR;
}

/* How many products are summed into one output. */
int32_t fan_in(const struct layer *layer)
{
    return layer->type == CONV2D ? layer->in * layer->kernel * layer->kernel : layer->in;
}

int32_t weight_count(const struct layer *layer)
{
    return layer->out * fan_in(layer);
}

int32_t shape_size(const struct shape *shape)
{
    int32_t size = 1;
    for (int32_t i = 0; i < shape->dims; i++)
        size *= shape->at[i];
    return size;
}

/* Turns the shape of a layer's input into that of its output. */
void output_shape(const struct layer *layer, struct shape *shape)
{
    switch (layer->type) {
    case CONV2D:
        shape->at[0] = layer->out;
        shape->at[1] += 2 * layer->pad - layer->kernel + 1;
        shape->at[2] += 2 * layer->pad - layer->kernel + 1;
        break;
    case LINEAR:
        shape->at[0] = layer->out;
        break;
    case POINT_LINEAR:
        shape->at[1] = layer->out;
        break;
    case MAX_POOL2D:
        shape->at[1] /= layer->size;
        shape->at[2] /= layer->size;
        break;
    case MAX_OVER_POINTS:
        shape->dims = 1;
        shape->at[0] = shape->at[1];
        break;
    case FLATTEN:
        shape->at[0] = shape_size(shape);
        shape->dims = 1;
        break;
    case RELU:
    case BATCH_NORM:
        break;
    }
}

/* What dims a layer's input must have; 0 if any. */
static int32_t dims_taken(const struct layer *layer)
{
    switch (layer->type) {
    case CONV2D:
    case MAX_POOL2D:
        return 3;
    case POINT_LINEAR:
    case BATCH_NORM:
    case MAX_OVER_POINTS:
        return 2;
    case LINEAR:
        return 1;
    case RELU:
    case FLATTEN:
        break;
    }
    return 0;
}

/* Fills in the blocks and the classes of a model from its layers and its input's shape. False if they don't fit. */
bool cut_into_blocks(struct model *model)
{
    struct shape shape = model->input;
    struct block *block = NULL;
    model->block_count = 0;
    for (int32_t i = 0; i < model->layer_count; i++) {
        const struct layer *layer = &model->layers[i];
        const int32_t dims = dims_taken(layer);
        if (dims && dims != shape.dims)
            return false;
        if (has_weight(layer)) {
            if (model->block_count == MAX_BLOCKS || layer->in != shape.at[layer->type == POINT_LINEAR ? 1 : 0])
                return false;
            block = &model->blocks[model->block_count++];
            block->layers = layer;
            block->count = 0;
            block->relu = false;
            block->input = shape;
        }
        if (!block || (layer->type == MAX_POOL2D && (shape.at[1] < layer->size || shape.at[2] < layer->size)))
            return false;
        output_shape(layer, &shape);
        if (has_weight(layer))
            block->product = shape;
        block->relu = block->relu || layer->type == RELU;
        block->output = shape;
        block->count++;
    }
    model->classes = shape.dims == 1 ? shape.at[0] : 0;
    return model->classes > 0;
}

/* How many linear layers the model ends in: the largest K. */
int32_t longest_tail(const struct model *model)
{
    int32_t length = 0;
    while (length < model->block_count && model->blocks[model->block_count - 1 - length].layers->type == LINEAR)
        length++;
    return length;
}

/* How many blocks zeroth-order steps train: all below the tail. */
int32_t head_blocks(const struct model *model, int32_t bp_tail)
{
    return bp_tail == FULL_BP ? 0 : model->block_count - bp_tail;
}

/* INT8 has no batch norm: requantisation rescales every layer as it is (CHOICE 34). */
void drop_batch_norm(struct model *model)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < model->layer_count; i++)
        if (model->layers[i].type != BATCH_NORM)
            model->layers[kept++] = model->layers[i];
    model->layer_count = kept;
}

static void add(struct model *model, enum layer_type type, const char *name, int32_t number, int32_t in, int32_t out)
{
    struct layer *layer = &model->layers[model->layer_count++];
    const size_t length = strlen(name);
    memset(layer, 0, sizeof *layer);
    layer->type = type;
    layer->in = in;
    layer->out = out;
    memcpy(layer->name, name, length);
    layer->name[length] = (char)('0' + number);
    if (!number)
        layer->name[length] = 0;
    if (type == CONV2D) {
        layer->kernel = 5;
        layer->pad = 2;
    }
    if (type == MAX_POOL2D)
        layer->size = 2;
}

static void add_connected(struct model *model, const int32_t *widths, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        add(model, LINEAR, "fc", i, widths[i - 1], widths[i]);
        if (i < count - 1)
            add(model, RELU, "", 0, 0, 0);
    }
}

static void lenet(struct model *model, int32_t conv1, int32_t conv2, int32_t fc1, int32_t fc2)
{
    const int32_t widths[] = {conv2 * 49, fc1, fc2, 10};
    const struct shape input = {3, {1, 28, 28}};
    model->input = input;
    for (int32_t i = 1; i <= 2; i++) {
        add(model, CONV2D, "conv", i, i == 1 ? 1 : conv1, i == 1 ? conv1 : conv2);
        add(model, MAX_POOL2D, "", 0, 0, 0);
        add(model, RELU, "", 0, 0, 0);
    }
    add(model, FLATTEN, "", 0, 0, 0);
    add_connected(model, widths, 4);
}

static void pointnet(struct model *model, const int32_t *shared, int32_t fc1, int32_t fc2)
{
    const int32_t widths[] = {shared[4], fc1, fc2, 40};
    const struct shape input = {2, {1024, 3, 0}};
    model->input = input;
    for (int32_t i = 1; i <= 5; i++) {
        add(model, POINT_LINEAR, "mlp", i, i == 1 ? 3 : shared[i - 2], shared[i - 1]);
        add(model, BATCH_NORM, "norm", i, shared[i - 1], shared[i - 1]);   /* of FP32 alone */
        if (i == 5)
            add(model, MAX_OVER_POINTS, "", 0, 0, 0);
        add(model, RELU, "", 0, 0, 0);
    }
    add_connected(model, widths, 4);
}

/* The layers of a model that has a name; of point clouds the caller sets points and classes. False if unknown. */
bool named_model(const char *name, struct model *model)
{
    static const int32_t wide[] = {64, 64, 64, 128, 1024}, narrow[] = {4, 4, 4, 6, 16};
    memset(model, 0, sizeof *model);
    if (!strcmp(name, "lenet5"))
        lenet(model, 6, 16, 120, 84);
    else if (!strcmp(name, "narrow-lenet"))
        lenet(model, 2, 3, 16, 12);
    else if (!strcmp(name, "pointnet"))
        pointnet(model, wide, 512, 256);
    else if (!strcmp(name, "narrow-pointnet"))
        pointnet(model, narrow, 12, 8);
    else
        return false;
    return true;
}
