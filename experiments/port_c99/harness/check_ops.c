/* Tier 1: every case of every op file, in the order in which a port is brought up. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One case: where it stands, and whether all that was compared agrees so far. */
struct trial {
    const char *op;
    const struct json *inputs, *parameters, *expected;
    int32_t id;
    bool right;
};

static void wrong(struct trial *trial, const char *field, int32_t index, int64_t expected, int64_t got)
{
    if (trial->right)
        printf("ops/%s.json, case %ld: %s, index %ld: expected %" PRId64 ", got %" PRId64 "\n", trial->op,
               (long)trial->id, field, (long)index, expected, got);
    trial->right = false;
}

/* Compares a field of `expected` with numbers. */
static void expect(struct trial *trial, const struct json *node, const char *field, const int64_t *got, int32_t count)
{
    int32_t wanted;
    const int64_t *numbers_of = numbers(node, &wanted);
    if (wanted != count)
        wrong(trial, field, -1, wanted, count);
    for (int32_t i = 0; i < count && i < wanted; i++)
        if (numbers_of[i] != got[i])
            wrong(trial, field, i, numbers_of[i], got[i]);
}

#define EXPECT(TYPE)                                                                                                   \
    static void expect_##TYPE(struct trial *trial, const char *field, const TYPE##_t *got, int32_t count)              \
    {                                                                                                                  \
        int64_t *wide = allocate((size_t)count * sizeof *wide);                                                        \
        for (int32_t i = 0; i < count; i++)                                                                            \
            wide[i] = (int64_t)got[i];                                                                                 \
        expect(trial, get(trial->expected, field), field, wide, count);                                                \
    }
EXPECT(int8)
EXPECT(uint16)
EXPECT(int32)
EXPECT(int64)
EXPECT(uint64)

static void expect_one(struct trial *trial, const char *field, int64_t got)
{
    expect(trial, get(trial->expected, field), field, &got, 1);
}

static const struct json *in(const struct trial *trial, const char *name)
{
    return get(trial->inputs, name);
}

static int32_t given(const struct trial *trial, const char *name)
{
    return small(get(trial->parameters, name));
}

/* The address of a draw; what a case leaves out is 0, and its stream the given one. */
static struct address address_of(const struct trial *trial, uint64_t stream)
{
    static const char *const names[] = {"seed", "stream", "step", "tensor", "query"};
    struct address address = {0, stream, 0, 0, 0};
    uint64_t *const fields[] = {&address.seed, &address.stream, &address.step, &address.tensor, &address.query};
    for (int i = 0; i < 5; i++)
        if (find(trial->parameters, names[i]))
            *fields[i] = natural(find(trial->parameters, names[i]));
    return address;
}

static int32_t *int32s(const struct json *node, int32_t *count)
{
    const int64_t *wide = numbers(node, count);
    int32_t *narrow = allocate((size_t)*count * sizeof *narrow);
    for (int32_t i = 0; i < *count; i++)
        narrow[i] = (int32_t)wide[i];
    return narrow;
}

static uint8_t *labels_of(const struct json *node)
{
    int32_t count;
    return (uint8_t *)bytes_in(node, &count);
}

/* Random numbers. */

static void op_philox4x64_10(struct trial *trial)
{
    int32_t count;
    const uint64_t *counter = (const uint64_t *)numbers(in(trial, "counter"), &count);
    const uint64_t *key = (const uint64_t *)numbers(in(trial, "key"), &count);
    uint64_t block[4];
    philox4x64_10(counter, key, block);
    expect_uint64(trial, "block", block, 4);
}

static void op_words(struct trial *trial)
{
    const struct address address = address_of(trial, INIT);
    const int32_t count = given(trial, "count");
    uint64_t *drawn = allocate((size_t)count * sizeof *drawn);
    words(&address, 0, count, drawn);
    expect_uint64(trial, "words", drawn, count);
}

static void op_half_words(struct trial *trial)
{
    const struct address address = address_of(trial, INIT);
    const int32_t count = given(trial, "count"), whole_words = count_numbers(get(trial->expected, "words"));
    uint64_t *drawn = allocate((size_t)whole_words * sizeof *drawn);
    uint16_t *halves = allocate((size_t)count * sizeof *halves);
    words(&address, 0, whole_words, drawn);
    half_words(&address, 0, count, halves);
    expect_uint64(trial, "words", drawn, whole_words);
    expect_uint16(trial, "half_words", halves, count);
}

static void op_uniform_int8(struct trial *trial)
{
    const struct address address = address_of(trial, INIT);
    const int32_t count = given(trial, "count");
    uint16_t *halves = allocate((size_t)count * sizeof *halves);
    int8_t *data = allocate((size_t)count);
    half_words(&address, 0, count, halves);
    for (int32_t i = 0; i < count; i++)
        data[i] = uniform_int8(halves[i], given(trial, "bound"));
    expect_uint16(trial, "half_words", halves, count);
    expect_int8(trial, "data", data, count);
}

static void op_perturbation(struct trial *trial)
{
    const struct address address = address_of(trial, PERTURB);
    const int32_t count = given(trial, "count");
    uint16_t *halves = allocate((size_t)count * sizeof *halves);
    int8_t *z = allocate((size_t)count);
    half_words(&address, 0, count, halves);
    for (int32_t start = 0; start < count; start += CHUNK)
        draw_z(&address, (uint64_t)start, count - start < CHUNK ? count - start : CHUNK, given(trial, "r_max"),
               given(trial, "p_zero"), z + start);
    expect_uint16(trial, "half_words", halves, count);
    expect_int8(trial, "z", z, count);
}

static void op_stable_argsort(struct trial *trial)
{
    int32_t count;
    const uint64_t *keys = (const uint64_t *)numbers(in(trial, "words"), &count);
    int32_t *order = allocate((size_t)count * sizeof *order);
    stable_argsort(keys, count, order);
    expect_int32(trial, "order", order, count);
}

