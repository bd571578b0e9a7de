/*
 * Record batches for Jackfield plugins in C, and what else a plugin needs: one file, C11, nothing but libc.
 *
 * In exactly one C file of a plugin:
 *
 *     #define JF_BATCH_IMPLEMENTATION
 *     #include "jackfield_batch.h"
 *
 * and in all others only the #include. `jackfield_plugin.h`, the contract with the host, lies beside it.
 *
 * A source builds what `poll` returns:
 *
 *     static int32_t poll(void *task, const jf_poll_limits *limits, jf_poll_result *out, jf_error *error) {
 *         struct source *self = task;
 *         jf_record record = jf_record_of("my-topic");
 *         record.key = jf_value_string("a key");
 *         record.value = jf_value_bytes(data, len);
 *         record.source_partition = jf_text("{\"file\":\"a\"}");
 *         record.source_offset = jf_text("{\"position\":17}");
 *         if (jf_builder_push(&self->builder, &record, error) != JF_OK) {
 *             jf_builder_clear(&self->builder);
 *             return JF_FAILED;
 *         }
 *         return jf_poll_records(&self->builder, out, error);
 *     }
 *
 * A sink (and a transform) reads what it is given:
 *
 *     jf_batch records;
 *     jf_record record;
 *     if (jf_batch_open(&records, batch, error) != JF_OK)
 *         return JF_FAILED;
 *     while (jf_batch_next(&records, &record))
 *         write_it(record.value.data.ptr, record.value.data.len);
 *     jf_batch_close(&records);
 *
 * Rules of this file: nothing ends the process; what fails says why in a `jf_error`, out of memory too. A `jf_slice` is
 * borrowed and never freed. Functions that take a `jf_slice` do not keep it. Text is UTF-8 and has no zero at its end. One
 * builder, batch or string is used by one thread at a time.
 */

#ifndef JACKFIELD_BATCH_H
#define JACKFIELD_BATCH_H

#include "jackfield_plugin.h"

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define JF_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define JF_PRINTF(text, first)
#endif

/* ---------------------------------------------------------------------------------------------------------------- slices */

/* A `jf_slice` over a string literal, for static initializers: `.name = JF_TEXT("acme.Counter")`. */
#define JF_TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* Borrows bytes. */
jf_slice jf_slice_of(const void *bytes, size_t len);
/* Borrows a string that ends with a zero; NULL = no bytes. */
jf_slice jf_text(const char *text);
/* Whether both have the same bytes. */
bool jf_slice_equals(jf_slice a, jf_slice b);
/* Whether it is this string. */
bool jf_slice_is(jf_slice slice, const char *text);
/* A copy with a zero at its end, to be freed with `free`; NULL = out of memory. */
char *jf_slice_dup(jf_slice slice);
/* Whether it is UTF-8, as texts of a batch have to be. */
bool jf_is_utf8(jf_slice slice);

/* ----------------------------------------------------------------------------------------------------- buffers and errors */

/* Hands out a copy of the bytes; false = out of memory. */
bool jf_buf_copy(jf_buf *out, jf_slice bytes);
/* Hands out a string that lives as long as the process, such as a literal, without copying it. */
void jf_buf_static(jf_buf *out, const char *text);
/* Frees what the host handed out, and leaves it empty. Does nothing to an empty one. */
void jf_buf_free(jf_buf *buf);

/*
 * Fills an error in, with a message as of printf, and gives JF_FAILED to be returned. `kind` is one of the JF_ERROR_
 * constants. Messages are lower case, name the thing and the value, and have no final dot. Long ones are cut at 2 KiB.
 */
int32_t jf_fail(jf_error *error, uint8_t kind, const char *format, ...) JF_PRINTF(3, 4);
/* "out of memory", as a retriable error; allocates nothing. */
int32_t jf_fail_memory(jf_error *error);

/* ------------------------------------------------------------------------------------------------------------------ texts */

/*
 * A text that grows. Start with `jf_string text = {0};`, end with `jf_string_free` or `jf_string_into_buf`. When memory
 * runs out `failed` is set and nothing more is added, so it is enough to look at the end.
 */
typedef struct jf_string {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
} jf_string;

/* Adds bytes as they are. */
void jf_string_add(jf_string *string, jf_slice bytes);
/* Adds text as of printf. */
void jf_string_format(jf_string *string, const char *format, ...) JF_PRINTF(2, 3);
/* Adds a JSON string: quotes around it, what has to be escaped escaped, bytes that are not UTF-8 replaced by U+FFFD. */
void jf_string_json(jf_string *string, jf_slice text);
/* The text so far, borrowed until it changes. */
jf_slice jf_string_slice(const jf_string *string);
/* Empties it and keeps the memory. */
void jf_string_clear(jf_string *string);
/* Frees it; it is as new. */
void jf_string_free(jf_string *string);
/* Hands the text out without a copy; it is as new. JF_FAILED = memory had run out. */
int32_t jf_string_into_buf(jf_string *string, jf_buf *out, jf_error *error);

/* ------------------------------------------------------------------------------------------------------------------- JSON */

/*
 * Finds a member of a JSON object, such as a stored offset. `value` is its text as it stands there: a string with its quotes.
 * False = it has no such member, or is not a JSON object. Names with escapes in them are not found.
 */
bool jf_json_find(jf_slice object, const char *name, jf_slice *value);
/* A member that is a whole number; false = there is none, or it does not fit. */
bool jf_json_integer(jf_slice object, const char *name, int64_t *value);
/* Adds a member that is a string, without quotes and escapes, to a text; false = there is none, or memory ran out. */
bool jf_json_text(jf_slice object, const char *name, jf_string *value);

/* ----------------------------------------------------------------------------------------------------------------- config */

/* The value of an option; NULL = it is not in the config. */
const jf_slice *jf_config_find(const jf_key_value *config, size_t len, const char *key);
/* The value of an option, or `fallback` when it is not in the config: the default of its definition. */
jf_slice jf_config_text(const jf_key_value *config, size_t len, const char *key, const char *fallback);
/*
 * The value of an option that is a whole number, or `fallback`. JF_FAILED with a config error when it is none, or not
 * between `min` and `max`.
 */
int32_t jf_config_integer(const jf_key_value *config, size_t len, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *value, jf_error *error);

/* --------------------------------------------------------------------------------------------------------- host and tables */

#define JF_LOG_ERROR 1
#define JF_LOG_WARN 2
#define JF_LOG_INFO 3
#define JF_LOG_DEBUG 4
#define JF_LOG_TRACE 5

/* For `jf_plugin_entry`: whether the host speaks this header's major and has all that this header tells of. */
bool jf_host_fits(uint16_t host_abi_major, const jf_host_vtable *host);
/* Writes a line in the worker's log, as of printf, when its level is kept. Long ones are cut at 2 KiB. */
void jf_log(const jf_host_vtable *host, const void *task, uint8_t level, const char *format, ...) JF_PRINTF(4, 5);
/* A number without labels, see `jf_host_vtable.metric`. */
void jf_metric(const jf_host_vtable *host, const void *task, uint8_t kind, const char *name, double value);

/* The descriptor of a library: `static const jf_plugin_desc plugin = JF_PLUGIN(classes);`, `classes` an array of pointers. */
#define JF_PLUGIN(classes) \
    { \
        JF_MAGIC, JF_ABI_MAJOR, JF_ABI_MINOR, sizeof(jf_plugin_desc), 0, JF_BATCH_MAJOR, JF_BATCH_MAJOR, \
            sizeof(classes) / sizeof((classes)[0]), (classes), JF_TEXT("jackfield_batch.h") \
    }

/* For `validate`: nothing beyond the definition. */
int32_t jf_no_validation(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, jf_buf *out,
                         jf_error *error);
/* For `task_configs`: one task with the connector's config. */
int32_t jf_one_task(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, uint32_t max_tasks,
                    jf_buf *out, jf_error *error);
