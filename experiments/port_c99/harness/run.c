/* A whole run: data, steps, evaluations, digests (SPEC 11 and 12). */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVALUATION_BATCH 256   /* CHOICE 29 */
#define DIGEST_EVERY 100

static const struct array *named(const struct array *arrays, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; i++)
        if (!strcmp(arrays[i].name, name))
            return &arrays[i];
    return NULL;
}

static const char *in_words(enum kind kind, const int32_t *shape, int32_t dims)
{
    static const char *const kinds[] = {"", "uint8", "int8", "int32", "float32"};
    char *text = allocate(100);
    strcpy(text, kinds[kind]);
    for (int32_t i = 0; i < dims; i++)
        sprintf(text + strlen(text), i ? " x %ld" : " %ld", (long)shape[i]);
    return text;
}

/* Refuses samples and labels that are not of the types, shapes and classes that a run takes.  variants: of each sample,
 * or 0 where there is no such axis. */
static void check_samples(const struct config *config, const char *path, const char *const names[2],
                          const struct array *x, const struct array *y, int32_t variants)
{
    const struct shape *sample = &config->model.input;
    const int32_t shape[] = {variants, y->shape[0], sample->at[0], sample->at[1], sample->at[2]}, skipped = !variants;
    const char *wanted[] = {in_words(sample->dims == 3 ? UINT8 : config->int8 ? INT8 : FLOAT32, shape + skipped,
                                     sample->dims + 2 - skipped), in_words(UINT8, y->shape, 1)};
    for (int i = 1; i >= 0; i--) {   /* the labels say how many samples there are */
        const struct array *array = i ? y : x;
        const char *found = in_words(array->kind, array->shape, array->dims);
        if (strcmp(found, wanted[i]))
            fail("%s: %s is %s, and the run takes %s; make the file anew: python -m zo_numpy golden export-data FILE "
                 "--run RUN", path, names[i], found, wanted[i]);
    }
    for (size_t i = 0; i < y->count; i++)
        if (((const uint8_t *)y->data)[i] >= config->model.classes)
            fail("%s: label %lu of %s is %d, and the network has %ld classes", path, (unsigned long)i, names[1],
                 ((const uint8_t *)y->data)[i], (long)config->model.classes);
}

/* Plain IDX files have the pictures of the data sets as they are. */
static void check_plain(const struct config *config, const char *path)
{
    const char *what = config->rotate ? "turned pictures (rotate)" : config->own_images ? "pictures of one's own"
                       : config->model.input.dims == 2 ? "point clouds" : NULL;
    if (what)
        fail("%s has plain IDX files, and the run is of %s; make a flat file of its data: python -m zo_numpy golden "
             "export-data FILE --run RUN", path, what);
}

/* The data of a run, from a flat file, or from a folder of four IDX files, whose training samples `validate` and
 * `limit` divide (SPEC 3); a flat file is divided already. False if there are none. */
bool read_data(const struct config *config, const char *path, struct data *data)
{
    static const char *const files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
    static const char *const names[] = {"train_x", "train_y", "test_x", "test_y"};
    const struct array **parts[] = {&data->train_x, &data->train_y, &data->test_x, &data->test_y};
    const bool flat = is_flat(path);
    int32_t count = 0;
    const struct array *arrays = flat ? read_flat(path, &count) : NULL;
    for (int i = 0; i < 4; i++) {
        *parts[i] = flat ? named(arrays, count, names[i]) : read_idx(path, files[i]);
        if (!*parts[i])
            return false;
    }
    if (!flat)
        check_plain(config, path);
    for (int i = 0; i < 4; i += 2)
        check_samples(config, path, (flat ? names : files) + i, *parts[i], *parts[i + 1], i ? 0 : config->augment);
    data->first_test = 0;
    data->tests = (int32_t)data->test_y->count;
    data->trains = (int32_t)data->train_y->count;
    if (!flat && config->validate) {
        data->trains -= config->validate;
        data->first_test = data->trains;
        data->tests = config->validate;
        data->test_x = data->train_x;
        data->test_y = data->train_y;
    }
    if (!flat && config->limit && config->limit < data->trains)
        data->trains = config->limit;
    if (data->trains < 1 || data->tests < 1)
        fail("%s: with validate %ld there are no samples left to train on, or none to report on", path,
             (long)config->validate);
    return true;
}

