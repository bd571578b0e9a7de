/*
 * Builds a batch of every kind of record and prints it; reads it back; checks the small helpers. Every allocation fails in
 * turn first, which must be told and lose nothing.
 */
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

static size_t allocations_left = SIZE_MAX;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);

static bool may_allocate(void) {
    if (allocations_left == 0)
        return false;
    allocations_left -= allocations_left == SIZE_MAX ? 0 : 1;
    return true;
}

void *__wrap_malloc(size_t size) { return may_allocate() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return may_allocate() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *ptr, size_t size) { return may_allocate() ? __real_realloc(ptr, size) : NULL; }

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

static const char SCHEMA[] = "{\"type\":\"int32\",\"optional\":false}";

static int32_t push_all(jf_builder *builder, jf_error *error) {
    const uint8_t bytes[] = {0, 0xff, 7};
    const uint8_t number[] = {0x2a};
    jf_header headers[] = {
        {JF_TEXT("text"), jf_value_string("\xc3\xa9")},
        {JF_TEXT("typed"), jf_value_typed(jf_text(SCHEMA), number, 1)},
        {JF_TEXT(""), jf_value_null()},
        {JF_TEXT("text"), jf_value_bytes(bytes, 3)},
    };
    jf_record record = jf_record_of("first");
    char topic[32];
    record.key = jf_value_string("key");
    record.value = jf_value_json(jf_text("{\"a\":[1,2]}"));
    record.partition = 3;
    record.timestamp = 1700000000123;
    record.source_partition = jf_text("{\"file\":\"f\"}");
    record.source_offset = jf_text("{\"position\":17}");
    record.headers = headers;
    record.header_count = 4;
    if (jf_builder_push(builder, &record, error) != JF_OK)
        return JF_FAILED;
    record = jf_record_of("second");
    record.key = jf_value_bytes(bytes, 0);
    record.value = jf_value_typed(jf_text(SCHEMA), number, 1);
    record.sequence = 77;
    record.offset = INT64_MAX;
    if (jf_builder_push(builder, &record, error) != JF_OK)
        return JF_FAILED;
    record = jf_record_of("first");
    record.key = jf_value_bytes(bytes, 3);
    if (jf_builder_push(builder, &record, error) != JF_OK)
        return JF_FAILED;
    for (int index = 0; index < 100; index++) {
        snprintf(topic, sizeof(topic), "topic-%d", index % 50);
        record = jf_record_of(topic);
        record.value = jf_value_string("");
        if (jf_builder_push(builder, &record, error) != JF_OK)
            return JF_FAILED;
    }
    return JF_OK;
}

static int32_t read_back(jf_slice bytes, jf_error *error) {
    jf_batch batch;
    jf_record record;
    uint32_t count = 0;
    if (jf_batch_open(&batch, bytes, error) != JF_OK)
        return JF_FAILED;
    CHECK(jf_batch_next(&batch, &record) && jf_slice_is(record.topic, "first") && record.partition == 3);
    CHECK(record.header_count == 4 && jf_slice_is(record.headers[1].key, "typed"));
    CHECK(jf_slice_is(record.headers[1].value.schema, SCHEMA) && record.headers[1].value.data.ptr[0] == 0x2a);
    CHECK(jf_slice_is(record.source_offset, "{\"position\":17}") && record.timestamp == 1700000000123);
    CHECK(jf_batch_next(&batch, &record) && record.sequence == 77 && record.source_partition.ptr == NULL);
    CHECK(record.key.kind == JF_VALUE_BYTES && record.key.data.len == 0 && record.offset == INT64_MAX);
    CHECK(jf_batch_next(&batch, &record) && record.sequence == 2 && record.value.kind == JF_VALUE_NULL);
    CHECK(record.timestamp == JF_NO_TIMESTAMP && record.partition == -1 && record.header_count == 0);
    jf_batch_rewind(&batch);
    while (jf_batch_next(&batch, &record))
        count++;
    CHECK(count == 103 && batch.record_count == 103);
    jf_batch_close(&batch);
    return JF_OK;
}