/* For `alter_offsets`: they may be changed, and the connector looks at them when it starts. */
int32_t jf_any_offsets(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                       const jf_slice *offsets, jf_buf *out, jf_error *error);
/* For `committed` of a source that need not know. */
int32_t jf_ignore_committed(void *task, uint64_t batches, jf_error *error);
/* For `open` of a sink that need not know. */
int32_t jf_ignore_open(void *task, const jf_position *partitions, size_t partitions_len, jf_error *error);
/* For `close` of a sink that need not know. */
int32_t jf_ignore_close(void *task, const jf_topic_partition *partitions, size_t partitions_len, jf_error *error);

/* `pre_commit` of a sink that has made everything it was given durable: the positions as they are. */
int32_t jf_commit_all(const jf_position *current, size_t current_len, jf_buf *out, jf_error *error);
/*
 * Adds a record to the list that `put` and `apply` hand out in `rejected`, with the reason as of printf. Start with
 * `jf_string rejected = {0};` and end with `jf_rejected_into_buf`.
 */
void jf_reject(jf_string *rejected, uint32_t sequence, const char *format, ...) JF_PRINTF(3, 4);
/* Hands the list out; an empty one as no bytes. */
int32_t jf_rejected_into_buf(jf_string *rejected, jf_buf *out, jf_error *error);

/* ---------------------------------------------------------------------------------------------------------------- records */

/* `jf_value.kind`: null; a record whose value is null is a tombstone. */
#define JF_VALUE_NULL 0
/* `jf_value.kind`: bytes. */
#define JF_VALUE_BYTES 1
/* `jf_value.kind`: UTF-8 text. */
#define JF_VALUE_TEXT 2
/* `jf_value.kind`: JSON text of data without a schema. */
#define JF_VALUE_JSON 3
/* `jf_value.kind`: data under a Connect schema, in Avro's binary encoding. */
#define JF_VALUE_TYPED 4

/* A key, a value or a header value. */
typedef struct jf_value {
    /* One of the JF_VALUE_ constants. */
    uint8_t kind;
    /* Bytes, text, JSON text, or Avro's binary encoding; empty when null. */
    jf_slice data;
    /* When typed: the schema in the notation of Connect's JsonConverter, such as {"type":"int32","optional":false}. */
    jf_slice schema;
} jf_value;

/* A header of a record. */
typedef struct jf_header {
    jf_slice key;
    jf_value value;
} jf_header;

/* `jf_record.timestamp`: unset, the worker takes the present time. */
#define JF_NO_TIMESTAMP INT64_MIN
/* `jf_record.sequence`: the next of the batch. */
#define JF_NEXT_SEQUENCE UINT32_MAX

/* One record, as it is pushed and as it is read. */
typedef struct jf_record {
    jf_slice topic;
    /* Kafka partition; -1 = the worker chooses by the key. */
    int32_t partition;
    /* Index in its batch, by which errors and transforms name the record; a record that is pushed gets JF_NEXT_SEQUENCE,
       but for one that a transform made: it keeps the one it was made of. */
    uint32_t sequence;
    /* Milliseconds since 1970, or JF_NO_TIMESTAMP. */
    int64_t timestamp;
    /* Kafka offset of a record that a sink gets; -1 otherwise. */
    int64_t offset;
    jf_value key;
    jf_value value;
    /* Where in the source's system it comes from, JSON objects both: which part of it, and the offset behind this record,
       which `stored_offset` gives back. `ptr` NULL = none. */
    jf_slice source_partition;
    jf_slice source_offset;
    const jf_header *headers;
    size_t header_count;
} jf_record;

/* Null, as of a tombstone. */
jf_value jf_value_null(void);
/* Bytes. */
jf_value jf_value_bytes(const void *bytes, size_t len);
/* Text; it has to be UTF-8. */
jf_value jf_value_text(jf_slice text);
/* Text that ends with a zero; it has to be UTF-8. NULL = null. */
jf_value jf_value_string(const char *text);
/* JSON text. */
jf_value jf_value_json(jf_slice json);
/* Data in Avro's binary encoding under a schema; the host checks that it fits. */
jf_value jf_value_typed(jf_slice schema, const void *data, size_t len);

/* A record for a topic, with nothing else set: key and value null, no headers. */
jf_record jf_record_of(const char *topic);

/* ---------------------------------------------------------------------------------------------------------------- builder */

/* Texts that a batch holds once; private. */
typedef struct jf_table {
    /* The texts with their lengths before them. */
    uint8_t *bytes;
    size_t len;
    size_t cap;
    /* Where each text is. */
    struct jf_table_entry {
        uint32_t start;
        uint32_t len;
    } *entries;
    size_t entry_cap;
    /* Open addressing: index + 1 of an entry, 0 = free. */
    uint32_t *slots;
    size_t slot_count;
    uint32_t count;
    uint32_t last;
} jf_table;

/* Builds batches. Start with `jf_builder builder = {0};`, end with `jf_builder_free`. The members are private. */
typedef struct jf_builder {
    uint8_t *bytes;
    size_t len;
    size_t cap;
    /* Size of the batch before: what to allocate for the next. */
    size_t expected;
    uint32_t records;
    jf_table topics;
    jf_table partitions;
    jf_table schemas;
} jf_builder;

/*
 * Adds a record. JF_FAILED: a text is not UTF-8, or something is too large (a topic or a header key of more than 65,535
 * bytes, 65,535 headers, 65,535 different topics, source partitions or schemas, 1 GiB in all), a fatal error; or memory ran
 * out, a retriable one. The builder holds the same records as before then.
 */
int32_t jf_builder_push(jf_builder *builder, const jf_record *record, jf_error *error);
/* Number of records so far. */
uint32_t jf_builder_count(const jf_builder *builder);
/* Size of the batch so far, in bytes: what `jf_poll_limits.max_bytes` speaks of. */
size_t jf_builder_size(const jf_builder *builder);
/* Hands the batch out without a copy; the builder is empty afterwards. JF_FAILED: memory ran out, nothing is lost. */
int32_t jf_builder_finish(jf_builder *builder, jf_buf *out, jf_error *error);
/* Forgets what was pushed and keeps the memory. */
void jf_builder_clear(jf_builder *builder);
/* Frees it; it is as new. */
void jf_builder_free(jf_builder *builder);

/* For `poll`: hands out what was pushed. Nothing was: idle, to be asked again at once. */
int32_t jf_poll_records(jf_builder *builder, jf_poll_result *out, jf_error *error);
/* For `poll`: nothing now, ask again after this many ms; -1 = only when woken. */
int32_t jf_poll_idle(jf_poll_result *out, int64_t idle_ms);

/* ---------------------------------------------------------------------------------------------------------------- reading */

/* A batch that is read. The members are private but for `record_count`. */
typedef struct jf_batch {
    /* How many records it has. */
    uint32_t record_count;
    const uint8_t *bytes;
    /* The next record, and where the records end. */
    size_t position;
    size_t end;
    uint32_t left;
    uint32_t topic_count;
    uint32_t partition_count;
    uint32_t schema_count;
    /* All tables, one behind the other. */
    jf_slice *texts;
    jf_header *headers;
} jf_batch;

/*
 * Opens a batch over bytes that must stay where they are until `jf_batch_close`. Everything is checked here, every length,
 * index and text, before it is used: nothing outside of the bytes is read, and what is read later cannot fail. JF_FAILED:
 * it is not a batch of a version that this file knows, or damaged (a fatal error that names the byte), or memory ran out (a
 * retriable one); there is nothing to close then.
 */
int32_t jf_batch_open(jf_batch *batch, jf_slice bytes, jf_error *error);
/* The next record; false = there is none. Its headers are valid until the next call, everything else until the bytes go. */
bool jf_batch_next(jf_batch *batch, jf_record *record);
/* Starts again at the first record. */
void jf_batch_rewind(jf_batch *batch);
/* Frees what opening it took. */
void jf_batch_close(jf_batch *batch);

#ifdef __cplusplus
}
#endif

#endif /* JACKFIELD_BATCH_H */

/* ================================================================================================================== body */