static void op_shuffled(struct trial *trial)
{
    const int32_t count = given(trial, "count");
    uint64_t *keys = allocate((size_t)count * sizeof *keys);
    int32_t *order = allocate((size_t)count * sizeof *order);
    shuffled(natural(get(trial->parameters, "seed")), natural(get(trial->parameters, "epoch")), count, keys, order);
    expect_uint64(trial, "words", keys, count);
    expect_int32(trial, "order", order, count);
}

/* Rounding. */

static void op_bit_width(struct trial *trial)
{
    expect_one(trial, "width", bit_width(natural(get(trial->parameters, "magnitude"))));
}

static void op_round_shift(struct trial *trial)
{
    int32_t count;
    int64_t *values = numbers(in(trial, "values"), &count);
    for (int32_t i = 0; i < count; i++)
        values[i] = round_shift(values[i], given(trial, "shift"));
    expect_int64(trial, "result", values, count);
}

static void op_pseudo_stochastic_shift(struct trial *trial)
{
    int32_t count;
    int32_t *values = int32s(in(trial, "values"), &count);
    int64_t *one_by_one = numbers(in(trial, "values"), &count);
    for (int32_t i = 0; i < count; i++)
        one_by_one[i] = pseudo_stochastic_shift(one_by_one[i], given(trial, "shift"));
    pseudo_stochastic_shifts(values, count, given(trial, "shift"), values);
    expect_int64(trial, "result", one_by_one, count);
    expect_int32(trial, "result", values, count);
}

static void op_requantise(struct trial *trial)
{
    int32_t count;
    const int32_t *sums = int32s(in(trial, "accumulator"), &count);
    int8_t *data = allocate((size_t)count);
    const int32_t shift = requantise(sums, count, data);
    expect_one(trial, "maximum", max_abs(sums, count));
    expect_one(trial, "shift", shift);
    expect_int8(trial, "data", data, count);
    expect_one(trial, "exponent", given(trial, "exponent") + shift);
}

/* Weights. */

static void op_init_exponent(struct trial *trial)
{
    const int32_t headroom = given(trial, "headroom"), exponent = init_exponent(given(trial, "fan_in"), headroom);
    expect_one(trial, "bound", LARGEST >> headroom);
    expect_one(trial, "k", headroom - exponent);
    expect_one(trial, "exponent", exponent);
}

/* Draws the tensors whose shapes a case has. */
static void init_shapes(struct trial *trial, struct model *model, struct tensor *tensors)
{
    const struct json *shapes = get(trial->parameters, "shapes");
    int32_t headroom[MAX_BLOCKS];
    model->block_count = length_of(shapes);
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct json *shape = item(shapes, b);
        struct layer *layer = &model->layers[b];
        layer->type = length_of(shape) == 4 ? CONV2D : LINEAR;
        layer->out = small(item(shape, 0));
        layer->in = small(item(shape, 1));
        layer->kernel = layer->type == CONV2D ? small(item(shape, 2)) : 1;
        model->blocks[b].layers = layer;
        headroom[b] = small(item(get(trial->parameters, "headroom"), b));
        tensors[b].size = weight_count(layer);
        tensors[b].data = allocate((size_t)tensors[b].size);
    }
    init_weights(model, natural(get(trial->parameters, "seed")), headroom, tensors);
}

static void op_init_weights(struct trial *trial)
{
    const struct json *weights = get(trial->expected, "weights");
    struct model *model = allocate(sizeof *model);
    struct tensor tensors[MAX_BLOCKS];
    init_shapes(trial, model, tensors);
    for (int32_t b = 0; b < model->block_count; b++) {
        struct trial one = *trial;
        one.expected = item(weights, b);
        expect_int8(&one, "data", tensors[b].data, tensors[b].size);
        expect_one(&one, "exponent", tensors[b].exponent);
        trial->right = trial->right && one.right;
    }
}

/* The weights of whole networks by their digests. */
static void op_initial_digest(struct trial *trial)
{
    const struct json *shapes = get(trial->parameters, "shapes");
    struct model *model = allocate(sizeof *model);
    struct tensor tensors[MAX_BLOCKS];
    struct sha256 hash;
    char hex[65];
    sha256_begin(&hash);
    init_shapes(trial, model, tensors);
    for (int32_t b = 0; b < model->block_count; b++) {
        if (b < given(trial, "zo_tensors"))
            clip_for_zo(&tensors[b], 1, given(trial, "r_limit"));
        sha256_of(tensors[b].data, (size_t)tensors[b].size, 1, hex);
        if (strcmp(hex, item(get(trial->expected, "tensors"), b)->text))
            wrong(trial, "tensors", b, 0, 0);
        if (small(item(get(trial->expected, "exponents"), b)) != tensors[b].exponent)
            wrong(trial, "exponents", b, 0, tensors[b].exponent);
        sha256_add(&hash, tensors[b].data, (size_t)tensors[b].size);
    }
    sha256_end(&hash, hex);
    if (length_of(shapes) != model->block_count || strcmp(hex, get(trial->expected, "digest")->text))
        wrong(trial, "digest", 0, 0, 0);
}

static void op_clip_for_zo(struct trial *trial)
{
    struct tensor weight;
    weight.data = bytes_in(in(trial, "weight"), &weight.size);
    clip_for_zo(&weight, 1, given(trial, "r_limit"));
    expect_int8(trial, "weight", weight.data, weight.size);
}