/* The whole way; false = memory ran out on it. */
static bool once(bool is_printed) {
    jf_builder builder = {0};
    jf_error error = {0};
    jf_buf batch = {0};
    jf_string text = {0};
    jf_buf json = {0};
    bool done = push_all(&builder, &error) == JF_OK && jf_builder_finish(&builder, &batch, &error) == JF_OK &&
                read_back(jf_slice_of(batch.ptr, batch.len), &error) == JF_OK;
    if (done) {
        jf_string_json(&text, jf_text("a long text, so that the memory of the string is not enough for it at once, \n"));
        done = jf_string_into_buf(&text, &json, &error) == JF_OK;
    }
    if (done && is_printed)
        fwrite(batch.ptr, 1, batch.len, stdout);
    CHECK(done || (error.kind == JF_ERROR_RETRIABLE && error.message.len == 13));
    jf_buf_free(&error.message);
    jf_buf_free(&batch);
    jf_buf_free(&json);
    jf_string_free(&text);
    jf_builder_free(&builder);
    return done;
}

static void refusals(void) {
    jf_builder builder = {0};
    jf_error error = {0};
    jf_record record = jf_record_of("t");
    char *long_name = (char *)calloc(70000, 1);
    memset(long_name, 'x', 65536);
    record.value = jf_value_string("\xff");
    CHECK(jf_builder_push(&builder, &record, &error) == JF_FAILED && error.kind == JF_ERROR_FATAL);
    CHECK(jf_slice_is(jf_slice_of(error.message.ptr, error.message.len), "value is not utf-8"));
    jf_buf_free(&error.message);
    record = jf_record_of(long_name);
    CHECK(jf_builder_push(&builder, &record, &error) == JF_FAILED);
    jf_buf_free(&error.message);
    record = jf_record_of("t");
    record.partition = -2;
    CHECK(jf_builder_push(&builder, &record, &error) == JF_FAILED);
    jf_buf_free(&error.message);
    record = jf_record_of("t");
    record.value = jf_value_bytes(long_name, (size_t)1 << 30);
    CHECK(jf_builder_push(&builder, &record, &error) == JF_FAILED);
    jf_buf_free(&error.message);
    record = jf_record_of("t");
    record.header_count = 65536;
    CHECK(jf_builder_push(&builder, &record, &error) == JF_FAILED);
    jf_buf_free(&error.message);
    CHECK(jf_builder_count(&builder) == 0);
    jf_builder_free(&builder);
    free(long_name);
}

static void too_many_topics(void) {
    jf_builder builder = {0};
    jf_error error = {0};
    char name[16];
    for (int index = 0; index < 65535; index++) {
        jf_record record;
        snprintf(name, sizeof(name), "t%d", index);
        record = jf_record_of(name);
        CHECK(jf_builder_push(&builder, &record, &error) == JF_OK);
    }
    jf_record one_more = jf_record_of("one more");
    CHECK(jf_builder_push(&builder, &one_more, &error) == JF_FAILED && jf_builder_count(&builder) == 65535);
    jf_buf_free(&error.message);
    jf_record known = jf_record_of("t0");
    CHECK(jf_builder_push(&builder, &known, &error) == JF_OK);
    jf_builder_free(&builder);
}