#if defined(JF_BATCH_IMPLEMENTATION) && !defined(JF_BATCH_IMPLEMENTED)
#define JF_BATCH_IMPLEMENTED

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JF_MAX_BATCH_BYTES ((size_t)1 << 30)
#define JF_MAX_MESSAGE_BYTES 2048
#define JF_BATCH_HEADER_BYTES 20
#define JF_RECORD_BODY_BYTES 32
/* Length, fixed part, null key, null value, no source offset. */
#define JF_MIN_RECORD_BYTES 42
#define JF_NO_PARTITION_INDEX 0xffffu
#define JF_NO_SOURCE_OFFSET 0xffffffffu
#define JF_SCHEMA_KIND_JSON 1
#define JF_MAX_AHEAD_BYTES ((size_t)1 << 20)

static void jf_free_bytes(uint8_t *ptr, size_t len, size_t cap) {
    (void)len;
    (void)cap;
    free(ptr);
}

/* ---------------------------------------------------------------------------------------------------------------- slices */

jf_slice jf_slice_of(const void *bytes, size_t len) {
    jf_slice slice;
    slice.ptr = (const uint8_t *)bytes;
    slice.len = bytes == NULL ? 0 : len;
    return slice;
}

jf_slice jf_text(const char *text) { return jf_slice_of(text, text == NULL ? 0 : strlen(text)); }

bool jf_slice_equals(jf_slice a, jf_slice b) { return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0); }

bool jf_slice_is(jf_slice slice, const char *text) { return jf_slice_equals(slice, jf_text(text)); }

char *jf_slice_dup(jf_slice slice) {
    char *copy = slice.len == SIZE_MAX ? NULL : (char *)malloc(slice.len + 1);
    if (copy == NULL)
        return NULL;
    if (slice.len > 0)
        memcpy(copy, slice.ptr, slice.len);
    copy[slice.len] = '\0';
    return copy;
}

/* Bytes of the UTF-8 character at the start; 0 = it is none. `len` is at least 1. */
static size_t jf_utf8_character(const uint8_t *bytes, size_t len) {
    const uint8_t first = bytes[0];
    size_t count;
    uint8_t low = 0x80, high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf) {
        count = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        count = 3;
        if (first == 0xe0)
            low = 0xa0;
        if (first == 0xed)
            high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
        count = 4;
        if (first == 0xf0)
            low = 0x90;
        if (first == 0xf4)
            high = 0x8f;
    } else {
        return 0;
    }
    if (len < count || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t index = 2; index < count; index++) {
        if ((bytes[index] & 0xc0) != 0x80)
            return 0;
    }
    return count;
}

/* Where it stops being UTF-8: `len` = nowhere. */
static size_t jf_utf8_prefix(const uint8_t *bytes, size_t len) {
    size_t position = 0;
    while (position < len) {
        const size_t count = jf_utf8_character(bytes + position, len - position);
        if (count == 0)
            break;
        position += count;
    }
    return position;
}

bool jf_is_utf8(jf_slice slice) { return jf_utf8_prefix(slice.ptr, slice.len) == slice.len; }

/* ----------------------------------------------------------------------------------------------------- buffers and errors */

bool jf_buf_copy(jf_buf *out, jf_slice bytes) {
    uint8_t *copy;
    memset(out, 0, sizeof(*out));
    if (bytes.len == 0)
        return true;
    copy = (uint8_t *)malloc(bytes.len);
    if (copy == NULL)
        return false;
    memcpy(copy, bytes.ptr, bytes.len);
    out->ptr = copy;
    out->len = bytes.len;
    out->cap = bytes.len;
    out->free = jf_free_bytes;
    return true;
}

void jf_buf_static(jf_buf *out, const char *text) {
    union {
        const char *constant;
        uint8_t *bytes;
    } pointer;
    memset(out, 0, sizeof(*out));
    pointer.constant = text;
    out->ptr = pointer.bytes;
    out->len = strlen(text);
    out->cap = out->len;
}

void jf_buf_free(jf_buf *buf) {
    if (buf->free != NULL)
        buf->free(buf->ptr, buf->len, buf->cap);
    memset(buf, 0, sizeof(*buf));
}

/* Formats into a buffer of JF_MAX_MESSAGE_BYTES, cut between characters, and gives the length. */
static size_t jf_format(char *buffer, const char *format, va_list arguments) {
    const int wanted = vsnprintf(buffer, JF_MAX_MESSAGE_BYTES, format, arguments);
    if (wanted < 0)
        return 0;
    if ((size_t)wanted < JF_MAX_MESSAGE_BYTES)
        return (size_t)wanted;
    return jf_utf8_prefix((const uint8_t *)buffer, JF_MAX_MESSAGE_BYTES - 1);
}

int32_t jf_fail_memory(jf_error *error) {
    error->kind = JF_ERROR_RETRIABLE;
    jf_buf_static(&error->message, "out of memory");
    return JF_FAILED;
}

int32_t jf_fail(jf_error *error, uint8_t kind, const char *format, ...) {
    char message[JF_MAX_MESSAGE_BYTES];
    size_t len;
    va_list arguments;
    va_start(arguments, format);
    len = jf_format(message, format, arguments);
    va_end(arguments);
    error->kind = kind;
    if (!jf_buf_copy(&error->message, jf_slice_of(message, len)))
        jf_buf_static(&error->message, "no memory for the message");
    return JF_FAILED;
}

/* ------------------------------------------------------------------------------------------------------------------ texts */

/* Room for `more` bytes behind `len`; false = there is none. */
static bool jf_reserve(uint8_t **bytes, size_t len, size_t *cap, size_t more) {
    size_t wanted;
    uint8_t *grown;
    if (more > SIZE_MAX / 2 - len)
        return false;
    if (len + more <= *cap)
        return true;
    wanted = *cap < 64 ? 64 : *cap;
    while (wanted < len + more)
        wanted *= 2;
    grown = (uint8_t *)realloc(*bytes, wanted);
    if (grown == NULL)
        return false;
    *bytes = grown;
    *cap = wanted;
    return true;
}

void jf_string_add(jf_string *string, jf_slice bytes) {
    uint8_t *data = (uint8_t *)string->data;
    if (string->failed || bytes.len == 0)
        return;
    if (!jf_reserve(&data, string->len, &string->cap, bytes.len)) {
        string->failed = true;
        return;
    }
    memcpy(data + string->len, bytes.ptr, bytes.len);
    string->data = (char *)data;
    string->len += bytes.len;
}

static void jf_string_valist(jf_string *string, const char *format, va_list arguments) {
    uint8_t *data = (uint8_t *)string->data;
    va_list again;
    int wanted;
    if (string->failed)
        return;
    va_copy(again, arguments);
    wanted = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (wanted < 0 || !jf_reserve(&data, string->len, &string->cap, (size_t)wanted + 1)) {
        string->failed = true;
        return;
    }
    string->data = (char *)data;
    vsnprintf(string->data + string->len, (size_t)wanted + 1, format, arguments);
    string->len += (size_t)wanted;
}

void jf_string_format(jf_string *string, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    jf_string_valist(string, format, arguments);
    va_end(arguments);
}