static void op_digest(struct trial *trial)
{
    struct sha256 hash;
    char hex[65], *bytes = allocate(1), text[3];
    size_t used = 0;
    sha256_begin(&hash);
    for (const struct json *weight = in(trial, "weights")->first; weight; weight = weight->next) {
        int32_t count;
        const int8_t *data = bytes_in(get(weight, "data"), &count);
        char *longer = allocate(used + 2 * (size_t)count + 1);
        memcpy(longer, bytes, used);
        bytes = longer;
        for (int32_t i = 0; i < count; i++, used += 2) {
            snprintf(text, sizeof text, "%02x", (unsigned)(uint8_t)data[i]);
            memcpy(bytes + used, text, 2);
        }
        sha256_add(&hash, data, (size_t)count);
    }
    sha256_end(&hash, hex);
    if (strcmp(bytes, get(trial->expected, "bytes")->text) || strcmp(hex, get(trial->expected, "digest")->text))
        wrong(trial, "digest", 0, 0, 0);
}

/* Ops on whole layers. */

static void op_from_pixels(struct trial *trial)
{
    int32_t count;
    const uint8_t *pixels = (const uint8_t *)bytes_in(in(trial, "pixels"), &count);
    int8_t *data = allocate((size_t)count);
    from_pixels(pixels, count, data);
    expect_int8(trial, "data", data, count);
    expect_one(trial, "exponent", -7);
}

/* The sizes of a nested list's axes; of those beyond its depth 1. */
static void axes(const struct json *nested, int32_t size[4])
{
    for (int i = 0; i < 4; i++) {
        size[i] = nested && nested->type == JSON_LIST ? length_of(nested) : 1;
        nested = nested && nested->type == JSON_LIST ? nested->first : NULL;
    }
}

/* A network of one layer on inputs of a shape, and a trainer to run it tiled, of which sums are compared as the data
 * before a requantisation: here only whether the tiled block gives what the plain product requantised gives. */
static void tiled_agrees(struct trial *trial, struct model *model, int32_t n, const int8_t *x, const int8_t *weight)
{
    struct trainer trainer;
    if (!cut_into_blocks(model))
        return;
    const struct block *block = &model->blocks[0];
    const int32_t count = n * shape_size(&block->output);
    int32_t *sums = allocate((size_t)(n * shape_size(&block->product)) * sizeof *sums);
    int8_t *plain = allocate((size_t)count);
    struct shape shape = block->product;
    lay_out_int8(&trainer, model, 0, n, false, false);
    memcpy(trainer.x[0], x, (size_t)(n * shape_size(&block->input)));
    memcpy(trainer.weights[0].data, weight, (size_t)weight_count(block->layers));
    tiled_block(&trainer, 0, n);
    product(block, n, x, weight, sums);
    for (int32_t i = 1; i < block->count; i++)
        apply_layer(&block->layers[i], n, &shape, sums);
    requantise(sums, count, plain);
    for (int32_t i = 0; i < count; i++)
        if (plain[i] != trainer.x[1][i])
            wrong(trial, "the tiled block", i, plain[i], trainer.x[1][i]);
}

static void model_of_layer(struct model *model, const struct layer *layer, const struct shape *input)
{
    memset(model, 0, sizeof *model);
    model->layers[0] = *layer;
    model->layer_count = 1;
    model->input = *input;
    if (layer->type != LINEAR) {   /* so that it ends in classes */
        model->layers[1].type = RELU;
        model->layers[2].type = layer->type == CONV2D ? FLATTEN : MAX_OVER_POINTS;
        model->layer_count = 3;
    }
}

static void op_linear(struct trial *trial)
{
    const bool points = !strcmp(trial->op, "point_linear");
    int32_t count, size[4], out[4];
    const int8_t *x = bytes_in(in(trial, "x"), &count), *weight = bytes_in(in(trial, "weight"), &count);
    axes(in(trial, "x"), size);
    axes(in(trial, "weight"), out);
    const int32_t rows = points ? size[0] * size[1] : size[0];
    int32_t *sums = allocate((size_t)(rows * out[0]) * sizeof *sums);
    const struct layer layer = {points ? POINT_LINEAR : LINEAR, "fc", out[1], out[0], 0, 0, 0};
    const struct shape shape = {points ? 2 : 1, {points ? size[1] : out[1], points ? out[1] : 0, 0}};
    struct model *model = allocate(sizeof *model);
    linear(rows, out[1], out[0], x, weight, sums);
    expect_int32(trial, "accumulator", sums, rows * out[0]);
    model_of_layer(model, &layer, &shape);
    tiled_agrees(trial, model, size[0], x, weight);
}

static void op_matmul(struct trial *trial)   /* (n, k) by (k, m): `linear` with the second operand turned */
{
    int32_t count, a[4], b[4];
    const int8_t *left = bytes_in(in(trial, "a"), &count), *right = bytes_in(in(trial, "b"), &count);
    axes(in(trial, "a"), a);
    axes(in(trial, "b"), b);
    int8_t *turned = allocate((size_t)count);
    int32_t *sums = allocate((size_t)(a[0] * b[1]) * sizeof *sums);
    for (int32_t i = 0; i < b[0]; i++)
        for (int32_t j = 0; j < b[1]; j++)
            turned[j * b[0] + i] = right[i * b[1] + j];
    linear(a[0], a[1], b[1], left, turned, sums);
    expect_int32(trial, "accumulator", sums, a[0] * b[1]);
}

static void op_conv2d(struct trial *trial)
{
    int32_t count, size[4], kernel[4];
    const int8_t *x = bytes_in(in(trial, "x"), &count), *weight = bytes_in(in(trial, "weight"), &count);
    axes(in(trial, "x"), size);
    axes(in(trial, "weight"), kernel);
    const struct layer layer = {CONV2D, "conv", kernel[1], kernel[0], kernel[2], given(trial, "pad"), 0};
    const struct shape input = {3, {size[1], size[2], size[3]}};
    struct shape output = input;
    struct model *model = allocate(sizeof *model);
    output_shape(&layer, &output);
    int32_t *sums = allocate((size_t)(size[0] * shape_size(&output)) * sizeof *sums);
    conv2d(&layer, &input, size[0], x, weight, sums);
    expect_int32(trial, "accumulator", sums, size[0] * shape_size(&output));
    model_of_layer(model, &layer, &input);
    tiled_agrees(trial, model, size[0], x, weight);
}

