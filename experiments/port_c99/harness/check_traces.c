/* Tier 2: traces. Each record is compared as it arises; the same steps are made tiled besides, as a run makes them. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALE ".scale"

/* What is compared with the next record: an array or a number. */
struct made {
    const char *phase, *op, *name, *dtype;
    const void *array;   /* of int8, uint8, int32 or float */
    int32_t dims, shape[4];
    bool quantised;      /* whether there is an exponent; a requantisation has maximum and shift besides */
    int32_t exponent, maximum, shift;
    int64_t whole;
    double real;
};

struct trace {
    struct recorder recorder;               /* first: both recorders are found from it */
    struct recorder_fp32 recorder_fp32;
    const char *folder, *name;
    const struct json *next;                /* the record that is to come */
    int32_t step, number, queries;
    bool agrees, fp32;
    double eps, least_eps, eta;             /* what tolerances depend on */
    const struct model *model;
};

static void differs(struct trace *trace, const struct made *made, const char *what)
{
    if (trace->agrees)
        printf("traces/%s, record %ld (step %ld, %s %s %s): %s\n", trace->name, (long)trace->number, (long)trace->step,
               made->phase, made->op, made->name, what);
    trace->agrees = false;
}

/* The first element that differs, where the trace has the array. */
static void name_element(struct trace *trace, const struct made *made, const struct json *record, size_t count)
{
    char text[160] = "its sha256 differs";
    const struct array *file = find(record, "file")
        ? read_npy(path_of(path_of(trace->folder, trace->name), find(record, "file")->text)) : NULL;
    for (size_t i = 0; file && i < count && i < file->count; i++) {
        const long expected = file->kind == INT32 ? (long)((const int32_t *)file->data)[i]
                            : file->kind == UINT8 ? (long)((const uint8_t *)file->data)[i]
                                                  : (long)((const int8_t *)file->data)[i];
        const long got = file->kind == INT32 ? (long)((const int32_t *)made->array)[i]
                       : file->kind == UINT8 ? (long)((const uint8_t *)made->array)[i]
                                             : (long)((const int8_t *)made->array)[i];
        if (expected != got) {
            snprintf(text, sizeof text, "element %lu: expected %ld, got %ld", (unsigned long)i, expected, got);
            break;
        }
    }
    differs(trace, made, text);
}

/* The largest error of a float of this record (zo_numpy/golden/tolerances.py). */
static double allowed(const struct trace *trace, const struct made *made, double largest)
{
    const double g = 5e-6 / trace->least_eps, one = largest > 1 ? largest : 1;
    if (!strcmp(made->op, "images"))
        return 0;
    if (!strcmp(made->op, "perturbation"))
        return 2e-6 * one;
    if (!strcmp(made->op, "input") || (!strcmp(made->op, "weights") && !strcmp(made->phase, "init")))
        return 2.5e-7 * largest;
    if (!strcmp(made->op, "weights"))
        return 1e-5 * (largest > 8 * trace->eps ? largest : 8 * trace->eps) + 6 * trace->eta * g;
    if (!strcmp(made->op, "loss"))
        return 5e-6 * one;
    return !strcmp(made->op, "clip") ? g : 1e-5 * largest;
}

static void near(struct trace *trace, const struct made *made, const char *what, double expected, double got,
                 double error)
{
    char text[160];
    if (fabs(expected - got) <= error)
        return;
    snprintf(text, sizeof text, "%s: expected %.9g, got %.9g, and %.3g is allowed", what, expected, got, error);
    differs(trace, made, text);
}

static void near_element(struct trace *trace, const struct made *made, size_t index, double expected, double error)
{
    char what[32];
    snprintf(what, sizeof what, "element %lu", (unsigned long)index);
    near(trace, made, what, expected, (double)((const float *)made->array)[index], error);
}