void jf_string_json(jf_string *string, jf_slice text) {
    size_t position = 0;
    jf_string_add(string, jf_text("\""));
    while (position < text.len) {
        const uint8_t byte = text.ptr[position];
        size_t plain = position;
        while (plain < text.len && text.ptr[plain] >= 0x20 && text.ptr[plain] < 0x80 && text.ptr[plain] != '"' &&
               text.ptr[plain] != '\\')
            plain++;
        if (plain > position) {
            jf_string_add(string, jf_slice_of(text.ptr + position, plain - position));
            position = plain;
        } else if (byte == '"' || byte == '\\') {
            jf_string_format(string, "\\%c", byte);
            position++;
        } else if (byte == '\n' || byte == '\t' || byte == '\r') {
            jf_string_format(string, "\\%c", byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r');
            position++;
        } else if (byte < 0x20) {
            jf_string_format(string, "\\u%04x", byte);
            position++;
        } else {
            const size_t count = jf_utf8_character(text.ptr + position, text.len - position);
            if (count > 0)
                jf_string_add(string, jf_slice_of(text.ptr + position, count));
            else
                jf_string_add(string, jf_text("\xef\xbf\xbd"));
            position += count > 0 ? count : 1;
        }
    }
    jf_string_add(string, jf_text("\""));
}

jf_slice jf_string_slice(const jf_string *string) { return jf_slice_of(string->data, string->len); }

void jf_string_clear(jf_string *string) {
    string->len = 0;
    string->failed = false;
}

void jf_string_free(jf_string *string) {
    free(string->data);
    memset(string, 0, sizeof(*string));
}

int32_t jf_string_into_buf(jf_string *string, jf_buf *out, jf_error *error) {
    if (string->failed) {
        jf_string_free(string);
        return jf_fail_memory(error);
    }
    out->ptr = (uint8_t *)string->data;
    out->len = string->len;
    out->cap = string->cap;
    out->free = string->data == NULL ? NULL : jf_free_bytes;
    memset(string, 0, sizeof(*string));
    return JF_OK;
}

/* ------------------------------------------------------------------------------------------------------------------- JSON */

static size_t jf_json_space(jf_slice text, size_t position) {
    while (position < text.len && (text.ptr[position] == ' ' || text.ptr[position] == '\t' || text.ptr[position] == '\n' ||
                                   text.ptr[position] == '\r'))
        position++;
    return position;
}

/* Behind the string that starts here; 0 = there is none. */
static size_t jf_json_skip_string(jf_slice text, size_t position) {
    if (position >= text.len || text.ptr[position] != '"')
        return 0;
    for (position++; position < text.len; position++) {
        if (text.ptr[position] == '"')
            return position + 1;
        if (text.ptr[position] == '\\')
            position++;
    }
    return 0;
}

/* Behind the value that starts here; 0 = there is none. Brackets are counted, not matched. */
static size_t jf_json_skip(jf_slice text, size_t position) {
    size_t depth = 0;
    const size_t start = position;
    while (position < text.len) {
        const uint8_t byte = text.ptr[position];
        if (byte == '"') {
            position = jf_json_skip_string(text, position);
            if (position == 0)
                return 0;
        } else if (byte == '{' || byte == '[') {
            depth++;
            position++;
        } else if (byte == '}' || byte == ']') {
            if (depth == 0)
                break;
            depth--;
            position++;
        } else if (depth == 0 && (byte == ',' || byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')) {
            break;
        } else {
            position++;
            continue;
        }
        if (depth == 0)
            break;
    }
    return depth > 0 || position == start ? 0 : position;
}

bool jf_json_find(jf_slice object, const char *name, jf_slice *value) {
    const jf_slice wanted = jf_text(name);
    size_t position = jf_json_space(object, 0);
    if (position >= object.len || object.ptr[position] != '{')
        return false;
    position++;
    for (;;) {
        const size_t key = jf_json_space(object, position);
        const size_t key_end = jf_json_skip_string(object, key);
        size_t start, end;
        if (key_end == 0)
            return false;
        start = jf_json_space(object, key_end);
        if (start >= object.len || object.ptr[start] != ':')
            return false;
        start = jf_json_space(object, start + 1);
        end = jf_json_skip(object, start);
        if (end == 0)
            return false;
        if (jf_slice_equals(jf_slice_of(object.ptr + key + 1, key_end - key - 2), wanted)) {
            *value = jf_slice_of(object.ptr + start, end - start);
            return true;
        }
        position = jf_json_space(object, end);
        if (position >= object.len || object.ptr[position] != ',')
            return false;
        position++;
    }
}

/* Reads a whole number; false = it is none, or does not fit. */
static bool jf_parse_integer(jf_slice text, int64_t *value) {
    size_t position = 0;
    bool negative = false;
    uint64_t number = 0;
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        negative = text.ptr[0] == '-';
        position = 1;
    }
    if (position == text.len)
        return false;
    for (; position < text.len; position++) {
        const uint8_t digit = text.ptr[position];
        if (digit < '0' || digit > '9')
            return false;
        if (number > ((uint64_t)INT64_MAX + negative - (uint64_t)(digit - '0')) / 10)
            return false;
        number = number * 10 + (uint64_t)(digit - '0');
    }
    if (!negative)
        *value = (int64_t)number;
    else
        *value = number == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)number;
    return true;
}

bool jf_json_integer(jf_slice object, const char *name, int64_t *value) {
    jf_slice found;
    return jf_json_find(object, name, &found) && jf_parse_integer(found, value);
}

/* Four hex digits; false = there are none. */
static bool jf_json_hex(jf_slice text, size_t position, uint32_t *value) {
    *value = 0;
    if (text.len < 4 || position > text.len - 4)
        return false;
    for (size_t end = position + 4; position < end; position++) {
        const uint8_t digit = text.ptr[position];
        *value <<= 4;
        if (digit >= '0' && digit <= '9')
            *value |= (uint32_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *value |= (uint32_t)(digit - 'a' + 10);
        else if (digit >= 'A' && digit <= 'F')
            *value |= (uint32_t)(digit - 'A' + 10);
        else
            return false;
    }
    return true;
}

static void jf_string_character(jf_string *string, uint32_t code) {
    uint8_t bytes[4];
    size_t len;
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        len = 1;
    } else if (code < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | (code >> 6));
        len = 2;
    } else if (code < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | (code >> 12));
        len = 3;
    } else {
        bytes[0] = (uint8_t)(0xf0 | (code >> 18));
        len = 4;
    }
    for (size_t index = 1; index < len; index++)
        bytes[index] = (uint8_t)(0x80 | ((code >> (6 * (len - 1 - index))) & 0x3f));
    jf_string_add(string, jf_slice_of(bytes, len));
}

/* Behind the escape that starts here, which is added; 0 = it is none. */
static size_t jf_json_escape(jf_slice text, size_t position, jf_string *value) {
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *known;
    uint32_t code, low;
    if (position + 1 >= text.len)
        return 0;
    if (text.ptr[position + 1] == 'u') {
        if (!jf_json_hex(text, position + 2, &code))
            return 0;
        position += 6;
        if (code >= 0xd800 && code <= 0xdbff && position + 1 < text.len && text.ptr[position] == '\\' &&
            text.ptr[position + 1] == 'u' && jf_json_hex(text, position + 2, &low) && low >= 0xdc00 && low <= 0xdfff) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            position += 6;
        } else if (code >= 0xd800 && code <= 0xdfff) {
            code = 0xfffd;
        }
        jf_string_character(value, code);
        return position;
    }
    known = text.ptr[position + 1] == 0 ? NULL : strchr(from, text.ptr[position + 1]);
    if (known == NULL)
        return 0;
    jf_string_add(value, jf_slice_of(to + (known - from), 1));
    return position + 2;
}

bool jf_json_text(jf_slice object, const char *name, jf_string *value) {
    jf_slice found;
    size_t position = 0;
    if (!jf_json_find(object, name, &found) || found.ptr[0] != '"')
        return false;
    found = jf_slice_of(found.ptr + 1, found.len - 2);
    while (position < found.len) {
        size_t plain = position;
        while (plain < found.len && found.ptr[plain] != '\\')
            plain++;
        jf_string_add(value, jf_slice_of(found.ptr + position, plain - position));
        position = plain;
        if (position < found.len) {
            position = jf_json_escape(found, position, value);
            if (position == 0)
                return false;
        }
    }
    return !value->failed;
}

/* ----------------------------------------------------------------------------------------------------------------- config */

const jf_slice *jf_config_find(const jf_key_value *config, size_t len, const char *key) {
    for (size_t index = 0; index < len; index++) {
        if (jf_slice_is(config[index].key, key))
            return &config[index].value;
    }
    return NULL;
}

jf_slice jf_config_text(const jf_key_value *config, size_t len, const char *key, const char *fallback) {
    const jf_slice *found = jf_config_find(config, len, key);
    return found == NULL ? jf_text(fallback) : *found;
}