static void op_shape(struct trial *trial)   /* max_pool2d, max_over_points, relu, flatten */
{
    int32_t count, size[4];
    int32_t *x = int32s(in(trial, "x"), &count);
    axes(in(trial, "x"), size);
    if (!strncmp(trial->op, "max_pool2d", strlen("max_pool2d"))) {
        max_pool2d(size[0] * size[1], size[2], size[3], given(trial, "size"), x);
        count = size[0] * size[1] * (size[2] / given(trial, "size")) * (size[3] / given(trial, "size"));
    } else if (!strcmp(trial->op, "max_over_points")) {
        max_over_points(size[0], size[1], size[2], x);
        count = size[0] * size[2];
    } else if (!strcmp(trial->op, "relu")) {
        relu(count, x);
    }
    expect_int32(trial, "result", x, count);
}

/* A float32, from its bits, as SPEC 15.1 decodes a coordinate; without any float. */
static int8_t decoded(uint32_t bits)
{
    const int32_t exponent = (int32_t)(bits >> 23 & 0xffu) - 150;   /* value = mantissa * 2^exponent */
    const uint64_t mantissa = (bits & 0x7fffffu) | (exponent > -150 ? 0x800000u : 0);
    const uint64_t scaled = 2 * 127 * mantissa;                     /* 2 * 127 * x, before the power of two */
    uint64_t rounded = 0;                                           /* floor(127 x + 1/2) */
    if (exponent >= 0)
        rounded = mantissa ? 1000 : 0;
    else if (exponent > -60)
        rounded = ((scaled >> -exponent) + 1) / 2;
    rounded = rounded > LARGEST ? LARGEST : rounded;
    return (int8_t)(bits >> 31 ? -(int32_t)rounded : (int32_t)rounded);
}

static void op_decode_points(struct trial *trial)
{
    int32_t count;
    const int64_t *bits = numbers(in(trial, "bits"), &count);
    int8_t *data = allocate((size_t)count);
    for (int32_t i = 0; i < count; i++)
        data[i] = decoded((uint32_t)bits[i]);
    expect_int8(trial, "data", data, count);
}

/* The forward pass. */

/* The intermediate results of a block, as they are told. */
struct watch {
    struct recorder recorder;
    struct trial *trial;
    int32_t afters, errors, gradients, steps;
};

static void expect_item(struct watch *watch, const char *field, int32_t index, const char *part,
                        const struct note *told, int32_t count)
{
    const struct json *node = item(get(watch->trial->expected, field), index);
    int64_t *wide = allocate((size_t)count * sizeof *wide);
    for (int32_t i = 0; i < count; i++)
        wide[i] = told->bytes == 1 ? ((const int8_t *)told->array)[i]
                : told->bytes == 2 ? ((const int16_t *)told->array)[i] : ((const int32_t *)told->array)[i];
    expect(watch->trial, part ? get(node, part) : node, field, wide, count);
}

static void watch_block(struct recorder *recorder, const struct note *told)
{
    struct watch *watch = (struct watch *)(void *)recorder;
    struct trial *trial = watch->trial;
    const int32_t count = told->shape ? told->n * shape_size(told->shape) : 0;
    if (!strcmp(told->op, "requantise")) {
        expect_one(trial, "maximum", told->maximum);
        expect_one(trial, "shift", told->shift);
        expect_one(trial, "exponent", told->exponent);
        expect_int8(trial, "data", told->array, count);
    } else if (!strcmp(told->op, "Conv2d") || !strcmp(told->op, "Linear") || !strcmp(told->op, "PointLinear")) {
        expect_int32(trial, "accumulator", told->array, count);
    } else {
        expect_item(watch, "after", watch->afters++, NULL, told, count);
    }
}

static void give_tensor(const struct json *from, int8_t *to, int32_t *exponent)
{
    int32_t count;
    const int8_t *data = bytes_in(get(from, "data"), &count);
    memcpy(to, data, (size_t)count);
    *exponent = small(get(from, "exponent"));
}

static void model_of_trial(struct trial *trial, struct model *model, const int32_t size[4])
{
    memset(model, 0, sizeof *model);
    layers_from_json(get(trial->parameters, "layers"), trial->op, model);
    const enum layer_type first = model->layers[0].type;
    model->input.dims = first == CONV2D ? 3 : first == POINT_LINEAR ? 2 : 1;
    for (int i = 0; i < 3; i++)
        model->input.at[i] = size[i + 1];
}

static void op_block(struct trial *trial)   /* forward_block and point_block */
{
    struct model *model = allocate(sizeof *model);
    struct watch watch = {{watch_block}, trial, 0, 0, 0, 0};
    int32_t size[4];
    axes(get(in(trial, "x"), "data"), size);
    model_of_trial(trial, model, size);
    cut_into_blocks(model);
    for (int tiled = 0; tiled < 2; tiled++) {
        struct trainer trainer;
        lay_out_int8(&trainer, model, 0, size[0], false, !tiled);
        give_tensor(in(trial, "x"), trainer.x[0], &trainer.exponents[0]);
        give_tensor(in(trial, "weight"), trainer.weights[0].data, &trainer.weights[0].exponent);
        if (!tiled)
            trainer.recorder = &watch.recorder;
        forward(&trainer, size[0], "minus", 0);
        expect_int8(trial, "data", trainer.x[1], size[0] * shape_size(&model->blocks[0].output));
        expect_one(trial, "exponent", trainer.exponents[1]);
    }
}

static void op_classify(struct trial *trial)
{
    int32_t count, size[4];
    const int8_t *logits = bytes_in(in(trial, "logits"), &count);
    axes(in(trial, "logits"), size);
    int32_t *classes = allocate((size_t)size[0] * sizeof *classes);
    for (int32_t i = 0; i < size[0]; i++)
        classes[i] = class_of(logits + i * size[1], size[1]);
    expect_int32(trial, "classes", classes, size[0]);
}

