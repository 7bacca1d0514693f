/* The configuration of a run, from its config.json (SPEC 12). What has another type or range is refused by its name. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(const char *path, const char *name, const struct json *found, const char *wanted)
{
    const char *quote = found->type == JSON_STRING ? "\"" : "";
    fail("%s: %s is %s%.40s%s; it must be %s", path, name, quote, found->text ? found->text : "a list or an object",
         quote, wanted);
}

static int32_t whole_of(const struct json *found, const char *path, const char *name, int32_t least, int32_t most)
{
    const char *digits = found->type == JSON_NUMBER ? found->text + (*found->text == '-') : "";
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a whole number from %ld to %ld", (long)least, (long)most);
    if (!*digits || digits[strspn(digits, "0123456789")] || whole(found) < least || whole(found) > most)
        refuse(path, name, found, wanted);
    return small(found);
}

/* The same of a field that an object may lack; 0 then. */
static int32_t field(const struct json *object, const char *path, const char *name, int32_t least, int32_t most)
{
    return find(object, name) ? whole_of(find(object, name), path, name, least, most) : 0;
}

static void check_real(const struct json *found, const char *path, const char *name, double most)
{
    char wanted[64], *end = NULL;
    const double value = found->type == JSON_NUMBER ? strtod(found->text, &end) : 0;
    snprintf(wanted, sizeof wanted, "a number above 0, at most %g", most);
    if (!end || *end || !(value > 0 && value <= most))
        refuse(path, name, found, wanted);
}

static uint64_t seed_of(const struct json *found, const char *path)
{
    static const char most[] = "18446744073709551615";
    const char *text = found->type == JSON_NUMBER ? found->text : "-";
    const size_t length = strlen(text);
    if (text[strspn(text, "0123456789")] || length > strlen(most) || (length == strlen(most) && strcmp(text, most) > 0))
        refuse(path, "seed", found, "a whole number from 0 to 18446744073709551615");
    return natural(found);
}

/* Whether a field that can have one of two texts has the second. */
static bool is_second(const struct json *object, const char *path, const char *name, const char *first,
                      const char *second)
{
    const struct json *found = get(object, name);
    const char *text = found->type == JSON_STRING ? found->text : "";
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s or %s", first, second);
    if (strcmp(text, first) && strcmp(text, second))
        refuse(path, name, found, wanted);
    return !strcmp(text, second);
}

static const char *text_of(const struct json *object, const char *path, const char *name)
{
    const struct json *found = get(object, name);
    if (found->type != JSON_STRING)
        refuse(path, name, found, "a text");
    return found->text;
}

void layers_from_json(const struct json *layers, const char *path, struct model *model)
{
    static const struct {
        const char *name, *in, *out;
        enum layer_type type;
    } known[] = {{"Conv2d", "in_channels", "out_channels", CONV2D}, {"Linear", "in_features", "out_features", LINEAR},
                 {"PointLinear", "in_channels", "out_channels", POINT_LINEAR}, {"MaxPool2d", "", "", MAX_POOL2D},
                 {"BatchNorm", "channels", "channels", BATCH_NORM}, {"ReLU", "", "", RELU},
                 {"MaxOverPoints", "", "", MAX_OVER_POINTS}, {"Flatten", "", "", FLATTEN}};
    const int32_t count = length_of(layers), widest = 100000000;
    int32_t blocks = 0;
    if (count < 1 || count > MAX_LAYERS)
        fail("%s: a network of %ld layers; the port takes 1 to %d", path, (long)count, MAX_LAYERS);
    model->layer_count = 0;
    for (const struct json *from = layers->first; from; from = from->next) {
        struct layer *layer = &model->layers[model->layer_count++];
        const char *type = text_of(from, path, "type"), *name = find(from, "name") ? text_of(from, path, "name") : "";
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, type))
            i++;
        if (i == sizeof known / sizeof *known)
            fail("%s: no layer has the type %.40s", path, type);
        if (strlen(name) >= NAME_SIZE)
            fail("%s: %.60s, the name of a layer, is too long; the port takes up to %d letters", path, name,
                 NAME_SIZE - 1);
        memset(layer, 0, sizeof *layer);
        strcpy(layer->name, name);
        layer->type = known[i].type;
        layer->in = field(from, path, known[i].in, 1, widest);
        layer->out = field(from, path, known[i].out, 1, widest);
        layer->kernel = field(from, path, "kernel", 1, 255);
        layer->pad = field(from, path, "pad", 0, 254);
        layer->size = field(from, path, "size", 1, 16);
        blocks += has_weight(layer);
    }
    if (blocks > MAX_BLOCKS)
        fail("%s: %ld layers have weights; the port takes up to %d such layers", path, (long)blocks, MAX_BLOCKS);
}