int32_t jf_config_integer(const jf_key_value *config, size_t len, const char *key, int64_t fallback, int64_t min,
                          int64_t max, int64_t *value, jf_error *error) {
    const jf_slice *found = jf_config_find(config, len, key);
    jf_slice text;
    if (found == NULL) {
        *value = fallback;
        return JF_OK;
    }
    text = *found;
    text = jf_slice_of(text.ptr + jf_json_space(text, 0), text.len - jf_json_space(text, 0));
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    if (!jf_parse_integer(text, value) || *value < min || *value > max) {
        return jf_fail(error, JF_ERROR_CONFIG, "%s %.*s: a whole number from %" PRId64 " to %" PRId64 " is wanted", key,
                       text.len > 100 ? 100 : (int)text.len, text.ptr == NULL ? "" : (const char *)text.ptr, min, max);
    }
    return JF_OK;
}

/* --------------------------------------------------------------------------------------------------------- host and tables */

bool jf_host_fits(uint16_t host_abi_major, const jf_host_vtable *host) {
    return host_abi_major == JF_ABI_MAJOR && host != NULL && host->struct_size >= sizeof(jf_host_vtable);
}

void jf_log(const jf_host_vtable *host, const void *task, uint8_t level, const char *format, ...) {
    char message[JF_MAX_MESSAGE_BYTES];
    size_t len;
    va_list arguments;
    if (level > host->log_max_level())
        return;
    va_start(arguments, format);
    len = jf_format(message, format, arguments);
    va_end(arguments);
    host->log(task, level, jf_slice_of(message, len));
}

void jf_metric(const jf_host_vtable *host, const void *task, uint8_t kind, const char *name, double value) {
    host->metric(task, kind, jf_text(name), NULL, 0, value);
}

int32_t jf_no_validation(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, jf_buf *out,
                         jf_error *error) {
    (void)class_desc, (void)config, (void)config_len, (void)out, (void)error;
    return JF_OK;
}

int32_t jf_one_task(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, uint32_t max_tasks,
                    jf_buf *out, jf_error *error) {
    jf_string json = {0};
    (void)class_desc, (void)max_tasks;
    jf_string_add(&json, jf_text("[{"));
    for (size_t index = 0; index < config_len; index++) {
        if (index > 0)
            jf_string_add(&json, jf_text(","));
        jf_string_json(&json, config[index].key);
        jf_string_add(&json, jf_text(":"));
        jf_string_json(&json, config[index].value);
    }
    jf_string_add(&json, jf_text("}]"));
    return jf_string_into_buf(&json, out, error);
}

int32_t jf_any_offsets(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                       const jf_slice *offsets, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)config, (void)config_len, (void)offsets, (void)error;
    jf_buf_static(out, "true");
    return JF_OK;
}

int32_t jf_ignore_committed(void *task, uint64_t batches, jf_error *error) {
    (void)task, (void)batches, (void)error;
    return JF_OK;
}

int32_t jf_ignore_open(void *task, const jf_position *partitions, size_t partitions_len, jf_error *error) {
    (void)task, (void)partitions, (void)partitions_len, (void)error;
    return JF_OK;
}

int32_t jf_ignore_close(void *task, const jf_topic_partition *partitions, size_t partitions_len, jf_error *error) {
    (void)task, (void)partitions, (void)partitions_len, (void)error;
    return JF_OK;
}

int32_t jf_commit_all(const jf_position *current, size_t current_len, jf_buf *out, jf_error *error) {
    jf_string json = {0};
    jf_string_add(&json, jf_text("["));
    for (size_t index = 0; index < current_len; index++) {
        jf_string_add(&json, jf_text(index > 0 ? ",{\"topic\":" : "{\"topic\":"));
        jf_string_json(&json, current[index].topic);
        jf_string_format(&json, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"metadata\":", current[index].partition,
                         current[index].offset);
        jf_string_json(&json, current[index].metadata);
        jf_string_add(&json, jf_text("}"));
    }
    jf_string_add(&json, jf_text("]"));
    return jf_string_into_buf(&json, out, error);
}

void jf_reject(jf_string *rejected, uint32_t sequence, const char *format, ...) {
    char message[JF_MAX_MESSAGE_BYTES];
    size_t len;
    va_list arguments;
    va_start(arguments, format);
    len = jf_format(message, format, arguments);
    va_end(arguments);
    jf_string_format(rejected, "%s{\"sequence\":%" PRIu32 ",\"message\":", rejected->len == 0 ? "[" : ",", sequence);
    jf_string_json(rejected, jf_slice_of(message, len));
    jf_string_add(rejected, jf_text("}"));
}

int32_t jf_rejected_into_buf(jf_string *rejected, jf_buf *out, jf_error *error) {
    if (rejected->len > 0)
        jf_string_add(rejected, jf_text("]"));
    return jf_string_into_buf(rejected, out, error);
}

/* ---------------------------------------------------------------------------------------------------------------- records */

static jf_value jf_value_of(uint8_t kind, jf_slice data) {
    jf_value value;
    memset(&value, 0, sizeof(value));
    value.kind = kind;
    value.data = data;
    return value;
}

jf_value jf_value_null(void) { return jf_value_of(JF_VALUE_NULL, jf_slice_of(NULL, 0)); }

jf_value jf_value_bytes(const void *bytes, size_t len) { return jf_value_of(JF_VALUE_BYTES, jf_slice_of(bytes, len)); }

jf_value jf_value_text(jf_slice text) { return jf_value_of(JF_VALUE_TEXT, text); }

jf_value jf_value_string(const char *text) { return text == NULL ? jf_value_null() : jf_value_text(jf_text(text)); }

jf_value jf_value_json(jf_slice json) { return jf_value_of(JF_VALUE_JSON, json); }

jf_value jf_value_typed(jf_slice schema, const void *data, size_t len) {
    jf_value value = jf_value_of(JF_VALUE_TYPED, jf_slice_of(data, len));
    value.schema = schema;
    return value;
}

jf_record jf_record_of(const char *topic) {
    jf_record record;
    memset(&record, 0, sizeof(record));
    record.topic = jf_text(topic);
    record.partition = -1;
    record.sequence = JF_NEXT_SEQUENCE;
    record.timestamp = JF_NO_TIMESTAMP;
    record.offset = -1;
    return record;
}

/* ------------------------------------------------------------------------------------------------------- numbers in bytes */

static void jf_put(uint8_t *bytes, uint64_t number, size_t count) {
    for (size_t index = 0; index < count; index++)
        bytes[index] = (uint8_t)(number >> (8 * index));
}

static uint64_t jf_get(const uint8_t *bytes, size_t count) {
    uint64_t number = 0;
    for (size_t index = 0; index < count; index++)
        number |= (uint64_t)bytes[index] << (8 * index);
    return number;
}

/* Numbers with a sign travel as they are in memory everywhere: two's complement. */
static int32_t jf_signed32(uint32_t number) {
    int32_t value;
    memcpy(&value, &number, sizeof(value));
    return value;
}

static int64_t jf_signed64(uint64_t number) {
    int64_t value;
    memcpy(&value, &number, sizeof(value));
    return value;
}

/* ---------------------------------------------------------------------------------------------------------------- builder */

static uint32_t jf_hash(jf_slice text) {
    uint32_t hash = 2166136261u;
    for (size_t index = 0; index < text.len; index++)
        hash = (hash ^ text.ptr[index]) * 16777619u;
    return hash;
}

static jf_slice jf_table_text(const jf_table *table, uint32_t index) {
    return jf_slice_of(table->bytes + table->entries[index].start, table->entries[index].len);
}

/* The slot of a text: its own, or the free one where it would be. There is a free one. */
static size_t jf_table_slot(const jf_table *table, jf_slice text) {
    size_t slot = jf_hash(text) & (table->slot_count - 1);
    while (table->slots[slot] != 0 && !jf_slice_equals(jf_table_text(table, table->slots[slot] - 1), text))
        slot = (slot + 1) & (table->slot_count - 1);
    return slot;
}