/* The loss. */

static void op_base2_logits(struct trial *trial)
{
    int32_t count;
    int64_t *u = numbers(get(in(trial, "logits"), "data"), &count);
    for (int32_t i = 0; i < count; i++)
        u[i] = base2_logit((int32_t)u[i], small(get(in(trial, "logits"), "exponent")));
    expect_int64(trial, "u", u, count);
}

static void op_exp2_terms(struct trial *trial)
{
    int32_t count, size[4];
    int64_t *u = numbers(in(trial, "u"), &count), *terms = allocate((size_t)count * sizeof *terms);
    axes(in(trial, "u"), size);
    for (int32_t row = 0; row < count; row += size[1]) {
        int64_t most = u[row];
        for (int32_t j = row; j < row + size[1]; j++)
            most = u[j] > most ? u[j] : most;
        for (int32_t j = row; j < row + size[1]; j++)
            terms[j] = exp2_term(u[j] = most - u[j]);
    }
    expect_int64(trial, "distance", u, count);
    expect_int64(trial, "terms", terms, count);
}

static void op_log2_sum(struct trial *trial)
{
    int32_t count;
    int64_t *totals = numbers(in(trial, "totals"), &count);
    for (int32_t i = 0; i < count; i++)
        totals[i] = log2_sum(totals[i]);
    expect_int64(trial, "log2", totals, count);
}

static void op_cross_entropy(struct trial *trial)   /* and coarse_cross_entropy */
{
    const struct json *logits = in(trial, "logits");
    const bool coarse = *trial->op != 'c' || trial->op[1] == 'o';
    int32_t count, size[4];
    const int8_t *data = bytes_in(get(logits, "data"), &count);
    const uint8_t *labels = labels_of(in(trial, "labels"));
    const int32_t exponent = small(get(logits, "exponent"));
    axes(get(logits, "data"), size);
    int64_t *each = allocate((size_t)size[0] * sizeof *each);
    for (int32_t i = 0; i < size[0]; i++)
        each[i] = (coarse ? coarse_cross_entropy : cross_entropy)(data + i * size[1], exponent, labels + i, 1, size[1]);
    expect_int64(trial, "per_sample", each, size[0]);
    expect_one(trial, "loss",
               (coarse ? coarse_cross_entropy : cross_entropy)(data, exponent, labels, size[0], size[1]));
}

static void op_loss_sign(struct trial *trial)
{
    static const char *const passes[] = {"plus", "minus"};
    int64_t losses[2];
    for (int i = 0; i < 2; i++) {
        int32_t count, size[4];
        const struct json *logits = in(trial, passes[i]);
        axes(get(logits, "data"), size);
        losses[i] = cross_entropy(bytes_in(get(logits, "data"), &count), small(get(logits, "exponent")),
                                  labels_of(in(trial, "labels")), size[0], size[1]);
    }
    expect_one(trial, "loss_plus", losses[0]);
    expect_one(trial, "loss_minus", losses[1]);
    expect_one(trial, "g", zo_gradient(losses[0], losses[1]));
}

/* ZO steps. */

/* A trainer of bare tensors: linear layers of these sizes, one after the other, with places of others between. */
static void bare_trainer(struct trial *trial, struct trainer *trainer, struct model *model)
{
    const struct json *weights = in(trial, "weights"), *tensors = get(trial->parameters, "tensors");
    static struct layer none;
    memset(model, 0, sizeof *model);
    memset(trainer, 0, sizeof *trainer);
    for (int32_t i = 0; i < length_of(weights); i++) {
        const int32_t place = small(item(tensors, i));
        struct tensor *weight = &trainer->weights[place];
        weight->data = bytes_in(item(weights, i), &weight->size);
        if (place >= model->block_count)
            model->block_count = place + 1;
    }
    for (int32_t b = 0; b < MAX_BLOCKS; b++)
        model->blocks[b].layers = &none;
    trainer->model = model;
}

static void expect_bare(struct trial *trial, const char *field, const struct trainer *trainer)
{
    const struct json *tensors = get(trial->parameters, "tensors"), *all = get(trial->expected, field);
    for (int32_t i = 0; i < length_of(tensors); i++) {
        const struct tensor *weight = &trainer->weights[small(item(tensors, i))];
        int64_t *wide = allocate((size_t)weight->size * sizeof *wide);
        for (int32_t j = 0; j < weight->size; j++)
            wide[j] = weight->data[j];
        expect(trial, item(all, i), field, wide, weight->size);
    }
}

static void settings_of_trial(struct trial *trial, struct settings *settings)
{
    const struct json *b_zo = find(trial->parameters, "b_zo"), *b_bp = find(trial->parameters, "b_bp");
    memset(settings, 0, sizeof *settings);
    settings->r_max = given(trial, "r_max");
    settings->p_zero = given(trial, "p_zero");
    settings->r_limit = given(trial, "r_limit");
    settings->b_zo = b_zo ? small(b_zo) : 1;
    settings->b_bp = b_bp ? small(b_bp) : 1;
    settings->queries = 1;
}

static void op_perturb(struct trial *trial)
{
    struct model *model = allocate(sizeof *model);
    struct trainer trainer;
    struct settings settings;
    bare_trainer(trial, &trainer, model);
    settings_of_trial(trial, &settings);
    perturb(&trainer, given(trial, "times"), natural(get(trial->parameters, "seed")),
            natural(get(trial->parameters, "step")), 0, &settings);
    expect_bare(trial, "weights", &trainer);
}