static void json(void) {
    const jf_slice object = jf_text("{\"deep\":{\"n\":1,\"x\":\"}\"}, \"n\" : -9223372036854775808 ,\"s\":\"a\\\"\\u00e9"
                                    "\\ud83d\\ude00\\ud83d!\\n\",\"big\":9223372036854775808,\"last\":[1]}");
    jf_string text = {0};
    jf_slice value;
    int64_t number = 0;
    CHECK(jf_json_integer(object, "n", &number) && number == INT64_MIN);
    CHECK(!jf_json_integer(object, "big", &number) && !jf_json_integer(object, "s", &number));
    CHECK(!jf_json_integer(object, "x", &number) && !jf_json_find(jf_text("[]"), "n", &value));
    CHECK(jf_json_find(object, "last", &value) && jf_slice_is(value, "[1]"));
    CHECK(jf_json_text(object, "s", &text));
    CHECK(jf_slice_is(jf_string_slice(&text), "a\"\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd!\n"));
    for (size_t end = 0; end < object.len; end++) {
        /* In memory of exactly that size, and never found when it is cut off before. */
        char *part = (char *)malloc(end + 1);
        memcpy(part, object.ptr, end);
        (void)jf_json_find(jf_slice_of(part + (end == 0), end), "last", &value);
        jf_string_clear(&text);
        (void)jf_json_text(jf_slice_of(part, end), "s", &text);
        free(part);
    }
    jf_string_clear(&text);
    jf_string_json(&text, jf_slice_of("\x01\"\\\t\xc3\xa9\xc3 \xed\xa0\x80", 11));
    CHECK(jf_slice_is(jf_string_slice(&text), "\"\\u0001\\\"\\\\\\t\xc3\xa9\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
    jf_string_free(&text);
}

static void config(void) {
    const jf_key_value entries[] = {
        {JF_TEXT("a"), JF_TEXT(" 17 ")},
        {JF_TEXT("b"), JF_TEXT("many")},
    };
    jf_error error = {0};
    jf_buf out = {0};
    int64_t number = 0;
    CHECK(jf_config_integer(entries, 2, "a", 1, 0, 17, &number, &error) == JF_OK && number == 17);
    CHECK(jf_config_integer(entries, 2, "c", 5, 0, 17, &number, &error) == JF_OK && number == 5);
    CHECK(jf_config_integer(entries, 2, "a", 1, 0, 16, &number, &error) == JF_FAILED);
    jf_buf_free(&error.message);
    CHECK(jf_config_integer(entries, 2, "b", 1, 0, 16, &number, &error) == JF_FAILED && error.kind == JF_ERROR_CONFIG);
    CHECK(jf_slice_is(jf_slice_of(error.message.ptr, error.message.len), "b many: a whole number from 0 to 16 is wanted"));
    jf_buf_free(&error.message);
    CHECK(jf_slice_is(jf_config_text(entries, 2, "c", "d"), "d") && jf_config_find(entries, 2, "c") == NULL);
    CHECK(jf_one_task(NULL, entries, 2, 4, &out, &error) == JF_OK);
    CHECK(jf_slice_is(jf_slice_of(out.ptr, out.len), "[{\"a\":\" 17 \",\"b\":\"many\"}]"));
    jf_buf_free(&out);
}

static void lists(void) {
    const jf_position positions[] = {
        {JF_TEXT("a \"b\""), 7, JF_TEXT("m"), 1, 0},
        {JF_TEXT("c"), -1, {NULL, 0}, 0, 0},
    };
    jf_string rejected = {0};
    jf_error error = {0};
    jf_buf out = {0};
    CHECK(jf_commit_all(positions, 2, &out, &error) == JF_OK);
    CHECK(jf_slice_is(jf_slice_of(out.ptr, out.len),
                      "[{\"topic\":\"a \\\"b\\\"\",\"partition\":1,\"offset\":7,\"metadata\":\"m\"},"
                      "{\"topic\":\"c\",\"partition\":0,\"offset\":-1,\"metadata\":\"\"}]"));
    jf_buf_free(&out);
    CHECK(jf_rejected_into_buf(&rejected, &out, &error) == JF_OK && out.len == 0 && out.free == NULL);
    jf_reject(&rejected, 3, "no %s", "\"number\"");
    jf_reject(&rejected, 4, "%s", "");
    CHECK(jf_rejected_into_buf(&rejected, &out, &error) == JF_OK);
    CHECK(jf_slice_is(jf_slice_of(out.ptr, out.len),
                      "[{\"sequence\":3,\"message\":\"no \\\"number\\\"\"},{\"sequence\":4,\"message\":\"\"}]"));
    jf_buf_free(&out);
    for (int len = 2040; len < 2060; len++) {
        /* Cut between characters. */
        jf_fail(&error, JF_ERROR_DATA, "%0*d\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", len, 0);
        CHECK(jf_is_utf8(jf_slice_of(error.message.ptr, error.message.len)) && error.message.len < 2048);
        jf_buf_free(&error.message);
    }
}

int main(void) {
    size_t allowed = 0;
    for (;; allowed++) {
        allocations_left = allowed;
        if (once(false))
            break;
    }
    CHECK(allowed > 20);
    allocations_left = SIZE_MAX;
    refusals();
    too_many_topics();
    json();
    config();
    lists();
    CHECK(once(true));
    return 0;
}