/* A named network for other samples: the layers that see them, and the last, are as wide as they must be. */
static void fit(struct model *model, int32_t classes)
{
    struct shape shape = model->input;
    for (int32_t i = 0; i < model->layer_count; i++) {
        struct layer *layer = &model->layers[i];
        if (layer->type == CONV2D || layer->type == LINEAR)
            layer->in = shape.at[0];
        if (i == model->layer_count - 1)
            layer->out = classes;
        output_shape(layer, &shape);
    }
}

/* Refuses numbers that an int32 could not count, and in integers sums that it might not hold (SPEC 5.4, 16). */
static void check_sizes(const struct config *config, const char *path)
{
    const double most = 1e8;   /* of weights, and of numbers that a layer makes of a sample */
    for (int32_t b = 0; b < config->model.block_count; b++) {
        const struct block *block = &config->model.blocks[b];
        const struct layer *layer = block->layers;
        const double taps = layer->type == CONV2D ? (double)layer->kernel * layer->kernel : 1;
        const double forward = layer->in * taps, weights = forward * layer->out, backward = layer->out * taps;
        double made = 1;
        for (int32_t i = 0; i < block->product.dims; i++)
            made *= block->product.at[i];
        if (weights > most || made > most)
            fail("%s: layer %s has %.0f weights and makes %.0f numbers of a sample; the port takes up to %.0f", path,
                 layer->name, weights, made, most);
        if (config->int8 && forward > MAX_TERMS)
            fail("%s: layer %s sums %.0f products, and an int32 holds %d for certain", path, layer->name, forward,
                 MAX_TERMS);
        if (config->int8 && config->bp_tail == FULL_BP && b && backward > MAX_TERMS)
            fail("%s: %.0f products make the error below layer %s, and an int32 holds %d for certain", path, backward,
                 layer->name, MAX_TERMS);
    }
}

/* The network of a configuration: a named one, or a list of layers; clouds have their points and classes. */
static void model_of(const struct json *json, const char *path, struct config *config)
{
    static const struct shape digits = {3, {1, 28, 28}}, clouds = {2, {1024, 3, 0}};   /* of data that have a name */
    const struct json *layers = find(json, "layers"), *shape = find(json, "input_shape");
    const char *name = text_of(json, path, "model");
    const int32_t classes = field(json, path, "classes", 0, 1000), points = field(json, path, "points", 0, 100000);
    struct model *made = &config->model;
    if (!named_model(name, made) && !layers)
        fail("%s: the model %s is not known, and there is no list of layers", path, name);
    if (layers) {
        layers_from_json(layers, path, made);
        made->input = made->layers[0].type == POINT_LINEAR ? clouds : digits;
    }
    if (shape) {
        if (length_of(shape) != 3)
            refuse(path, "input_shape", shape, "channels, rows and columns");
        made->input.dims = 3;
        for (int32_t i = 0; i < 3; i++)
            made->input.at[i] = whole_of(item(shape, i), path, "input_shape", 1, 4096);
        if (!layers)
            fit(made, classes);
    }
    if (made->input.dims == 2 && points) {
        made->input.at[0] = points;
        if (!layers)
            made->layers[made->layer_count - 1].out = classes;
    }
    if (config->int8)
        drop_batch_norm(made);
    if (!cut_into_blocks(made))
        fail("%s: the layers of the network do not fit each other", path);
    check_sizes(config, path);
}

static void check_schedules(const struct config *config)
{
    static const struct {
        const char *name;
        int32_t least, most;
    } wholes[] = {{"r_max", 1, 63}, {"p_zero", 0, 255}, {"b_zo", 1, 6}, {"b_bp", 1, 7}};
    static const struct {
        const char *name;
        double most;
    } reals[] = {{"eps", 1}, {"eta", 10}, {"clip", 1e9}, {"eta_tail", 10}};
    const char *path = config->path;
    for (int i = 0; i < 4; i++) {
        const char *name = config->int8 ? wholes[i].name : reals[i].name;
        const struct json *values = get(config->schedules, name);
        if (!values->first)
            refuse(path, name, values, "a list of numbers");
        for (const struct json *value = values->first; value; value = value->next) {
            if (!config->int8) {
                check_real(value, path, name, reals[i].most);
                continue;
            }
            const int32_t least = config->running && !strcmp(name, "b_bp") ? -8 : wholes[i].least;
            const int32_t number = whole_of(value, path, name, least, wholes[i].most);
            if (!strcmp(name, "r_max") && (number & (number + 1)))
                refuse(path, name, value, "1, 3, 7, 15, 31 or 63");
        }
    }
}