static void op_restore_and_update(struct trial *trial)
{
    struct model *model = allocate(sizeof *model);
    struct trainer trainer;
    struct settings settings;
    const int8_t g = (int8_t)given(trial, "g");
    const uint64_t seed = natural(get(trial->parameters, "seed")), step = natural(get(trial->parameters, "step"));
    settings_of_trial(trial, &settings);
    bare_trainer(trial, &trainer, model);
    perturb(&trainer, +1, seed, step, 0, &settings);
    expect_bare(trial, "restored", &trainer);
    bare_trainer(trial, &trainer, model);
    restore_and_update(&trainer, &g, 1, seed, step, &settings);
    expect_bare(trial, "weights", &trainer);
}

/* The tail. */

static void op_softmax_error(struct trial *trial)
{
    const struct json *logits = in(trial, "logits");
    int32_t count, size[4];
    const int8_t *data = bytes_in(get(logits, "data"), &count);
    axes(get(logits, "data"), size);
    int32_t *sums = allocate((size_t)count * sizeof *sums);
    int8_t *error = allocate((size_t)count);
    const int32_t shift = softmax_error(data, small(get(logits, "exponent")), labels_of(in(trial, "labels")), size[0],
                                        size[1], sums, error);
    expect_int32(trial, "accumulator", sums, count);
    expect_one(trial, "maximum", max_abs(sums, count));
    expect_one(trial, "shift", shift);
    expect_int8(trial, "data", error, count);
    expect_one(trial, "exponent", shift - SOFTMAX_BITS);
}

static void op_linear_gradient(struct trial *trial)
{
    int32_t count, out[4], size[4];
    const int8_t *error = bytes_in(in(trial, "error"), &count), *x = bytes_in(in(trial, "x"), &count);
    axes(in(trial, "error"), out);
    axes(in(trial, "x"), size);
    int32_t *gradient = allocate((size_t)(out[1] * size[1]) * sizeof *gradient);
    linear_gradient(size[0], size[1], out[1], error, x, gradient);
    expect_int32(trial, "accumulator", gradient, out[1] * size[1]);
}

static void op_linear_backward(struct trial *trial)
{
    int32_t count, size[4], out[4];
    const int8_t *error = bytes_in(in(trial, "error"), &count), *weight = bytes_in(in(trial, "weight"), &count);
    axes(in(trial, "error"), size);
    axes(in(trial, "weight"), out);
    int32_t *sums = allocate((size_t)(size[0] * out[1]) * sizeof *sums);
    linear_backward(size[0], out[1], out[0], error, weight, sums);
    expect_int32(trial, "accumulator", sums, size[0] * out[1]);
    tiled_backward(size[0], out[1], out[0], error, weight, sums);
    expect_int32(trial, "accumulator", sums, size[0] * out[1]);
}

static void op_relu_backward(struct trial *trial)
{
    int32_t count;
    const int8_t *x = bytes_in(in(trial, "x"), &count);
    int32_t *error = int32s(in(trial, "error"), &count);
    relu_backward(count, x, error);
    expect_int32(trial, "result", error, count);
}

static void op_gradient_step(struct trial *trial)
{
    int32_t count;
    int32_t *gradient = int32s(in(trial, "gradient"), &count);
    int16_t *step = allocate((size_t)count * sizeof *step);
    int64_t *wide = allocate((size_t)count * sizeof *wide);
    const int32_t maximum = max_abs(gradient, count);
    expect_one(trial, "maximum", maximum);
    expect_one(trial, "shift", gradient_shift((uint64_t)maximum, 0, given(trial, "b_bp"), NULL));
    gradient_step(gradient, count, 0, given(trial, "b_bp"), NULL, step);
    for (int32_t i = 0; i < count; i++)
        wide[i] = step[i];
    expect_int64(trial, "step", wide, count);
}

static void op_running_step(struct trial *trial)
{
    const struct json *given_gradient = in(trial, "gradient");
    const int32_t exponent = small(get(given_gradient, "exponent")), b_bp = given(trial, "b_bp");
    struct scale scale = {given(trial, "reference"), given(trial, "age")}, again = scale;
    int32_t count;
    int32_t *gradient = int32s(get(given_gradient, "data"), &count);
    int16_t *step = allocate((size_t)count * sizeof *step);
    int64_t *wide = allocate((size_t)count * sizeof *wide);
    const int32_t maximum = max_abs(gradient, count);
    expect_one(trial, "maximum", maximum);
    if (maximum)   /* a gradient of zeros has no size */
        expect_one(trial, "size", bit_width((uint64_t)maximum) + exponent);
    expect_one(trial, "shift", running_shift((uint64_t)maximum, exponent, b_bp, &scale));
    expect_one(trial, "reference", scale.reference);
    expect_one(trial, "age", scale.age);
    gradient_step(gradient, count, exponent, b_bp, &again, step);
    for (int32_t i = 0; i < count; i++)
        wide[i] = step[i];
    expect_int64(trial, "step", wide, count);
}

static void op_update_tail(struct trial *trial)
{
    const struct json *gradients = in(trial, "gradients");
    struct tensor weight;
    int16_t *steps[2] = {NULL, NULL};
    weight.data = bytes_in(in(trial, "weight"), &weight.size);
    for (int32_t i = 0; i < length_of(gradients); i++) {
        int32_t count;
        int32_t *gradient = int32s(item(gradients, i), &count);
        int64_t *wide = allocate((size_t)count * sizeof *wide);
        steps[i] = allocate((size_t)count * sizeof **steps);
        gradient_step(gradient, count, 0, given(trial, "b_bp"), NULL, steps[i]);
        for (int32_t j = 0; j < count; j++)
            wide[j] = steps[i][j];
        expect(trial, item(get(trial->expected, "steps"), i), "steps", wide, count);
    }
    update_tail(&weight, steps[0], steps[1]);
    expect_int8(trial, "weight", weight.data, weight.size);
}