/* The samples that step `step` of a run visits, and its epoch; indices has room for a batch. */
void batch_indices(uint64_t seed, int32_t samples, int32_t batch_size, int32_t step, int32_t *epoch, int32_t *indices,
                   int32_t *count)
{
    const int32_t in_epoch = (samples + batch_size - 1) / batch_size, first = step % in_epoch * batch_size;
    const size_t mark = pool_mark();
    uint64_t *keys = allocate((size_t)samples * sizeof *keys);
    int32_t *order = allocate((size_t)samples * sizeof *order);
    *epoch = step / in_epoch;
    *count = samples - first < batch_size ? samples - first : batch_size;
    shuffled(seed, (uint64_t)*epoch, samples, keys, order);
    memcpy(indices, order + first, (size_t)*count * sizeof *indices);
    pool_release(mark);
}

void lay_out_int8(struct trainer *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch, bool both,
                  bool watched)
{
    struct arena arena = {NULL, 0};
    if (!lay_out(trainer, model, bp_tail, max_batch, both, watched, &arena))
        fail("a tail of %ld layers: the network does not end in so many linear ones", (long)bp_tail);
    arena.base = allocate((size_t)arena.used);
    arena.used = 0;
    lay_out(trainer, model, bp_tail, max_batch, both, watched, &arena);
}

/* The weights a run starts from: drawn, or given by name. */
void start_int8(struct trainer *trainer, const struct config *config, const struct array *given, int32_t count)
{
    struct settings settings;
    init_weights(&config->model, config->seed, config->headroom, trainer->weights);
    for (int32_t b = 0; given && b < config->model.block_count; b++) {
        const char *name = config->model.blocks[b].layers->name;
        const struct array *array = named(given, count, name);
        if (!array || array->kind != INT8 || array->count != (size_t)trainer->weights[b].size)
            fail("the given weights have no int8 %s of the right size", name);
        memcpy(trainer->weights[b].data, array->data, array->count);
        trainer->weights[b].exponent = array->exponent;
    }
    begin_scales(trainer, config->running);
    settings_at(config, 0, &settings);
    clip_for_zo(trainer->weights, head_blocks(&config->model, config->bp_tail), settings.r_limit);
}

/* What both precisions need to go through the data. */
struct walk {
    const struct config *config;
    const struct data *data;
    struct trainer *int8;           /* one of the two */
    struct trainer_fp32 *fp32;
};

/* Puts one sample into place number `place` of the batch. */
static void take_sample(const struct walk *walk, const struct array *from, size_t sample, int32_t place)
{
    const int32_t size = shape_size(&walk->config->model.input);
    const unsigned char *bytes = (const unsigned char *)from->data + sample * (size_t)size * bytes_of(from->kind);
    if (walk->int8) {
        int8_t *to = walk->int8->x[0] + place * size;
        if (from->kind == UINT8)
            from_pixels(bytes, size, to);
        else
            memcpy(to, bytes, (size_t)size);
    } else {
        float *to = walk->fp32->x[0] + place * size;
        if (from->kind == UINT8)
            from_pixels_fp32(bytes, size, to);
        else
            memcpy(to, bytes, (size_t)size * sizeof *to);
    }
}

static int32_t class_of_logits(const struct walk *walk, int32_t sample)
{
    const int32_t last = walk->config->model.block_count, classes = walk->config->model.classes;
    if (walk->int8)
        return class_of(walk->int8->x[last] + sample * classes, classes);
    const float *logits = walk->fp32->x[last] + sample * classes;
    int32_t best = 0;
    for (int32_t j = 1; j < classes; j++)
        best = logits[j] > logits[best] ? j : best;
    return best;
}