/* Room for one more text; false = memory ran out. */
static bool jf_table_grow(jf_table *table, size_t bytes) {
    if (!jf_reserve(&table->bytes, table->len, &table->cap, bytes))
        return false;
    if (table->count == table->entry_cap) {
        const size_t wanted = table->entry_cap == 0 ? 8 : table->entry_cap * 2;
        void *grown = realloc(table->entries, wanted * sizeof(*table->entries));
        if (grown == NULL)
            return false;
        table->entries = (struct jf_table_entry *)grown;
        table->entry_cap = wanted;
    }
    if ((size_t)table->count * 2 >= table->slot_count) {
        jf_table larger = *table;
        larger.slot_count = table->slot_count == 0 ? 16 : table->slot_count * 2;
        larger.slots = (uint32_t *)calloc(larger.slot_count, sizeof(*larger.slots));
        if (larger.slots == NULL)
            return false;
        for (uint32_t index = 0; index < table->count; index++)
            larger.slots[jf_table_slot(&larger, jf_table_text(table, index))] = index + 1;
        free(table->slots);
        *table = larger;
    }
    return true;
}

/* Index of a text in its table. `prefix` bytes before it hold its length, the first the kind of a schema. */
static int32_t jf_intern(jf_table *table, const char *what, jf_slice text, size_t prefix, uint16_t *index,
                         jf_error *error) {
    const size_t most = prefix == 2 ? 0xffff : JF_MAX_BATCH_BYTES - 1;
    size_t slot;
    uint8_t *place;
    if (table->count > 0 && jf_slice_equals(jf_table_text(table, table->last), text)) {
        *index = (uint16_t)table->last;
        return JF_OK;
    }
    if (text.len > most)
        return jf_fail(error, JF_ERROR_FATAL, "%s of %zu bytes, at most %zu fit", what, text.len, most);
    if (!jf_is_utf8(text))
        return jf_fail(error, JF_ERROR_FATAL, "%s is not utf-8", what);
    if (table->count > 0) {
        slot = jf_table_slot(table, text);
        if (table->slots[slot] != 0) {
            table->last = table->slots[slot] - 1;
            *index = (uint16_t)table->last;
            return JF_OK;
        }
    }
    if (table->count >= 0xffff || table->len + prefix + text.len > JF_MAX_BATCH_BYTES / 4)
        return jf_fail(error, JF_ERROR_FATAL, "too many different values of %s in one batch: %" PRIu32, what, table->count);
    if (!jf_table_grow(table, prefix + text.len))
        return jf_fail_memory(error);
    slot = jf_table_slot(table, text);
    place = table->bytes + table->len;
    if (prefix == 5) {
        *place++ = JF_SCHEMA_KIND_JSON;
        jf_put(place, text.len, 4);
        place += 4;
    } else {
        jf_put(place, text.len, prefix);
        place += prefix;
    }
    if (text.len > 0)
        memcpy(place, text.ptr, text.len);
    table->entries[table->count].start = (uint32_t)(table->len + prefix);
    table->entries[table->count].len = (uint32_t)text.len;
    table->len += prefix + text.len;
    table->last = table->count;
    *index = (uint16_t)table->count;
    table->slots[slot] = ++table->count;
    return JF_OK;
}

static void jf_table_clear(jf_table *table) {
    if (table->count > 0)
        memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    table->count = 0;
    table->len = 0;
    table->last = 0;
}

static void jf_table_free(jf_table *table) {
    free(table->bytes);
    free(table->entries);
    free(table->slots);
    memset(table, 0, sizeof(*table));
}

uint32_t jf_builder_count(const jf_builder *builder) { return builder->records; }

size_t jf_builder_size(const jf_builder *builder) {
    const size_t records = builder->len < JF_BATCH_HEADER_BYTES ? JF_BATCH_HEADER_BYTES : builder->len;
    return records + builder->topics.len + builder->partitions.len + builder->schemas.len;
}

/* Room for the header of the batch and `more` bytes; false = memory ran out. */
static bool jf_builder_room(jf_builder *builder, size_t more) {
    size_t ahead = more;
    if (builder->len == 0) {
        const size_t expected = builder->expected < JF_MAX_AHEAD_BYTES ? builder->expected : JF_MAX_AHEAD_BYTES;
        if (ahead < expected + expected / 8)
            ahead = expected + expected / 8;
        if (!jf_reserve(&builder->bytes, 0, &builder->cap, JF_BATCH_HEADER_BYTES + ahead))
            return false;
        memset(builder->bytes, 0, JF_BATCH_HEADER_BYTES);
        builder->len = JF_BATCH_HEADER_BYTES;
    }
    return jf_reserve(&builder->bytes, builder->len, &builder->cap, more);
}

/* Checks a value, interns its schema and adds its size. */
static int32_t jf_check_value(jf_builder *builder, const char *what, const jf_value *value, uint64_t *bytes,
                              jf_error *error) {
    uint16_t index;
    if (value->kind > JF_VALUE_TYPED)
        return jf_fail(error, JF_ERROR_FATAL, "%s of unknown kind %u", what, value->kind);
    if (value->kind == JF_VALUE_NULL) {
        *bytes += 1;
        return JF_OK;
    }
    if (value->data.len >= JF_MAX_BATCH_BYTES)
        return jf_fail(error, JF_ERROR_FATAL, "%s of %zu bytes, at most %zu fit", what, value->data.len,
                       JF_MAX_BATCH_BYTES - 1);
    if ((value->kind == JF_VALUE_TEXT || value->kind == JF_VALUE_JSON) && !jf_is_utf8(value->data))
        return jf_fail(error, JF_ERROR_FATAL, "%s is not utf-8", what);
    *bytes += 5 + value->data.len;
    if (value->kind == JF_VALUE_TYPED) {
        *bytes += 2;
        return jf_intern(&builder->schemas, "schema", value->schema, 5, &index, error);
    }
    return JF_OK;
}

/* The index of a schema that was interned. */
static uint16_t jf_schema_index(const jf_builder *builder, jf_slice schema) {
    return (uint16_t)(builder->schemas.slots[jf_table_slot(&builder->schemas, schema)] - 1);
}

static uint8_t *jf_put_bytes(uint8_t *place, jf_slice bytes) {
    if (bytes.len > 0)
        memcpy(place, bytes.ptr, bytes.len);
    return place + bytes.len;
}

static uint8_t *jf_put_value(const jf_builder *builder, uint8_t *place, const jf_value *value) {
    *place++ = value->kind;
    if (value->kind == JF_VALUE_NULL)
        return place;
    if (value->kind == JF_VALUE_TYPED) {
        jf_put(place, jf_schema_index(builder, value->schema), 2);
        place += 2;
    }
    jf_put(place, value->data.len, 4);
    return jf_put_bytes(place + 4, value->data);
}

/* Checks a record and interns its texts; `bytes` is the size of its body. */
static int32_t jf_check_record(jf_builder *builder, const jf_record *record, uint16_t *topic, uint16_t *partition,
                               uint64_t *bytes, jf_error *error) {
    *partition = JF_NO_PARTITION_INDEX;
    *bytes = JF_RECORD_BODY_BYTES + 4;
    if (record->partition < -1)
        return jf_fail(error, JF_ERROR_FATAL, "negative partition %" PRId32, record->partition);
    if (record->header_count > 0xffff)
        return jf_fail(error, JF_ERROR_FATAL, "record with %zu headers, at most 65535 fit", record->header_count);
    if (builder->records == UINT32_MAX)
        return jf_fail(error, JF_ERROR_FATAL, "batch is full with %" PRIu32 " records", builder->records);
    if (jf_intern(&builder->topics, "topic", record->topic, 2, topic, error) != JF_OK)
        return JF_FAILED;
    if (record->source_partition.ptr != NULL &&
        jf_intern(&builder->partitions, "source partition", record->source_partition, 4, partition, error) != JF_OK)
        return JF_FAILED;
    if (jf_check_value(builder, "key", &record->key, bytes, error) != JF_OK ||
        jf_check_value(builder, "value", &record->value, bytes, error) != JF_OK)
        return JF_FAILED;
    if (record->source_offset.ptr != NULL) {
        if (record->source_offset.len >= JF_MAX_BATCH_BYTES || !jf_is_utf8(record->source_offset))
            return jf_fail(error, JF_ERROR_FATAL, "source offset is too long or not utf-8");
        *bytes += record->source_offset.len;
    }
    for (size_t index = 0; index < record->header_count; index++) {
        const jf_header *header = &record->headers[index];
        if (header->key.len > 0xffff || !jf_is_utf8(header->key))
            return jf_fail(error, JF_ERROR_FATAL, "header key is longer than 65535 bytes or not utf-8");
        *bytes += 2 + header->key.len;
        if (jf_check_value(builder, "header value", &header->value, bytes, error) != JF_OK)
            return JF_FAILED;
    }
    return JF_OK;
}

