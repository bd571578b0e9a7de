/*
 * Reads batches and builds them again, each in memory of exactly its size, so that the sanitizers see every byte read
 * outside. In: u32 length, batch, and so on. Out: u32 length, batch again, or 0xffffffff when it was refused.
 */
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

static void put_number(uint32_t number) {
    uint8_t bytes[4];
    jf_put(bytes, number, 4);
    fwrite(bytes, 1, 4, stdout);
}

static int refused(jf_error *error, const char *where) {
    if (error->kind != JF_ERROR_FATAL || error->message.len == 0) {
        fprintf(stderr, "%s: error of kind %u without a message\n", where, error->kind);
        return 1;
    }
    jf_buf_free(&error->message);
    put_number(UINT32_MAX);
    return 0;
}

static int echo(jf_builder *builder, jf_slice bytes) {
    jf_batch batch;
    jf_record record;
    jf_error error = {0};
    jf_buf out = {0};
    if (jf_batch_open(&batch, bytes, &error) != JF_OK)
        return refused(&error, "open");
    while (jf_batch_next(&batch, &record)) {
        if (jf_builder_push(builder, &record, &error) != JF_OK) {
            fprintf(stderr, "push: %.*s\n", (int)error.message.len, (const char *)error.message.ptr);
            return 1;
        }
    }
    if (jf_builder_count(builder) != batch.record_count || jf_batch_next(&batch, &record)) {
        fprintf(stderr, "%u records of %u\n", jf_builder_count(builder), batch.record_count);
        return 1;
    }
    jf_batch_close(&batch);
    if (jf_builder_finish(builder, &out, &error) != JF_OK)
        return refused(&error, "finish");
    put_number((uint32_t)out.len);
    fwrite(out.ptr, 1, out.len, stdout);
    jf_buf_free(&out);
    return 0;
}

int main(void) {
    jf_builder builder = {0};
    uint8_t prefix[4];
    int failed = 0;
    while (!failed && fread(prefix, 1, 4, stdin) == 4) {
        const size_t len = (size_t)jf_get(prefix, 4);
        uint8_t *bytes = (uint8_t *)malloc(len);
        if (fread(bytes, 1, len, stdin) != len)
            return 1;
        failed = echo(&builder, jf_slice_of(bytes, len));
        free(bytes);
    }
    jf_builder_free(&builder);
    return failed;
}