/* How many of the samples reported on are classified right, in batches of this size. */
static int32_t count_correct(const struct walk *walk, int32_t batch)
{
    const struct data *data = walk->data;
    int32_t right = 0;
    for (int32_t start = 0; start < data->tests; start += batch) {
        const int32_t n = data->tests - start < batch ? data->tests - start : batch;
        for (int32_t i = 0; i < n; i++)
            take_sample(walk, data->test_x, (size_t)(data->first_test + start + i), i);
        if (walk->int8) {
            forward(walk->int8, n, "", 0);
        } else {
            walk->fp32->evaluating = true;
            forward_fp32(walk->fp32, n, "", 0);
            walk->fp32->evaluating = false;
        }
        for (int32_t i = 0; i < n; i++)
            right += class_of_logits(walk, i) == ((const uint8_t *)data->test_y->data)[data->first_test + start + i];
    }
    return right;
}

/* The signs of all queries, with commas between. */
static int write_signs(char *text, size_t size, const struct outcome *outcome)
{
    int used = 0;
    for (int32_t i = 0; i < outcome->queries; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%d", i ? "," : "", outcome->g[i]);
    return used;
}

/* Makes one step and writes its line, without a digest. */
static void step_line(const struct walk *walk, const uint8_t *labels, int32_t n, int32_t step, int32_t epoch,
                      char *text, size_t size)
{
    const struct config *config = walk->config;
    if (walk->int8) {
        struct settings settings;
        struct outcome outcome;
        settings_at(config, epoch, &settings);
        any_step(walk->int8, labels, n, config->seed, (uint64_t)step, &settings, &outcome);
        const int used = snprintf(text, size, "%ld %" PRId64 " %" PRId64 " ", (long)step, outcome.loss_plus,
                                  outcome.loss_minus);
        write_signs(text + used, size - (size_t)used, &outcome);
        return;
    }
    struct settings_fp32 settings;
    struct outcome_fp32 outcome;
    settings_fp32_at(config, epoch, &settings);
    if (settings.frozen || settings.both || settings.queries > 1)
        train_variant_fp32(walk->fp32, labels, n, config->seed, (uint64_t)step, &settings, &outcome);
    else
        train_step_fp32(walk->fp32, labels, n, config->seed, (uint64_t)step, &settings, &outcome);
    int used = snprintf(text, size, "%ld %.17g %.17g ", (long)step, outcome.loss_plus, outcome.loss_minus);
    for (int32_t i = 0; i < outcome.queries; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%.17g", i ? "," : "", outcome.g[i]);
}

/* How many tensors of weights there are, and what each is called. */
static int32_t tensors_of(const struct walk *walk)
{
    return walk->int8 ? walk->config->model.block_count : walk->fp32->total;
}

static const char *tensor_name(const struct walk *walk, int32_t i)
{
    return walk->int8 ? walk->config->model.blocks[i].layers->name : walk->fp32->parameters[i].name;
}

/* Writes the weights as a flat file; running scales begin anew with every run, so they are not among them. */
static void save_weights(const char *path, const struct walk *walk)
{
    const int32_t count = tensors_of(walk);
    struct array *arrays = allocate((size_t)count * sizeof *arrays);
    for (int32_t i = 0; i < count; i++) {
        struct array *array = &arrays[i];
        array->dims = 1;
        array->kind = walk->int8 ? INT8 : FLOAT32;
        array->data = walk->int8 ? (void *)walk->int8->weights[i].data : walk->fp32->parameters[i].data;
        array->shape[0] = walk->int8 ? walk->int8->weights[i].size : walk->fp32->parameters[i].size;
        array->exponent = walk->int8 ? walk->int8->weights[i].exponent : 0;
        array->count = (size_t)array->shape[0];
        strcpy(array->name, tensor_name(walk, i));   /* short enough, see `run` */
    }
    write_flat(path, arrays, count);
}

static void lay_out_both(struct walk *walk, const struct array *given, int32_t givens)
{
    const struct config *config = walk->config;
    const int32_t most = config->batch_size > EVALUATION_BATCH ? config->batch_size : EVALUATION_BATCH;
    if (config->int8) {
        walk->int8 = allocate(sizeof *walk->int8);
        lay_out_int8(walk->int8, &config->model, config->bp_tail, most, config->both, false);
        start_int8(walk->int8, config, given, givens);
        return;
    }
    struct arena_fp32 arena = {NULL, 0};
    walk->fp32 = allocate(sizeof *walk->fp32);
    if (!lay_out_fp32(walk->fp32, &config->model, config->bp_tail, most, config->both, false, &arena))
        fail("%s: in FP32 the tail is of 0 or more layers, and the network must end in so many", config->path);
    arena.base = allocate((size_t)arena.used);
    arena.used = 0;
    lay_out_fp32(walk->fp32, &config->model, config->bp_tail, most, config->both, false, &arena);
    init_weights_fp32(walk->fp32, config->seed);
    for (int32_t i = 0; given && i < walk->fp32->total; i++) {
        struct parameter *parameter = &walk->fp32->parameters[i];
        const struct array *array = named(given, givens, parameter->name);
        if (!array || array->kind != FLOAT32 || array->count != (size_t)parameter->size)
            fail("the given weights have no float32 %s of the right size", parameter->name);
        memcpy(parameter->data, array->data, array->count * sizeof(float));
    }
}

/* Makes a run; each line goes to the sink.  given: weights to start from, or NULL.  save: a file for the final ones,
 * or NULL. False if the sink stopped it. */
bool run(const struct config *config, const struct data *data, const struct array *given, int32_t givens,
         const char *save, struct sink *sink)
{
    struct walk walk = {config, data, NULL, NULL};
    const int32_t in_epoch = (data->trains + config->batch_size - 1) / config->batch_size;
    if (config->epochs > INT32_MAX / in_epoch)
        fail("%s: %ld epochs are more than 2^31 - 1 steps", config->path, (long)config->epochs);
    const int32_t total = config->epochs * in_epoch;
    uint64_t *keys = allocate((size_t)data->trains * sizeof *keys);
    int32_t *order = allocate((size_t)data->trains * sizeof *order);
    uint8_t *labels = allocate((size_t)config->batch_size);
    const size_t size = 4096;
    char *text = allocate(size), hex[65];
    if (*config->init_from && !given)
        fail("%s: this run starts from the weights of %s (init_from); write them by `python -m zo_numpy export %s "
             "--format flat --out FIRST.flat`, and give them: --from FIRST.flat", config->path, config->init_from,
             config->init_from);
    lay_out_both(&walk, given, givens);
    for (int32_t i = 0; save && i < tensors_of(&walk); i++)
        if (strlen(tensor_name(&walk, i)) >= sizeof ((struct array *)0)->name)
            fail("%s: the name %s is too long for a flat file (--save)", config->path, tensor_name(&walk, i));
    for (int32_t step = 0; step < total; step++) {
        const int32_t epoch = step / in_epoch, first = step % in_epoch * config->batch_size;
        const int32_t n = data->trains - first < config->batch_size ? data->trains - first : config->batch_size;
        const size_t variant = config->augment ? (size_t)(epoch % config->augment) * data->train_y->count : 0;
        if (!first)
            shuffled(config->seed, (uint64_t)epoch, data->trains, keys, order);
        for (int32_t i = 0; i < n; i++) {
            labels[i] = ((const uint8_t *)data->train_y->data)[order[first + i]];
            take_sample(&walk, data->train_x, variant + (size_t)order[first + i], i);
        }
        step_line(&walk, labels, n, step, epoch, text, size);
        if (walk.int8 && ((step + 1) % DIGEST_EVERY == 0 || step + 1 == total)) {
            digest_of(walk.int8, hex);
            strcat(strcat(text, " "), hex);
        }
        if (!sink->line(sink, "steps.txt", text))
            return false;
        if ((step + 1) % in_epoch == 0) {
            snprintf(text, size, "%ld %ld %ld", (long)epoch, (long)count_correct(&walk, EVALUATION_BATCH),
                     (long)data->tests);
            if (!sink->line(sink, "evaluation.txt", text))
                return false;
        }
    }
    if (save)
        save_weights(save, &walk);
    if (sink->brief)
        return true;
    snprintf(text, size, "%ld %ld", (long)count_correct(&walk, 1), (long)data->tests);
    return sink->line(sink, "single.txt", text);
}