/* An array of floats, against the file of its record or against the summary that stands for one. */
static void compare_floats(struct trace *trace, const struct made *made, const struct json *record, size_t count)
{
    const float *got = made->array;
    const struct array *file = find(record, "file")
        ? read_npy(path_of(path_of(trace->folder, trace->name), find(record, "file")->text)) : NULL;
    double largest = 0, norm = 0;
    char text[64];
    for (size_t i = 0; i < count; i++) {
        largest = fabs((double)got[i]) > largest ? fabs((double)got[i]) : largest;
        norm += (double)got[i] * (double)got[i];
        if (!isfinite(got[i])) {
            snprintf(text, sizeof text, "element %lu is not finite: got %g", (unsigned long)i, (double)got[i]);
            differs(trace, made, text);
        }
    }
    if (file) {
        const float *expected = file->data;
        double most = 0;
        if (file->count != count || file->kind != FLOAT32) {
            differs(trace, made, "its shape or type differs");
            return;
        }
        for (size_t i = 0; i < count; i++)
            most = fabs((double)expected[i]) > most ? fabs((double)expected[i]) : most;
        for (size_t i = 0; i < count; i++)
            near_element(trace, made, i, (double)expected[i], allowed(trace, made, most));
        return;
    }
    const double error = allowed(trace, made, real(get(record, "largest")));
    const struct json *sample = get(record, "sample");
    const size_t samples = (size_t)length_of(sample);
    for (size_t i = 0; i < samples; i++)
        near_element(trace, made, count > 8 ? i * (count - 1) / 7 : i, real(item(sample, (int32_t)i)), error);
    near(trace, made, "largest", real(get(record, "largest")), largest, error);
    near(trace, made, "norm", real(get(record, "norm")), sqrt(norm), error * sqrt((double)count));
}

/* Compares what was made with the next record, and goes on. */
static void compare(struct trace *trace, const struct made *made)
{
    const struct json *record = trace->next;
    const size_t mark = pool_mark();
    size_t count = 1;
    if (!trace->agrees)
        return;
    if (!record) {
        differs(trace, made, "the trace has no more records");
        return;
    }
    if (small(get(record, "step")) != trace->step || strcmp(get(record, "phase")->text, made->phase) ||
        strcmp(get(record, "op")->text, made->op) || strcmp(get(record, "name")->text, made->name)) {
        differs(trace, made, "another record was to come");
        return;
    }
    for (int32_t i = 0; i < made->dims; i++)
        count *= (size_t)made->shape[i];
    if (made->array) {
        const struct json *shape = get(record, "shape");
        bool same = !strcmp(get(record, "dtype")->text, made->dtype) && length_of(shape) == made->dims;
        for (int32_t i = 0; same && i < made->dims; i++)
            same = small(item(shape, i)) == made->shape[i];
        if (!same)
            differs(trace, made, "its shape or type differs");
        else if (!strcmp(made->dtype, "float32"))
            compare_floats(trace, made, record, count);
        else {
            char hex[65];
            sha256_of(made->array, count, !strcmp(made->dtype, "int32") ? 4 : 1, hex);
            if (strcmp(hex, get(record, "sha256")->text))
                name_element(trace, made, record, count);
            else if (find(record, "exponent") && small(find(record, "exponent")) != made->exponent)
                differs(trace, made, "its exponent differs");
            else if (find(record, "max_abs") && (small(find(record, "max_abs")) != made->maximum ||
                                                 small(get(record, "shift")) != made->shift))
                differs(trace, made, "its maximum or shift differs");
        }
    } else if (trace->fp32) {
        const double expected = real(get(record, "value"));
        near(trace, made, "the value", expected, made->real, allowed(trace, made, fabs(expected)));
    } else if (whole(get(record, "value")) != made->whole) {
        differs(trace, made, "the value differs");
    }
    trace->next = record->next;
    trace->number++;
    pool_release(mark);
}