int32_t jf_builder_push(jf_builder *builder, const jf_record *record, jf_error *error) {
    uint16_t topic = 0, partition = 0;
    uint64_t bytes = 0;
    uint8_t *place;
    if (jf_check_record(builder, record, &topic, &partition, &bytes, error) != JF_OK)
        return JF_FAILED;
    if (jf_builder_size(builder) + 4 + bytes > JF_MAX_BATCH_BYTES)
        return jf_fail(error, JF_ERROR_FATAL, "record of %" PRIu64 " bytes does not fit: batch has %zu of at most %zu bytes",
                       bytes, jf_builder_size(builder), JF_MAX_BATCH_BYTES);
    if (!jf_builder_room(builder, 4 + (size_t)bytes))
        return jf_fail_memory(error);
    place = builder->bytes + builder->len;
    jf_put(place, bytes, 4);
    jf_put(place + 4, topic, 2);
    jf_put(place + 6, partition, 2);
    jf_put(place + 8, (uint32_t)record->partition, 4);
    jf_put(place + 12, (uint64_t)record->timestamp, 8);
    jf_put(place + 20, (uint64_t)record->offset, 8);
    jf_put(place + 28, record->sequence == JF_NEXT_SEQUENCE ? builder->records : record->sequence, 4);
    jf_put(place + 32, record->header_count, 2);
    jf_put(place + 34, 0, 2);
    place = jf_put_value(builder, place + 36, &record->key);
    place = jf_put_value(builder, place, &record->value);
    if (record->source_offset.ptr == NULL) {
        jf_put(place, JF_NO_SOURCE_OFFSET, 4);
        place += 4;
    } else {
        jf_put(place, record->source_offset.len, 4);
        place = jf_put_bytes(place + 4, record->source_offset);
    }
    for (size_t index = 0; index < record->header_count; index++) {
        jf_put(place, record->headers[index].key.len, 2);
        place = jf_put_bytes(place + 2, record->headers[index].key);
        place = jf_put_value(builder, place, &record->headers[index].value);
    }
    builder->len += 4 + (size_t)bytes;
    builder->records++;
    return JF_OK;
}

int32_t jf_builder_finish(jf_builder *builder, jf_buf *out, jf_error *error) {
    jf_table *const tables[] = {&builder->topics, &builder->partitions, &builder->schemas};
    size_t more = 0;
    for (size_t index = 0; index < 3; index++)
        more += tables[index]->len;
    if (!jf_builder_room(builder, more))
        return jf_fail_memory(error);
    memcpy(builder->bytes, "JFB", 3);
    builder->bytes[3] = JF_BATCH_MAJOR;
    jf_put(builder->bytes + 12, builder->records, 4);
    jf_put(builder->bytes + 16, builder->len, 4);
    for (size_t index = 0; index < 3; index++) {
        jf_put(builder->bytes + 6 + 2 * index, tables[index]->count, 2);
        jf_put_bytes(builder->bytes + builder->len, jf_slice_of(tables[index]->bytes, tables[index]->len));
        builder->len += tables[index]->len;
    }
    out->ptr = builder->bytes;
    out->len = builder->len;
    out->cap = builder->cap;
    out->free = jf_free_bytes;
    builder->expected = builder->len;
    builder->bytes = NULL;
    builder->cap = 0;
    jf_builder_clear(builder);
    return JF_OK;
}

void jf_builder_clear(jf_builder *builder) {
    builder->len = 0;
    builder->records = 0;
    jf_table_clear(&builder->topics);
    jf_table_clear(&builder->partitions);
    jf_table_clear(&builder->schemas);
}

void jf_builder_free(jf_builder *builder) {
    free(builder->bytes);
    jf_table_free(&builder->topics);
    jf_table_free(&builder->partitions);
    jf_table_free(&builder->schemas);
    memset(builder, 0, sizeof(*builder));
}

int32_t jf_poll_records(jf_builder *builder, jf_poll_result *out, jf_error *error) {
    if (builder->records == 0)
        return jf_poll_idle(out, 0);
    if (jf_builder_finish(builder, &out->batch, error) != JF_OK)
        return JF_FAILED;
    out->state = JF_POLL_BATCH;
    return JF_OK;
}

int32_t jf_poll_idle(jf_poll_result *out, int64_t idle_ms) {
    out->state = JF_POLL_IDLE;
    out->idle_ms = idle_ms;
    return JF_OK;
}

/* ---------------------------------------------------------------------------------------------------------------- reading */

/* Bytes that are walked over; `fault` = something was wrong, and nothing more is read. */
typedef struct jf_cursor {
    const uint8_t *bytes;
    size_t position;
    size_t end;
    const char *fault;
} jf_cursor;

/* Takes bytes; NULL = there are not so many, or something was wrong before. */
static const uint8_t *jf_take(jf_cursor *cursor, size_t count) {
    const uint8_t *taken;
    if (cursor->fault != NULL)
        return NULL;
    if (count > cursor->end - cursor->position) {
        cursor->fault = "more bytes are announced than there are";
        return NULL;
    }
    taken = cursor->bytes + cursor->position;
    cursor->position += count;
    return taken;
}

/* Takes a number; 0 when something is wrong. */
static uint64_t jf_take_number(jf_cursor *cursor, size_t bytes) {
    const uint8_t *taken = jf_take(cursor, bytes);
    return taken == NULL ? 0 : jf_get(taken, bytes);
}

static jf_slice jf_take_bytes(jf_cursor *cursor, size_t count) {
    const uint8_t *taken = jf_take(cursor, count);
    return jf_slice_of(taken, taken == NULL ? 0 : count);
}

/* Takes text. `is_checked` = an earlier pass saw that it is UTF-8. */
static jf_slice jf_take_text(jf_cursor *cursor, size_t count, bool is_checked) {
    const size_t start = cursor->position;
    const jf_slice taken = jf_take_bytes(cursor, count);
    if (cursor->fault == NULL && !is_checked) {
        const size_t good = jf_utf8_prefix(taken.ptr, taken.len);
        if (good < taken.len) {
            cursor->position = start + good;
            cursor->fault = "text is not utf-8";
        }
    }
    return taken;
}

/* Takes a value. Without `batch->texts` the schema is only checked. */
static jf_value jf_take_value(jf_cursor *cursor, const jf_batch *batch) {
    const bool is_checked = batch->headers != NULL;
    jf_value value = jf_value_null();
    size_t schema = 0;
    value.kind = (uint8_t)jf_take_number(cursor, 1);
    if (value.kind == JF_VALUE_NULL || cursor->fault != NULL)
        return jf_value_null();
    if (value.kind > JF_VALUE_TYPED) {
        cursor->fault = "unknown kind of value";
        return jf_value_null();
    }
    if (value.kind == JF_VALUE_TYPED) {
        schema = (size_t)jf_take_number(cursor, 2);
        if (cursor->fault == NULL && schema >= batch->schema_count) {
            cursor->fault = "index of a schema beyond the table";
            return jf_value_null();
        }
    }
    if (value.kind == JF_VALUE_TEXT || value.kind == JF_VALUE_JSON)
        value.data = jf_take_text(cursor, (size_t)jf_take_number(cursor, 4), is_checked);
    else
        value.data = jf_take_bytes(cursor, (size_t)jf_take_number(cursor, 4));
    if (value.kind == JF_VALUE_TYPED && cursor->fault == NULL)
        value.schema = batch->texts[batch->topic_count + batch->partition_count + schema];
    return value;
}