static void watch_tail(struct recorder *recorder, const struct note *told)
{
    struct watch *watch = (struct watch *)(void *)recorder;
    const struct json *expected = watch->trial->expected;
    const int32_t count = told->shape ? told->n * shape_size(told->shape) : 0;
    if (!strcmp(told->op, "softmax_error") || !strcmp(told->op, "requantise_error")) {
        expect_item(watch, "errors", watch->errors, "data", told, count);
        if (small(get(item(get(expected, "errors"), watch->errors++), "exponent")) != told->exponent)
            wrong(watch->trial, "the exponent of an error", watch->errors - 1, 0, told->exponent);
    } else if (!strcmp(told->op, "linear_gradient")) {
        const struct json *node = item(get(expected, "gradients"), watch->gradients);
        expect_item(watch, "gradients", watch->gradients++, NULL, told, count_numbers(node));
    } else if (!strcmp(told->op, "gradient_step")) {
        const struct json *node = item(get(expected, "steps"), watch->steps);
        expect_item(watch, "steps", watch->steps++, NULL, told, count_numbers(node));
    }
}

/* Gives a trainer the weights of a case, and compares them with those that are expected. */
static void give_weights(struct trial *trial, struct trainer *trainer)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++)
        give_tensor(item(in(trial, "weights"), b), trainer->weights[b].data, &trainer->weights[b].exponent);
}

static void expect_weights(struct trial *trial, const struct trainer *trainer)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        const struct tensor *weight = &trainer->weights[b];
        int64_t *wide = allocate((size_t)weight->size * sizeof *wide);
        for (int32_t i = 0; i < weight->size; i++)
            wide[i] = weight->data[i];
        expect(trial, item(get(trial->expected, "weights"), b), "weights", wide, weight->size);
    }
}

static void op_tail_step(struct trial *trial)
{
    struct model *model = allocate(sizeof *model);
    struct watch watch = {{watch_tail}, trial, 0, 0, 0, 0};
    const uint8_t *labels = labels_of(in(trial, "labels"));
    int32_t size[4];
    axes(get(in(trial, "x"), "data"), size);
    model_of_trial(trial, model, size);
    cut_into_blocks(model);
    for (int tiled = 0; tiled < 2; tiled++) {
        struct trainer trainer;
        lay_out_int8(&trainer, model, model->block_count, size[0], false, !tiled);
        give_tensor(in(trial, "x"), trainer.x[0], &trainer.exponents[0]);
        give_weights(trial, &trainer);
        trainer.recorder = tiled ? NULL : &watch.recorder;
        forward(&trainer, size[0], "minus", 0);
        tail_steps(&trainer, labels, size[0], given(trial, "b_bp"), "minus", 0, trainer.steps);
        for (int32_t b = 0; b <= model->block_count; b++) {
            const struct json *node = b < model->block_count ? item(get(trial->expected, "xs"), b)
                                                             : get(trial->expected, "logits");
            int32_t count;
            const int8_t *data = bytes_in(get(node, "data"), &count);
            if (memcmp(data, trainer.x[b], (size_t)count) || small(get(node, "exponent")) != trainer.exponents[b])
                wrong(trial, "the input of a layer", b, 0, 0);
        }
        update_all(&trainer, 0, false);
        expect_weights(trial, &trainer);
    }
}

static void ignore(struct recorder *recorder, const struct note *told)
{
    (void)recorder;
    (void)told;
}

static void op_train_step(struct trial *trial)
{
    struct model *model = allocate(sizeof *model);
    struct recorder plain = {ignore};
    const uint8_t *labels = labels_of(in(trial, "labels"));
    int32_t count, size[4];
    const uint8_t *pixels = (const uint8_t *)bytes_in(in(trial, "images"), &count);
    axes(in(trial, "images"), size);
    model_of_trial(trial, model, size);
    cut_into_blocks(model);
    for (int tiled = 0; tiled < 2; tiled++) {
        struct trainer trainer;
        struct settings settings;
        struct outcome outcome;
        settings_of_trial(trial, &settings);
        settings.coarse = !strcmp(get(trial->parameters, "loss")->text, "coarse");
        settings.both = !strcmp(get(trial->parameters, "tail_passes")->text, "both");
        settings.frozen = given(trial, "frozen") != 0;
        lay_out_int8(&trainer, model, given(trial, "bp_tail"), size[0], settings.both, !tiled);
        give_weights(trial, &trainer);
        from_pixels(pixels, count, trainer.x[0]);
        trainer.recorder = tiled ? NULL : &plain;
        any_step(&trainer, labels, size[0], natural(get(trial->parameters, "seed")),
                 natural(get(trial->parameters, "step")), &settings, &outcome);
        expect_one(trial, "loss_plus", outcome.loss_plus);
        expect_one(trial, "loss_minus", outcome.loss_minus);
        expect_one(trial, "g", outcome.g[0]);
        expect_weights(trial, &trainer);
    }
}