/* g, or of several queries the list of them.  made->array: all of them, int8 or double. */
static void compare_g(struct trace *trace, struct made *made, int32_t queries)
{
    const struct json *record = trace->next;
    const void *all = made->array;
    made->array = NULL;
    if (queries == 1 || !record || !find(record, "value") || find(record, "value")->type != JSON_LIST) {
        compare(trace, made);
        return;
    }
    const struct json *value = find(record, "value");
    if (strcmp(get(record, "op")->text, made->op) || length_of(value) != queries)
        differs(trace, made, "another record was to come");
    for (int32_t i = 0; i < queries && trace->agrees; i++) {
        if (trace->fp32)
            near(trace, made, "g", real(item(value, i)), ((const double *)all)[i], allowed(trace, made, 1));
        else if (small(item(value, i)) != ((const int8_t *)all)[i])
            differs(trace, made, "the value differs");
    }
    trace->next = record->next;
    trace->number++;
}

/* The axes of a tensor of weights, by its layer's name. */
static void axes_of_weights(const struct model *model, const char *name, struct made *made)
{
    for (int32_t b = 0; b < model->block_count; b++) {
        const struct layer *layer = model->blocks[b].layers;
        if (strcmp(layer->name, name))
            continue;
        const int32_t conv = layer->type == CONV2D, shape[4] = {layer->out, layer->in, layer->kernel, layer->kernel};
        made->dims = conv ? 4 : 2;
        memcpy(made->shape, shape, sizeof shape);
    }
}

static void axes_of_batch(int32_t n, const struct shape *shape, struct made *made)
{
    made->dims = shape->dims + 1;
    made->shape[0] = n;
    for (int32_t i = 0; i < shape->dims; i++)
        made->shape[i + 1] = shape->at[i];
}

static const char *numbered(const struct trace *trace, const char *phase, int32_t query, char text[16])
{
    snprintf(text, 16, trace->queries > 1 ? "%.8s%d" : "%.8s", phase, (int)query);
    return text;
}

/* What is made of a running scale: two integers under its layer's name and ".scale". */
static void of_scale(const char *layer, char *name, struct made *made)
{
    strcat(strcpy(name, layer), SCALE);
    made->name = name;
    made->quantised = false;
    made->dims = 1;
    made->shape[0] = 2;
}

static void record(struct recorder *recorder, const struct note *told)
{
    struct trace *trace = (struct trace *)(void *)recorder;
    const size_t mark = pool_mark();
    char phase[16];
    struct made made = {numbered(trace, told->phase, told->query, phase), told->op, told->name,
                        told->bytes == 1 ? "int8" : "int32", told->array, 0, {0, 0, 0, 0}, true, told->exponent,
                        told->maximum, told->shift, told->value, 0};
    char name[NAME_SIZE + sizeof SCALE];
    if (told->bytes == 4 && !strcmp(told->op, "weights"))
        of_scale(told->name, name, &made);
    else if (told->shape)
        axes_of_batch(told->n, told->shape, &made);
    else if (told->array)
        axes_of_weights(trace->model, told->name, &made);
    if (told->bytes == 2) {   /* steps are int32 in a trace */
        int32_t count = 1;
        for (int32_t i = 0; i < made.dims; i++)
            count *= made.shape[i];
        int32_t *wide = allocate((size_t)count * sizeof *wide);
        for (int32_t i = 0; i < count; i++)
            wide[i] = ((const int16_t *)told->array)[i];
        made.array = wide;
    }
    compare(trace, &made);
    pool_release(mark);
}

static void record_fp32(struct recorder_fp32 *recorder, const struct note_fp32 *told)
{
    struct trace *trace = (struct trace *)(void *)((char *)recorder - offsetof(struct trace, recorder_fp32));
    char phase[16];
    struct made made = {numbered(trace, told->phase, told->query, phase), told->op, told->name, "float32", told->array,
                        told->dims, {told->shape[0], told->shape[1], told->shape[2], told->shape[3]}, false, 0, 0, 0,
                        0, told->value};
    compare(trace, &made);
}