/* Takes a record. Headers are kept when there is room for them: while the batch is opened they are only checked. */
static void jf_take_record(jf_cursor *records, const jf_batch *batch, jf_record *record) {
    const size_t len = (size_t)jf_take_number(records, 4);
    jf_cursor body = *records;
    size_t topic, partition, offset_len;
    memset(record, 0, sizeof(*record));
    if (jf_take(records, len) == NULL)
        return;
    body.end = records->position;
    topic = (size_t)jf_take_number(&body, 2);
    partition = (size_t)jf_take_number(&body, 2);
    record->partition = jf_signed32((uint32_t)jf_take_number(&body, 4));
    record->timestamp = jf_signed64(jf_take_number(&body, 8));
    record->offset = jf_signed64(jf_take_number(&body, 8));
    record->sequence = (uint32_t)jf_take_number(&body, 4);
    record->header_count = (size_t)jf_take_number(&body, 2);
    jf_take(&body, 2);
    if (body.fault == NULL && topic >= batch->topic_count)
        body.fault = "index of a topic beyond the table";
    else if (body.fault == NULL && partition != JF_NO_PARTITION_INDEX && partition >= batch->partition_count)
        body.fault = "index of a source partition beyond the table";
    else if (body.fault == NULL && record->partition < -1)
        body.fault = "negative partition";
    record->key = jf_take_value(&body, batch);
    record->value = jf_take_value(&body, batch);
    offset_len = (size_t)jf_take_number(&body, 4);
    if (body.fault == NULL && offset_len != JF_NO_SOURCE_OFFSET)
        record->source_offset = jf_take_text(&body, offset_len, batch->headers != NULL);
    for (size_t index = 0; index < record->header_count && body.fault == NULL; index++) {
        jf_header header;
        header.key = jf_take_text(&body, (size_t)jf_take_number(&body, 2), batch->headers != NULL);
        header.value = jf_take_value(&body, batch);
        if (batch->headers != NULL)
            batch->headers[index] = header;
    }
    if (body.fault != NULL) {
        *records = body;
        return;
    }
    record->headers = batch->headers;
    record->topic = batch->texts[topic];
    if (partition != JF_NO_PARTITION_INDEX)
        record->source_partition = batch->texts[batch->topic_count + partition];
}

/* Reads one of the tables: every length is checked before its text is taken. */
static void jf_take_table(jf_cursor *cursor, jf_slice *texts, uint32_t count, size_t len_bytes, bool is_schemas) {
    for (uint32_t index = 0; index < count && cursor->fault == NULL; index++) {
        if (is_schemas && jf_take_number(cursor, 1) != JF_SCHEMA_KIND_JSON && cursor->fault == NULL)
            cursor->fault = "unknown kind of schema";
        texts[index] = jf_take_text(cursor, (size_t)jf_take_number(cursor, len_bytes), false);
    }
}

/* Reads the fixed part; the fault, or NULL. */
static const char *jf_batch_preamble(jf_batch *batch, jf_slice bytes, size_t *position) {
    *position = 0;
    if (bytes.len > JF_MAX_BATCH_BYTES)
        return "it is larger than a batch may be";
    if (bytes.len < JF_BATCH_HEADER_BYTES || memcmp(bytes.ptr, "JFB", 3) != 0)
        return "it does not start with JFB";
    *position = 3;
    if (bytes.ptr[3] != JF_BATCH_MAJOR)
        return "its format is of a version that this plugin does not know";
    *position = 4;
    if (jf_get(bytes.ptr + 4, 2) != 0)
        return "unknown flags";
    batch->topic_count = (uint32_t)jf_get(bytes.ptr + 6, 2);
    batch->partition_count = (uint32_t)jf_get(bytes.ptr + 8, 2);
    batch->schema_count = (uint32_t)jf_get(bytes.ptr + 10, 2);
    batch->record_count = (uint32_t)jf_get(bytes.ptr + 12, 4);
    batch->end = (size_t)jf_get(bytes.ptr + 16, 4);
    *position = 16;
    if (batch->end < JF_BATCH_HEADER_BYTES || batch->end > bytes.len)
        return "tables outside of it";
    *position = 12;
    if (batch->record_count > (batch->end - JF_BATCH_HEADER_BYTES) / JF_MIN_RECORD_BYTES)
        return "more records than fit";
    /* A text takes two bytes at least, so that nothing is allocated from a number alone. */
    *position = 6;
    if ((size_t)batch->topic_count + batch->partition_count + batch->schema_count > (bytes.len - batch->end) / 2)
        return "more texts than fit";
    batch->bytes = bytes.ptr;
    return NULL;
}

/* Checks all records, and finds the most headers of one. */
static size_t jf_batch_check(const jf_batch *batch, jf_cursor *cursor) {
    size_t most = 0;
    for (uint32_t index = 0; index < batch->record_count && cursor->fault == NULL; index++) {
        jf_record record;
        jf_take_record(cursor, batch, &record);
        if (record.header_count > most)
            most = record.header_count;
    }
    if (cursor->fault == NULL && cursor->position < cursor->end)
        cursor->fault = "bytes behind the records";
    return most;
}

int32_t jf_batch_open(jf_batch *batch, jf_slice bytes, jf_error *error) {
    jf_cursor cursor = {0};
    size_t texts, headers = 0;
    memset(batch, 0, sizeof(*batch));
    cursor.fault = jf_batch_preamble(batch, bytes, &cursor.position);
    if (cursor.fault == NULL) {
        texts = (size_t)batch->topic_count + batch->partition_count + batch->schema_count;
        batch->texts = (jf_slice *)calloc(texts + 1, sizeof(*batch->texts));
        if (batch->texts == NULL)
            return jf_fail_memory(error);
        cursor.bytes = bytes.ptr;
        cursor.position = batch->end;
        cursor.end = bytes.len;
        jf_take_table(&cursor, batch->texts, batch->topic_count, 2, false);
        jf_take_table(&cursor, batch->texts + batch->topic_count, batch->partition_count, 4, false);
        jf_take_table(&cursor, batch->texts + batch->topic_count + batch->partition_count, batch->schema_count, 4, true);
        if (cursor.fault == NULL && cursor.position < cursor.end)
            cursor.fault = "bytes behind the tables";
    }
    if (cursor.fault == NULL) {
        cursor.position = JF_BATCH_HEADER_BYTES;
        cursor.end = batch->end;
        headers = jf_batch_check(batch, &cursor);
    }
    if (cursor.fault != NULL) {
        jf_batch_close(batch);
        return jf_fail(error, JF_ERROR_FATAL, "invalid batch: %s (byte %zu)", cursor.fault, cursor.position);
    }
    batch->headers = (jf_header *)calloc(headers + 1, sizeof(*batch->headers));
    if (batch->headers == NULL) {
        jf_batch_close(batch);
        return jf_fail_memory(error);
    }
    jf_batch_rewind(batch);
    return JF_OK;
}

bool jf_batch_next(jf_batch *batch, jf_record *record) {
    jf_cursor cursor = {0};
    if (batch->left == 0)
        return false;
    cursor.bytes = batch->bytes;
    cursor.position = batch->position;
    cursor.end = batch->end;
    jf_take_record(&cursor, batch, record);
    batch->position = cursor.position;
    batch->left--;
    return cursor.fault == NULL;
}

void jf_batch_rewind(jf_batch *batch) {
    batch->position = JF_BATCH_HEADER_BYTES;
    batch->left = batch->record_count;
}

void jf_batch_close(jf_batch *batch) {
    free(batch->texts);
    free(batch->headers);
    memset(batch, 0, sizeof(*batch));
}

#endif /* JF_BATCH_IMPLEMENTATION */
