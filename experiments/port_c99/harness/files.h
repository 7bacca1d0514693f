/* Files: whole ones, JSON, npy, IDX, and the flat file that `golden export-data` writes. The harness allocates. */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

void fail(const char *format, ...);   /* one line on stderr, exit status 2 */
void *allocate(size_t bytes);          /* of the pool, set to zero, aligned for any type; fails, never NULL */
size_t pool_mark(void);
void pool_release(size_t mark);        /* frees all that was allocated since the mark */
const char *path_of(const char *folder, const char *name);
unsigned char *read_file(const char *path, size_t *size);   /* NULL where there is none; a zero byte after its end */

enum kind { UINT8 = 1, INT8, INT32, FLOAT32 };

struct array {
    char name[24];
    enum kind kind;
    int32_t exponent, dims, shape[4];
    size_t count;
    void *data;   /* in the machine's own byte order */
};

size_t bytes_of(enum kind kind);
struct array *read_npy(const char *path);                       /* NULL where there is none */
struct array *read_flat(const char *path, int32_t *count);      /* NULL where there is none */
struct array *read_idx(const char *folder, const char *name);   /* NULL where there is none */
bool is_flat(const char *path);                                 /* by its first bytes */
void write_flat(const char *path, const struct array *arrays, int32_t count);

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT };

struct json {
    enum json_type type;
    const char *key, *text;     /* its name in an object; of all but lists and objects what stands there */
    struct json *first, *next;
};

struct json *parse_json(char *text, const char *path);
const struct json *find(const struct json *object, const char *key);    /* NULL if it has none */
const struct json *get(const struct json *object, const char *key);     /* fails if it has none */
int64_t whole(const struct json *number);
uint64_t natural(const struct json *number);                            /* of 64 bits */
int32_t small(const struct json *number);
double real(const struct json *number);
bool is_true(const struct json *value);
int32_t length_of(const struct json *list);
const struct json *item(const struct json *list, int32_t index);
int32_t count_numbers(const struct json *nested);
int64_t *numbers(const struct json *nested, int32_t *count);            /* of nested lists, in C order */
int8_t *bytes_in(const struct json *nested, int32_t *count);

#endif