/* Weights of the start and of an update, and z. */
static void compare_weights(struct trace *trace, struct trainer *trainer, const char *phase)
{
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        struct made made = {phase, "weights", trainer->model->blocks[b].layers->name, "int8", trainer->weights[b].data,
                            0, {0, 0, 0, 0}, true, trainer->weights[b].exponent, 0, 0, 0, 0};
        axes_of_weights(trainer->model, made.name, &made);
        compare(trace, &made);
    }
    for (int32_t b = 0; b < trainer->model->block_count; b++) {
        const struct scale *scale = scale_of(trainer, b);
        const int32_t pair[2] = {scale ? scale->reference : 0, scale ? scale->age : 0};
        struct made made = {phase, "weights", "", "int32", pair, 0, {0, 0, 0, 0}, false, 0, 0, 0, 0, 0};
        char name[NAME_SIZE + sizeof SCALE];
        of_scale(trainer->model->blocks[b].layers->name, name, &made);
        if (scale)
            compare(trace, &made);
    }
}

static void compare_parameters(struct trace *trace, const struct trainer_fp32 *trainer, const char *phase)
{
    for (int32_t i = 0; i < trainer->total; i++) {
        const struct parameter *of = &trainer->parameters[i];
        struct made made = {phase, "weights", of->name, "float32", of->data, of->dims,
                            {of->shape[0], of->shape[1], of->shape[2], of->shape[3]}, false, 0, 0, 0, 0, 0};
        compare(trace, &made);
    }
}

static void compare_z(struct trace *trace, const struct config *config, const struct trainer *trainer,
                      const struct settings *settings)
{
    for (int32_t query = 0; query < config->queries; query++)
        for (int32_t b = 0; b < head_blocks(&config->model, config->bp_tail); b++) {
            const size_t mark = pool_mark();
            const struct address address = {config->seed, PERTURB, (uint64_t)trace->step, (uint64_t)b, (uint64_t)query};
            const int32_t size = trainer->weights[b].size;
            int8_t *z = allocate((size_t)size);
            char phase[16];
            struct made made = {numbered(trace, "draw", query, phase), "perturbation",
                                config->model.blocks[b].layers->name, "int8", z, 0, {0, 0, 0, 0}, false, 0, 0, 0, 0, 0};
            for (int32_t start = 0; start < size; start += CHUNK)
                draw_z(&address, (uint64_t)start, size - start < CHUNK ? size - start : CHUNK, settings->r_max,
                       settings->p_zero, z + start);
            axes_of_weights(&config->model, made.name, &made);
            compare(trace, &made);
            pool_release(mark);
        }
}

static void compare_z_fp32(struct trace *trace, const struct config *config, const struct trainer_fp32 *trainer)
{
    for (int32_t query = 0; query < config->queries; query++)
        for (int32_t i = 0; i < first_of_tail(trainer); i++) {
            const size_t mark = pool_mark();
            const struct address address = {config->seed, PERTURB, (uint64_t)trace->step, (uint64_t)i, (uint64_t)query};
            const struct parameter *of = &trainer->parameters[i];
            float *z = allocate((size_t)of->size * sizeof *z);
            char phase[16];
            struct made made = {numbered(trace, "draw", query, phase), "perturbation", of->name, "float32", z, of->dims,
                                {of->shape[0], of->shape[1], of->shape[2], of->shape[3]}, false, 0, 0, 0, 0, 0};
            for (int32_t start = 0; start < of->size; start += CHUNK_FP32)
                draw_z_fp32(&address, (uint64_t)start, of->size - start < CHUNK_FP32 ? of->size - start : CHUNK_FP32,
                            z + start);
            compare(trace, &made);
            pool_release(mark);
        }
}

/* The batch of a step, from its record's file; compared with itself, so that its digest is. */
static const struct array *batch_of(struct trace *trace, const char *op)
{
    const struct json *record = trace->next;
    const struct array *array = record && find(record, "file")
        ? read_npy(path_of(path_of(trace->folder, trace->name), find(record, "file")->text)) : NULL;
    if (!array)
        fail("traces/%s has no file of the %s of step %ld", trace->name, op, (long)trace->step);
    struct made made = {"batch", op, "batch", array->kind == UINT8 ? "uint8" : array->kind == INT8 ? "int8" : "float32",
                        array->data, array->dims, {0, 0, 0, 0}, false, 0, 0, 0, 0, 0};
    memcpy(made.shape, array->shape, sizeof array->shape);
    compare(trace, &made);
    return array;
}

