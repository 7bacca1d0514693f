/* A reader of JSON that keeps integers of 64 bits exact: numbers stay text until they are asked for. */
#include "files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    char *at;
    const char *path;
};

static void skip(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

/* A string, ended in place; escapes other than of one character stay as they are. */
static char *string(struct reader *reader)
{
    char *start = ++reader->at, *to = start;
    for (; *reader->at && *reader->at != '"'; reader->at++) {
        if (*reader->at == '\\' && reader->at[1])
            reader->at++;
        *to++ = *reader->at;
    }
    if (!*reader->at)
        fail("%s: a string does not end", reader->path);
    reader->at++;
    *to = 0;
    return start;
}

static struct json *value(struct reader *reader, int depth)
{
    struct json *node = allocate(sizeof *node), **last = &node->first;
    skip(reader);
    const char begin = *reader->at;
    if (depth > 64)
        fail("%s is nested too deeply", reader->path);
    if (begin == '"') {
        node->type = JSON_STRING;
        node->text = string(reader);
    } else if (begin == '[' || begin == '{') {
        node->type = begin == '[' ? JSON_LIST : JSON_OBJECT;
        reader->at++;
        for (skip(reader); *reader->at != (begin == '[' ? ']' : '}'); skip(reader)) {
            const char *key = NULL;
            if (begin == '{') {
                if (*reader->at != '"')
                    fail("%s: a name is missing", reader->path);
                key = string(reader);
                skip(reader);
                if (*reader->at++ != ':')
                    fail("%s: a colon is missing", reader->path);
            }
            *last = value(reader, depth + 1);
            (*last)->key = key;
            last = &(*last)->next;
            skip(reader);
            if (*reader->at == ',')
                reader->at++;
            else if (*reader->at != (begin == '[' ? ']' : '}'))
                fail("%s: a list or object does not end", reader->path);
        }
        reader->at++;
    } else {
        const size_t length = strcspn(reader->at, ",]} \t\r\n");
        char *text = allocate(length + 1);
        if (!length)
            fail("%s: a value is missing", reader->path);
        memcpy(text, reader->at, length);
        node->text = text;
        node->type = *text == 't' || *text == 'f' ? JSON_BOOL : *text == 'n' ? JSON_NULL : JSON_NUMBER;
        reader->at += length;
    }
    return node;
}

struct json *parse_json(char *text, const char *path)
{
    struct reader reader = {text, path};
    return value(&reader, 0);
}

const struct json *find(const struct json *object, const char *key)
{
    for (const struct json *node = object->first; node; node = node->next)
        if (node->key && !strcmp(node->key, key))
            return node;
    return NULL;
}

const struct json *get(const struct json *object, const char *key)
{
    const struct json *node = find(object, key);
    if (!node)
        fail("the field %s is missing", key);
    return node;
}

int64_t whole(const struct json *number)
{
    return number->type == JSON_BOOL ? *number->text == 't' : strtoll(number->text ? number->text : "", NULL, 10);
}

uint64_t natural(const struct json *number)
{
    return strtoull(number->text ? number->text : "", NULL, 10);
}

int32_t small(const struct json *number)
{
    return (int32_t)whole(number);
}

double real(const struct json *number)
{
    return strtod(number->text ? number->text : "", NULL);
}

bool is_true(const struct json *node)
{
    return node->text && (*node->text == 't' || (node->type == JSON_NUMBER && *node->text != '0'));
}

int32_t length_of(const struct json *list)
{
    int32_t count = 0;
    for (const struct json *node = list->first; node; node = node->next)
        count++;
    return count;
}

const struct json *item(const struct json *list, int32_t index)
{
    const struct json *node = list->first;
    while (node && index--)
        node = node->next;
    if (!node)
        fail("a list is too short");
    return node;
}

int32_t count_numbers(const struct json *nested)
{
    int32_t count = 0;
    if (nested->type != JSON_LIST)
        return 1;
    for (const struct json *node = nested->first; node; node = node->next)
        count += count_numbers(node);
    return count;
}

static int64_t *collect(const struct json *nested, int64_t *to)
{
    if (nested->type != JSON_LIST) {
        *to++ = nested->text && *nested->text == '-' ? whole(nested) : (int64_t)natural(nested);
        return to;
    }
    for (const struct json *node = nested->first; node; node = node->next)
        to = collect(node, to);
    return to;
}

int64_t *numbers(const struct json *nested, int32_t *count)
{
    *count = count_numbers(nested);
    int64_t *found = allocate((size_t)*count * sizeof *found);
    collect(nested, found);
    return found;
}

int8_t *bytes_in(const struct json *nested, int32_t *count)
{
    const int64_t *found = numbers(nested, count);
    int8_t *bytes = allocate((size_t)*count);
    for (int32_t i = 0; i < *count; i++)
        bytes[i] = (int8_t)found[i];
    return bytes;
}
