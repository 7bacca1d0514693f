/* A whole run: its configuration (SPEC 12), its data, its steps and evaluations (SPEC 11). */
#ifndef RUN_H
#define RUN_H

#include "../device/device.h"
#include "../fp32/fp32.h"
#include "../int8/int8.h"
#include "files.h"

struct config {
    const char *path, *data, *init_from;
    struct model model;
    bool int8, frozen, both, coarse, running, own_images;
    int32_t bp_tail, epochs, batch_size, validate, limit, rotate, queries, augment, headroom[MAX_BLOCKS];
    uint64_t seed;
    const struct json *schedules;
};

struct data {
    const struct array *train_x, *train_y, *test_x, *test_y;   /* clouds may be (variants, N, P, 3) */
    int32_t first_test, tests, trains;                         /* which samples are reported on, and trained on */
};

/* Where the lines of a run go: file is "steps.txt", "evaluation.txt", or "single.txt", the last line, of which nothing is
 * made if `brief`. False to stop. */
struct sink {
    bool (*line)(struct sink *sink, const char *file, const char *text);
    bool brief;
};

/* config.c */
void layers_from_json(const struct json *layers, const char *path, struct model *model);
void read_config(const struct json *json, const char *path, struct config *config);
const struct json *scheduled(const struct config *config, const char *name, int32_t epoch);
void settings_at(const struct config *config, int32_t epoch, struct settings *settings);
void settings_fp32_at(const struct config *config, int32_t epoch, struct settings_fp32 *settings);

/* run.c */
bool read_data(const struct config *config, const char *path, struct data *data);
void batch_indices(uint64_t seed, int32_t samples, int32_t batch_size, int32_t step, int32_t *epoch, int32_t *indices,
                   int32_t *count);
void start_int8(struct trainer *trainer, const struct config *config, const struct array *given, int32_t count);
void lay_out_int8(struct trainer *trainer, const struct model *model, int32_t bp_tail, int32_t max_batch, bool both,
                  bool watched);
bool run(const struct config *config, const struct data *data, const struct array *given, int32_t givens,
         const char *save, struct sink *sink);

/* bench.c */
int time_steps(const char *name, int32_t points, int32_t bp_tail, int32_t batch, int32_t rounds);

/* check_*.c: how many agreed are added to `right`, how many did not to the result. */
int32_t check_ops(const char *folder, int32_t *right);
int32_t check_traces(const char *folder, char *const *names, int32_t count, int32_t *right);
int32_t check_runs(const char *folder, const char *data, char *const *names, int32_t count, int32_t *right);

#endif
