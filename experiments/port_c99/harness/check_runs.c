/* Tier 3: runs, made again and compared line by line; those whose data are not at hand are named. */
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const RUNS[] = {
    "subset-int8-k0", "subset-int8-k1", "subset-int8-k2", "subset-int8-k3", "subset-int8-k1-both",
    "subset-int8-k2-frozen", "subset-int8-k0-queries3", "subset-int8-k1-coarse", "subset-int8-k2-limit",
    "subset-int8-k3-running", "subset-int8-k2-running-both", "solids-int8-k0", "solids-int8-k3",
    "solids-int8-k1-queries3", "solids-int8-k2-frozen", "solids-int8-k3-queries2-both",
    "subset-fp32-k0", "subset-fp32-k1", "subset-fp32-k2", "subset-fp32-k3",
    "subset-fp32-k0-queries3", "subset-fp32-k1-both", "subset-fp32-k2-frozen", "solids-fp32-k0", "solids-fp32-k3",
    "solids-int8-full-bp", "subset-int8-full-bp", "mnist-int8-k0", "mnist-int8-k2"};

/* Compares lines as they come with those of a committed run. */
struct comparison {
    struct sink sink;
    const char *name;
    char *steps, *evaluation;   /* what is left of each file */
    bool fp32;
    double least_eps;
    int32_t lines;
};

static bool near(const char *expected, const char *got, double allowed)
{
    for (;;) {
        char *expected_end, *got_end;
        const double a = strtod(expected, &expected_end), b = strtod(got, &got_end);
        if (expected_end == expected || got_end == got || !(fabs(a - b) <= allowed * (fabs(a) > 1 ? fabs(a) : 1)))
            return false;
        if (*expected_end != ',' || *got_end != ',')
            return (*expected_end == ',') == (*got_end == ',');
        expected = expected_end + 1;
        got = got_end + 1;
    }
}

/* Whether a line of FP32 agrees, as zo_numpy/golden/tolerances.py has it. */
static bool within(const char *expected, const char *got, double least_eps)
{
    char words[2][4][2048];
    int count[2];
    for (int i = 0; i < 2; i++)
        count[i] = sscanf(i ? got : expected, "%2047s %2047s %2047s %2047s", words[i][0], words[i][1], words[i][2],
                          words[i][3]);
    if (count[0] != count[1] || count[0] < 3 || strcmp(words[0][0], words[1][0]))
        return false;
    if (count[0] == 3)
        return !strcmp(words[0][2], words[1][2]) &&
               fabs(strtod(words[0][1], NULL) - strtod(words[1][1], NULL)) <= 0.005 * strtod(words[1][2], NULL);
    return near(words[0][1], words[1][1], 1e-3) && near(words[0][2], words[1][2], 1e-3) &&
           near(words[0][3], words[1][3], 1e-3 / least_eps);
}

static bool compare(struct sink *sink, const char *file, const char *text)
{
    struct comparison *comparison = (struct comparison *)(void *)sink;
    char **rest = !strcmp(file, "steps.txt") ? &comparison->steps : &comparison->evaluation;
    static const char alone[] = "alone ";   /* begins the line of what is right one sample at a time, if there is one */
    if (!strcmp(file, "single.txt") && strncmp(*rest, alone, strlen(alone)))
        return true;
    char *expected = *rest + (strcmp(file, "single.txt") ? 0 : strlen(alone)), *end = strchr(expected, '\n');
    if (end) {
        *end = 0;
        *rest = end + 1;
    }
    comparison->lines++;
    if (end && (comparison->fp32 ? within(expected, text, comparison->least_eps) : !strcmp(expected, text)))
        return true;
    printf("runs/%s/%s: expected \"%s\", got \"%s\"\n", comparison->name, file, expected, text);
    return false;
}

static double least_of(const struct json *list)
{
    double least = 1;
    for (const struct json *node = list->first; node; node = node->next)
        least = real(node) < least ? real(node) : least;
    return least;
}

/* Where the data of a run lie: in the folder of its data set, or in a flat file of the run's own name. */
static bool data_of(const char *name, const struct config *config, const char *data, struct data *found)
{
    char file[96];
    snprintf(file, sizeof file, "%.80s.flat", name);
    return read_data(config, path_of(data, config->data), found) || read_data(config, path_of(data, file), found);
}

/* names: of the runs to make again; with a count of 0 those above. */
int32_t check_runs(const char *folder, const char *data, char *const *names, int32_t count, int32_t *right)
{
    int32_t failures = 0;
    for (int32_t i = 0; i < (count ? count : (int32_t)(sizeof RUNS / sizeof *RUNS)); i++) {
        const char *name = count ? names[i] : RUNS[i];
        const size_t mark = pool_mark();
        const char *place = path_of(folder, name), *path = path_of(place, "config.json");
        size_t size;
        char *text = (char *)read_file(path, &size);
        struct config *config = allocate(sizeof *config);
        struct comparison comparison = {{compare, false}, name, NULL, NULL, false, 1, 0};
        struct data found;
        comparison.steps = (char *)read_file(path_of(place, "steps.txt"), &size);
        comparison.evaluation = (char *)read_file(path_of(place, "evaluation.txt"), &size);
        if (!text || !comparison.steps || !comparison.evaluation)
            fail("%s is not whole", place);
        read_config(parse_json(text, path), path, config);
        comparison.fp32 = !config->int8;
        if (comparison.fp32)
            comparison.least_eps = least_of(get(config->schedules, "eps"));
        if (!data_of(name, config, data, &found)) {
            printf("runs/%s: skipped, as %s is not in %s\n", name, config->data, data);
        } else {
            const bool agrees = run(config, &found, NULL, 0, NULL, &comparison.sink) && !*comparison.steps &&
                                !*comparison.evaluation;
            *right += agrees;
            failures += !agrees;
        }
        pool_release(mark);
    }
    return failures;
}