static void read_headroom(const struct json *headroom, struct config *config)
{
    if (length_of(headroom) != config->model.block_count)
        fail("%s: headroom has %ld numbers, and the network %ld layers with weights", config->path,
             (long)length_of(headroom), (long)config->model.block_count);
    for (int32_t b = 0; b < config->model.block_count; b++)
        config->headroom[b] = whole_of(item(headroom, b), config->path, "headroom", 0, 6);
}

void read_config(const struct json *json, const char *path, struct config *config)
{
    const struct json *tail = get(json, "bp_tail"), *frozen = get(json, "zo_frozen");
    memset(config, 0, sizeof *config);
    config->path = path;
    config->data = text_of(json, path, "data");
    config->init_from = text_of(json, path, "init_from");
    config->int8 = is_second(json, path, "precision", "fp32", "int8");
    config->both = is_second(json, path, "tail_passes", "second", "both");
    if (config->int8)
        config->coarse = is_second(json, path, "loss", "integer", "coarse");   /* "float" is no part of the contract */
    if (config->int8 && find(json, "tail_scale"))
        config->running = is_second(json, path, "tail_scale", "own", "running");
    if (frozen->type != JSON_BOOL)
        refuse(path, "zo_frozen", frozen, "true or false");
    config->frozen = is_true(frozen);
    config->bp_tail = tail->type == JSON_STRING && !strcmp(tail->text, "all")
        ? FULL_BP : whole_of(tail, path, "bp_tail", 0, MAX_BLOCKS);
    config->epochs = whole_of(get(json, "epochs"), path, "epochs", 1, 1000000);
    config->batch_size = whole_of(get(json, "batch_size"), path, "batch_size", 1, 4096);
    config->validate = field(json, path, "validate", 0, 1000000000);
    config->limit = field(json, path, "limit", 0, 1000000000);
    config->rotate = field(json, path, "rotate", 0, 359);
    config->queries = find(json, "queries") ? field(json, path, "queries", 1, MAX_QUERIES) : 1;
    config->augment = field(json, path, "augment", 0, 1000);
    config->own_images = find(json, "input_shape") != NULL;
    config->seed = seed_of(get(json, "seed"), path);
    config->schedules = get(json, "schedules");
    model_of(json, path, config);
    check_schedules(config);
    if (config->int8 && find(json, "headroom"))
        read_headroom(find(json, "headroom"), config);
}

/* The value of a schedule in an epoch (CHOICE 28). */
const struct json *scheduled(const struct config *config, const char *name, int32_t epoch)
{
    const struct json *values = get(config->schedules, name);
    return item(values, (int32_t)((int64_t)epoch * length_of(values) / config->epochs));
}

void settings_at(const struct config *config, int32_t epoch, struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    settings->r_max = small(scheduled(config, "r_max", epoch));
    settings->p_zero = small(scheduled(config, "p_zero", epoch));
    settings->b_zo = small(scheduled(config, "b_zo", epoch));
    settings->b_bp = small(scheduled(config, "b_bp", epoch));
    for (const struct json *value = get(config->schedules, "r_max")->first; value; value = value->next)
        settings->r_limit = small(value) > settings->r_limit ? small(value) : settings->r_limit;
    settings->queries = config->queries;
    settings->coarse = config->coarse;
    settings->both = config->both;
    settings->frozen = config->frozen;
}

void settings_fp32_at(const struct config *config, int32_t epoch, struct settings_fp32 *settings)
{
    memset(settings, 0, sizeof *settings);
    settings->eps = real(scheduled(config, "eps", epoch));
    settings->eta = real(scheduled(config, "eta", epoch));
    settings->clip = real(scheduled(config, "clip", epoch));
    settings->eta_tail = real(scheduled(config, "eta_tail", epoch));
    settings->queries = config->queries;
    settings->both = config->both;
    settings->frozen = config->frozen;
}
