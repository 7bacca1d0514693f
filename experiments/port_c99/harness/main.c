/* The program `port`: checks against the golden vectors, trains, classifies. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fputs("port check ops DIR                   every op case of tests/golden/ops\n"
          "port check traces DIR [NAME...]      traces of tests/golden/traces\n"
          "port check runs DIR DATA [NAME...]   runs; DATA has a folder of IDX files, or a NAME.flat, for each\n"
          "port train CONFIG DATA [OPTIONS]     a run from its config.json; DATA: a folder of IDX files, or a .flat\n"
          "    --from FILE.flat                 weights to start from\n"
          "    --save FILE.flat                 where the final weights go\n"
          "    --out DIR                        an existing folder for steps.txt and evaluation.txt, else printed\n"
          "    --single no                      no last evaluation one sample at a time, which takes a while\n"
          "    --single log                     it is also the last line of evaluation.txt, as in some golden runs\n"
          "port classify CONFIG WEIGHTS DATA    the class of each sample reported on, in batches of one\n"
          "port time MODEL POINTS K BATCH N     milliseconds of N steps of each precision: median, quarters\n",
          stderr);
    return 2;
}

static int check(int count, char **words)
{
    int32_t right = 0, wrong = 0;
    const char *what = count > 2 ? words[2] : "";
    if (!strcmp(what, "ops") && count == 4)
        wrong = check_ops(words[3], &right);
    else if (!strcmp(what, "traces") && count >= 4)
        wrong = check_traces(words[3], words + 4, count - 4, &right);
    else if (!strcmp(what, "runs") && count >= 5)
        wrong = check_runs(words[3], words[4], words + 5, count - 5, &right);
    else
        return usage();
    printf("%s: %ld agree, %ld differ\n", what, (long)right, (long)wrong);
    return wrong || !right;
}

/* Writes the lines of a run into the files of a folder, or prints them. */
struct writer {
    struct sink sink;
    const char *folder;
    FILE *steps, *evaluation;
    bool alone;   /* whether evaluation.txt ends with what is right one sample at a time */
};

static bool write_line(struct sink *sink, const char *file, const char *text)
{
    struct writer *writer = (struct writer *)(void *)sink;
    FILE *to = !strcmp(file, "steps.txt") ? writer->steps : writer->evaluation;
    const bool single = !strcmp(file, "single.txt");
    if (single)
        printf("one at a time: %s\n", text);
    if (single && !(to && writer->alone))
        return true;
    if (!to)
        printf("%s%s\n", !strcmp(file, "steps.txt") ? "" : "epoch ", text);
    else if (fprintf(to, "%s%s\n", single ? "alone " : "", text) < 0)
        fail("%s cannot be written", file);
    return true;
}

static void read_whole_config(const char *path, struct config *config)
{
    size_t size;
    char *text = (char *)read_file(path, &size);
    if (!text)
        fail("%s cannot be read; give the config.json of a run", path);
    read_config(parse_json(text, path), path, config);
}

static int train(int count, char **words)
{
    struct writer writer = {{write_line, false}, NULL, NULL, NULL, false};
    struct config *config = allocate(sizeof *config);
    struct data data;
    const char *from = NULL, *save = NULL;
    int32_t givens = 0;
    if (count < 4 || count % 2)
        return usage();
    for (int i = 4; i < count; i += 2) {
        if (!strcmp(words[i], "--from"))
            from = words[i + 1];
        else if (!strcmp(words[i], "--save"))
            save = words[i + 1];
        else if (!strcmp(words[i], "--out"))
            writer.folder = words[i + 1];
        else if (!strcmp(words[i], "--single") && !strcmp(words[i + 1], "no"))
            writer.sink.brief = true;
        else if (!strcmp(words[i], "--single") && !strcmp(words[i + 1], "log"))
            writer.alone = true;
        else
            return usage();
    }
    read_whole_config(words[2], config);
    if (!read_data(config, words[3], &data))
        fail("%s is neither a folder of four IDX files nor a flat file with train_x, train_y, test_x and test_y",
             words[3]);
    const struct array *given = from ? read_flat(from, &givens) : NULL;
    if (from && !given)
        fail("%s cannot be read", from);
    if (writer.folder) {
        writer.steps = fopen(path_of(writer.folder, "steps.txt"), "wb");
        writer.evaluation = fopen(path_of(writer.folder, "evaluation.txt"), "wb");
        if (!writer.steps || !writer.evaluation)
            fail("%s cannot be written to; name an existing folder", writer.folder);
    }
    run(config, &data, given, givens, save, &writer.sink);
    if (writer.folder && (fclose(writer.steps) | fclose(writer.evaluation)))
        fail("%s: its files cannot be written to their end", writer.folder);
    return 0;
}

static int classify(int count, char **words)
{
    struct config *config = allocate(sizeof *config);
    struct trainer *trainer = allocate(sizeof *trainer);
    struct data data;
    int32_t givens = 0;
    if (count != 5)
        return usage();
    read_whole_config(words[2], config);
    const struct array *given = read_flat(words[3], &givens);
    if (!given || !read_data(config, words[4], &data) || !config->int8)
        fail("give the config.json of an INT8 run, its weights as a flat file, and its data");
    lay_out_int8(trainer, &config->model, 0, 1, false, false);
    config->bp_tail = config->model.block_count;   /* nothing is clipped */
    start_int8(trainer, config, given, givens);
    const int32_t size = shape_size(&config->model.input);
    for (int32_t i = 0; i < data.tests; i++) {
        const unsigned char *sample = (const unsigned char *)data.test_x->data + (size_t)(data.first_test + i) *
                                      (size_t)size;
        if (data.test_x->kind == UINT8)
            from_pixels(sample, size, trainer->x[0]);
        else
            memcpy(trainer->x[0], sample, (size_t)size);
        forward(trainer, 1, "", 0);
        printf("%ld\n", (long)class_of(trainer->x[config->model.block_count], config->model.classes));
    }
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    int status = 2;
    if (!strcmp(what, "check"))
        status = check(count, words);
    else if (!strcmp(what, "train"))
        status = train(count, words);
    else if (!strcmp(what, "classify"))
        status = classify(count, words);
    else if (!strcmp(what, "time") && count == 7 && atoi(words[6]) > 0)
        status = time_steps(words[2], atoi(words[3]), atoi(words[4]), atoi(words[5]), atoi(words[6]));
    else
        usage();
    pool_release(0);
    if (fflush(stdout) || ferror(stdout))
        return 2;
    return status;
}