static bool same_weights(const struct trainer *a, const struct trainer *b)
{
    for (int32_t i = 0; i < a->model->block_count; i++)
        if (memcmp(a->weights[i].data, b->weights[i].data, (size_t)a->weights[i].size) ||
            a->scales[i].reference != b->scales[i].reference || a->scales[i].age != b->scales[i].age)
            return false;
    return true;
}

static void trace_int8(struct trace *trace, const struct config *config, int32_t steps)
{
    struct trainer plain, tiled;
    lay_out_int8(&plain, &config->model, config->bp_tail, config->batch_size, config->both, true);
    lay_out_int8(&tiled, &config->model, config->bp_tail, config->batch_size, config->both, false);
    start_int8(&plain, config, NULL, 0);
    start_int8(&tiled, config, NULL, 0);
    compare_weights(trace, &plain, "init");
    plain.recorder = &trace->recorder;
    for (trace->step = 0; trace->step < steps && trace->agrees; trace->step++) {
        struct settings settings;
        struct outcome outcome, again;
        const struct array *images = batch_of(trace, "images"), *labels = batch_of(trace, "labels");
        settings_at(config, 0, &settings);
        if (!config->frozen)
            compare_z(trace, config, &plain, &settings);
        if (images->kind == UINT8) {
            from_pixels(images->data, (int32_t)images->count, plain.x[0]);
        } else {
            memcpy(plain.x[0], images->data, images->count);
        }
        memcpy(tiled.x[0], plain.x[0], images->count);
        any_step(&plain, labels->data, images->shape[0], config->seed, (uint64_t)trace->step, &settings, &outcome);
        any_step(&tiled, labels->data, images->shape[0], config->seed, (uint64_t)trace->step, &settings, &again);
        struct made g = {"update", "sign", "g", "", outcome.g, 0, {0, 0, 0, 0}, false, 0, 0, 0, outcome.g[0], 0};
        compare_g(trace, &g, outcome.queries);
        compare_weights(trace, &plain, "update");
        if (!same_weights(&plain, &tiled) || outcome.loss_plus != again.loss_plus ||
            outcome.loss_minus != again.loss_minus)
            differs(trace, &g, "the same step made tiled ends otherwise");
    }
}

static void trace_fp32(struct trace *trace, const struct config *config, int32_t steps)
{
    struct trainer_fp32 trainer, tiled, *both[] = {&trainer, &tiled};
    for (int i = 0; i < 2; i++) {
        struct arena_fp32 arena = {NULL, 0};
        lay_out_fp32(both[i], &config->model, config->bp_tail, config->batch_size, config->both, !i, &arena);
        arena.base = allocate((size_t)arena.used);
        arena.used = 0;
        lay_out_fp32(both[i], &config->model, config->bp_tail, config->batch_size, config->both, !i, &arena);
        init_weights_fp32(both[i], config->seed);
    }
    compare_parameters(trace, &trainer, "init");
    trainer.recorder = &trace->recorder_fp32;
    for (trace->step = 0; trace->step < steps && trace->agrees; trace->step++) {
        struct settings_fp32 settings;
        struct outcome_fp32 outcome, again;
        const struct array *images = batch_of(trace, "images"), *labels = batch_of(trace, "labels");
        settings_fp32_at(config, 0, &settings);
        if (!config->frozen)
            compare_z_fp32(trace, config, &trainer);
        if (images->kind == UINT8)
            from_pixels_fp32(images->data, (int32_t)images->count, trainer.x[0]);
        else
            memcpy(trainer.x[0], images->data, images->count * sizeof(float));
        memcpy(tiled.x[0], trainer.x[0], images->count * sizeof(float));
        train_variant_fp32(&trainer, labels->data, images->shape[0], config->seed, (uint64_t)trace->step, &settings,
                           &outcome);
        train_variant_fp32(&tiled, labels->data, images->shape[0], config->seed, (uint64_t)trace->step, &settings,
                           &again);
        struct made g = {"update", "clip", "g", "", outcome.g, 0, {0, 0, 0, 0}, false, 0, 0, 0, 0, outcome.g[0]};
        compare_g(trace, &g, outcome.queries);
        compare_parameters(trace, &trainer, "update");
        for (int32_t i = 0; i < trainer.total; i++)
            for (int32_t j = 0; j < trainer.parameters[i].size; j++)
                near(trace, &g, "a weight of the same step made tiled", (double)trainer.parameters[i].data[j],
                     (double)tiled.parameters[i].data[j], 2e-5 + 6 * trace->eta * 1e-5 / trace->least_eps);
    }
}

