/* Whole files, npy, IDX and flat files, in any machine's byte order. */
#include "files.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(2);
}

#define POOL 4096000   /* allocations that can be held at a time */
static void **pool;
static size_t pooled;

void *allocate(size_t bytes)
{
    void *place = calloc(bytes ? bytes : 1, 1);
    if (!pool)
        pool = calloc(POOL, sizeof *pool);
    if (!place || !pool || pooled == POOL)
        fail("out of memory");
    pool[pooled++] = place;
    return place;
}

size_t pool_mark(void)
{
    return pooled;
}

void pool_release(size_t mark)
{
    while (pooled > mark)
        free(pool[--pooled]);
    if (!mark) {
        free(pool);
        pool = NULL;
    }
}

const char *path_of(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = allocate(size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    long length;
    if (!file)
        return NULL;
    fgetc(file);   /* fails of a folder */
    if (ferror(file) || fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
        fclose(file);
        return NULL;
    }
    unsigned char *data = allocate((size_t)length + 1);
    *size = fread(data, 1, (size_t)length, file);
    fclose(file);
    if (*size != (size_t)length)
        fail("%s: cannot be read to its end", path);
    return data;
}

size_t bytes_of(enum kind kind)
{
    return kind == INT32 || kind == FLOAT32 ? 4 : 1;
}

static uint32_t little(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t big(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[0] << 24;
}

/* Puts the bytes of a file into an array, whose kind and shape are known. False if they are too few. */
static bool fill(struct array *array, const unsigned char *bytes, size_t size)
{
    array->count = 1;
    for (int32_t i = 0; i < array->dims; i++)
        array->count *= (size_t)array->shape[i];
    if (size / bytes_of(array->kind) < array->count)
        return false;
    array->data = allocate(array->count * bytes_of(array->kind));
    if (bytes_of(array->kind) == 1) {
        memcpy(array->data, bytes, array->count);
    } else {
        for (size_t i = 0; i < array->count; i++) {
            const uint32_t word = little(bytes + 4 * i);
            memcpy((unsigned char *)array->data + 4 * i, &word, 4);
        }
    }
    return true;
}

struct array *read_npy(const char *path)
{
    size_t size;
    const unsigned char *data = read_file(path, &size);
    struct array *array = allocate(sizeof *array);
    if (!data)
        return NULL;
    if (size < 12 || memcmp(data, "\x93NUMPY\x01\x00", 8))
        fail("%s is no .npy file of version 1.0", path);
    const size_t header = 10 + (size_t)data[8] + 256 * (size_t)data[9];
    const char *text = (const char *)data + 10, *shape = strstr(text, "'shape': (");
    array->kind = strstr(text, "'|u1'") ? UINT8 : strstr(text, "'|i1'") ? INT8 : strstr(text, "'<i4'") ? INT32 : FLOAT32;
    if (!shape || header > size || (array->kind == FLOAT32 && !strstr(text, "'<f4'")))
        fail("%s: its header is not understood", path);
    for (shape += 10; *shape != ')' && array->dims < 4; shape += strspn(shape, ", "))
        array->shape[array->dims++] = (int32_t)strtol(shape, (char **)&shape, 10);
    if (!fill(array, data + header, size - header))
        fail("%s is shorter than its header says", path);
    return array;
}

/* Images or labels: a header of big-endian words, then bytes (SPEC 3). */
struct array *read_idx(const char *folder, const char *name)
{
    size_t size, packed;
    const char *path = path_of(folder, name);
    char *zipped = allocate(strlen(path) + 4);
    const unsigned char *data = read_file(path, &size);
    struct array *array = allocate(sizeof *array);
    strcat(strcpy(zipped, path), ".gz");
    if (data ? size > 1 && data[0] == 0x1f && data[1] == 0x8b : read_file(zipped, &packed) != NULL)
        fail("%s is compressed; unpack it: gunzip", data ? path : zipped);
    if (!data)
        return NULL;
    if (size < 8 || data[0] || data[1] || data[2] != 8 || data[3] < 1 || data[3] > 3 || size < 4u + 4u * data[3])
        fail("%s is no IDX file of bytes", path);
    array->kind = UINT8;
    array->dims = data[3];
    for (int32_t i = 0; i < array->dims; i++)
        array->shape[i] = (int32_t)big(data + 4 + 4 * i);
    if (!fill(array, data + 4 + 4 * array->dims, size - 4 - 4 * (size_t)array->dims))
        fail("%s is shorter than its header says", path);
    if (array->dims == 3) {
        array->dims = 4;   /* images, which have one channel */
        array->shape[3] = array->shape[2];
        array->shape[2] = array->shape[1];
        array->shape[1] = 1;
    }
    return array;
}

#define FLAT "ZOFLAT1\n"
#define FLAT_HEADER 52   /* of an array: name (24), kind, exponent, dims, shape (4) */

bool is_flat(const char *path)
{
    char begin[sizeof FLAT - 1] = "";
    FILE *file = fopen(path, "rb");
    const bool whole = file && fread(begin, 1, sizeof begin, file) == sizeof begin;
    if (file)
        fclose(file);
    return whole && !memcmp(begin, FLAT, sizeof begin);
}

/* All arrays of a flat file; README.md says how it is laid out. */
struct array *read_flat(const char *path, int32_t *count)
{
    size_t size, at = 12;
    const unsigned char *data = read_file(path, &size);
    if (!data)
        return NULL;
    if (size < 12 || memcmp(data, FLAT, 8))
        fail("%s is no flat file", path);
    *count = (int32_t)little(data + 8);
    if (*count < 1 || *count > 1000)
        fail("%s is no flat file", path);
    struct array *arrays = allocate((size_t)*count * sizeof *arrays);
    for (int32_t i = 0; i < *count; i++) {
        struct array *array = &arrays[i];
        if (size - at < FLAT_HEADER)
            fail("%s is shorter than it says", path);
        memcpy(array->name, data + at, 23);
        array->kind = (enum kind)little(data + at + 24);
        array->exponent = (int32_t)little(data + at + 28);
        array->dims = (int32_t)little(data + at + 32);
        for (int32_t j = 0; j < 4; j++)
            array->shape[j] = (int32_t)little(data + at + 36 + 4 * j);
        if (array->kind < UINT8 || array->kind > FLOAT32 || array->dims < 1 || array->dims > 4 ||
            !fill(array, data + at + FLAT_HEADER, size - at - FLAT_HEADER))
            fail("%s: array %ld is damaged", path, (long)i);
        at += FLAT_HEADER + array->count * bytes_of(array->kind);
    }
    return arrays;
}

static void put_little(FILE *file, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        fputc((int)(word >> (8 * i) & 0xffu), file);
}

void write_flat(const char *path, const struct array *arrays, int32_t count)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        fail("%s cannot be written", path);
    fputs(FLAT, file);
    put_little(file, (uint32_t)count);
    for (const struct array *array = arrays; array < arrays + count; array++) {
        fwrite(array->name, 1, 24, file);
        put_little(file, (uint32_t)array->kind);
        put_little(file, (uint32_t)array->exponent);
        put_little(file, (uint32_t)array->dims);
        for (int i = 0; i < 4; i++)
            put_little(file, i < array->dims ? (uint32_t)array->shape[i] : 1);
        for (size_t i = 0; i < array->count; i++) {
            uint32_t word;
            if (bytes_of(array->kind) == 1) {
                fputc(((const unsigned char *)array->data)[i], file);
                continue;
            }
            memcpy(&word, (const unsigned char *)array->data + 4 * i, 4);
            put_little(file, word);
        }
    }
    if (ferror(file) | fclose(file))
        fail("%s cannot be written to its end", path);
}