/* A whole run of a tiny network: order, schedules and variants together. */
static void op_short_run(struct trial *trial)
{
    struct model *model = allocate(sizeof *model);
    struct config config;
    struct trainer trainer;
    const struct json *line = get(trial->expected, "log")->first, *batch = get(trial->expected, "batches")->first;
    const uint8_t *all_labels = labels_of(in(trial, "labels"));
    int32_t count, size[4], step = 0, epoch = 0, n;
    const uint8_t *pixels = (const uint8_t *)bytes_in(in(trial, "images"), &count);
    const int32_t batch_size = given(trial, "batch_size");
    const uint64_t seed = natural(get(trial->parameters, "seed"));
    axes(in(trial, "images"), size);
    const int32_t samples = size[0], each = count / samples;
    const int32_t steps = (samples + batch_size - 1) / batch_size * given(trial, "epochs");
    int32_t *indices = allocate((size_t)batch_size * sizeof *indices);
    uint8_t *labels = allocate((size_t)batch_size);
    memset(&config, 0, sizeof config);
    config.schedules = trial->parameters;
    config.epochs = given(trial, "epochs");
    config.queries = given(trial, "queries");
    config.coarse = !strcmp(get(trial->parameters, "loss")->text, "coarse");
    config.both = !strcmp(get(trial->parameters, "tail_passes")->text, "both");
    config.frozen = given(trial, "frozen") != 0;
    model_of_trial(trial, model, size);
    cut_into_blocks(model);
    lay_out_int8(&trainer, model, given(trial, "bp_tail"), batch_size, config.both, false);
    give_weights(trial, &trainer);
    for (step = 0; step < steps && line && batch; step++, line = line->next, batch = batch->next) {
        struct settings settings;
        struct outcome outcome;
        batch_indices(seed, samples, batch_size, step, &epoch, indices, &n);
        settings_at(&config, epoch, &settings);
        for (int32_t i = 0; i < n; i++) {
            from_pixels(pixels + indices[i] * each, each, trainer.x[0] + i * each);
            labels[i] = all_labels[indices[i]];
            if (i >= length_of(batch) || small(item(batch, i)) != indices[i])
                wrong(trial, "batches", step, 0, indices[i]);
        }
        any_step(&trainer, labels, n, seed, (uint64_t)step, &settings, &outcome);
        if (length_of(line) != 2 + outcome.queries || whole(item(line, 0)) != outcome.loss_plus ||
            whole(item(line, 1)) != outcome.loss_minus)
            wrong(trial, "log", step, 0, outcome.loss_plus);
        for (int32_t q = 0; q < outcome.queries && trial->right; q++)
            if (small(item(line, 2 + q)) != outcome.g[q])
                wrong(trial, "log", step, 0, outcome.g[q]);
    }
    if (step < steps || line || batch)
        wrong(trial, "steps", step, steps, step);
    expect_weights(trial, &trainer);
}

/* An epoch. */

static void op_schedule(struct trial *trial)
{
    const struct json *values = get(trial->parameters, "values");
    struct json lists = {JSON_OBJECT, NULL, NULL, NULL, NULL}, list = *values;
    struct config config;
    list.key = "b_bp";
    list.next = NULL;
    lists.first = &list;
    config.schedules = &lists;
    config.epochs = given(trial, "epochs");
    expect_one(trial, "value", small(scheduled(&config, "b_bp", given(trial, "epoch"))));
}

static void op_batch_indices(struct trial *trial)
{
    const int32_t samples = given(trial, "samples"), size = given(trial, "batch_size");
    int32_t *indices = allocate((size_t)size * sizeof *indices), epoch, count;
    batch_indices(natural(get(trial->parameters, "seed")), samples, size, given(trial, "step"), &epoch, indices, &count);
    expect_one(trial, "steps_per_epoch", (samples + size - 1) / size);
    expect_one(trial, "epoch", epoch);
    expect_int32(trial, "indices", indices, count);
}

static const struct {
    const char *name;
    void (*check)(struct trial *trial);
} OPS[] = {
    {"philox4x64_10", op_philox4x64_10}, {"words", op_words}, {"half_words", op_half_words},
    {"uniform_int8", op_uniform_int8}, {"perturbation", op_perturbation}, {"stable_argsort", op_stable_argsort},
    {"shuffled", op_shuffled}, {"bit_width", op_bit_width}, {"round_shift", op_round_shift},
    {"pseudo_stochastic_shift", op_pseudo_stochastic_shift}, {"requantise", op_requantise},
    {"init_exponent", op_init_exponent}, {"init_weights", op_init_weights}, {"clip_for_zo", op_clip_for_zo},
    {"digest", op_digest}, {"from_pixels", op_from_pixels}, {"matmul", op_matmul}, {"linear", op_linear},
    {"conv2d", op_conv2d}, {"max_pool2d", op_shape}, {"max_pool2d_rest", op_shape}, {"relu", op_shape},
    {"flatten", op_shape},
    {"decode_points", op_decode_points}, {"point_linear", op_linear}, {"max_over_points", op_shape},
    {"point_block", op_block}, {"forward_block", op_block}, {"classify", op_classify},
    {"base2_logits", op_base2_logits}, {"exp2_terms", op_exp2_terms}, {"log2_sum", op_log2_sum},
    {"cross_entropy", op_cross_entropy}, {"coarse_cross_entropy", op_cross_entropy}, {"loss_sign", op_loss_sign},
    {"perturb", op_perturb}, {"restore_and_update", op_restore_and_update}, {"softmax_error", op_softmax_error},
    {"linear_gradient", op_linear_gradient}, {"linear_backward", op_linear_backward},
    {"relu_backward", op_relu_backward}, {"gradient_step", op_gradient_step}, {"running_step", op_running_step},
    {"update_tail", op_update_tail}, {"tail_step", op_tail_step}, {"train_step", op_train_step},
    {"schedule", op_schedule}, {"batch_indices", op_batch_indices}, {"initial_digest", op_initial_digest},
    {"point_block_ends", op_block}, {"tail_step_128", op_tail_step}, {"tail_step_bare", op_tail_step}, {"short_run", op_short_run},
};

int32_t check_ops(const char *folder, int32_t *right)
{
    int32_t failures = 0;
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++) {
        char name[64];
        size_t size;
        const size_t mark = pool_mark();
        snprintf(name, sizeof name, "%s.json", OPS[i].name);
        const char *path = path_of(folder, name);
        char *text = (char *)read_file(path, &size);
        if (!text)
            fail("%s is missing", path);
        const struct json *file = parse_json(text, path);
        for (const struct json *one = get(file, "cases")->first; one; one = one->next) {
            const size_t of_case = pool_mark();
            struct trial trial = {OPS[i].name, get(one, "inputs"), get(one, "parameters"), get(one, "expected"),
                                  small(get(one, "id")), true};
            OPS[i].check(&trial);
            *right += trial.right;
            failures += !trial.right;
            pool_release(of_case);
        }
        pool_release(mark);
    }
    return failures;
}