/* One trace, by its folder's name. Returns whether it agrees; its records are added to `right`. */
static bool check_trace(const char *folder, const char *name, int32_t *right)
{
    size_t size;
    const char *path = path_of(path_of(folder, name), "manifest.json");
    char *text = (char *)read_file(path, &size);
    if (!text)
        fail("%s is missing", path);
    const struct json *manifest = parse_json(text, path);
    struct config *config = allocate(sizeof *config);
    read_config(get(manifest, "config"), path, config);
    layers_from_json(get(manifest, "layers"), path, &config->model);
    if (!cut_into_blocks(&config->model))
        fail("%s: the layers of the network do not fit each other", path);
    struct trace trace = {{record}, {record_fp32}, folder, name, get(manifest, "records")->first, 0, 0,
                          config->frozen ? 1 : config->queries, true, !config->int8, 1, 1, 0, &config->model};
    if (trace.fp32) {
        const struct json *eps = get(config->schedules, "eps");
        trace.eps = real(scheduled(config, "eps", 0));
        for (const struct json *value = eps->first; value; value = value->next)
            trace.least_eps = real(value) < trace.least_eps ? real(value) : trace.least_eps;
        trace.eta = real(scheduled(config, "eta", 0));
    }
    (trace.fp32 ? trace_fp32 : trace_int8)(&trace, config, small(get(manifest, "steps")));
    const struct made end = {"", "", "", "", NULL, 0, {0, 0, 0, 0}, false, 0, 0, 0, 0, 0};
    if (trace.agrees && trace.next)
        differs(&trace, &end, "there are fewer records than in the trace");
    *right += trace.number;
    return trace.agrees;
}

/* names: of the traces to check; with a count of 0 all: the three networks' for each K, in both precisions, and
 * more. */
int32_t check_traces(const char *folder, char *const *names, int32_t count, int32_t *right)
{
    static const char *const models[] = {"narrow-lenet", "lenet5", "narrow-pointnet"};
    static const char *const more[] = {"narrow-lenet-int8-k2-running", "narrow-lenet-int8-k2-colours",
                                       "narrow-pointnet-int8-k1-queries2", "narrow-pointnet-int8-k2-frozen",
                                       "narrow-pointnet-int8-k3-both", "narrow-pointnet-int8-k2-queries2-both",
                                       "narrow-lenet-int8-full-bp", "narrow-pointnet-int8-full-bp"};
    const int32_t all = 24 + (int32_t)(sizeof more / sizeof *more);
    int32_t failures = 0;
    for (int32_t i = 0; i < (count ? count : all); i++) {
        const size_t mark = pool_mark();
        char name[48];
        snprintf(name, sizeof name, "%s-%s-k%d", models[i / 4 % 3], i < 12 ? "int8" : "fp32", (int)(i % 4));
        failures += !check_trace(folder, count ? names[i] : i < 24 ? name : more[i - 24], right);
        pool_release(mark);
    }
    return failures;
}
