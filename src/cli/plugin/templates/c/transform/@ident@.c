/* @class@, a transform: text values in upper case; records with a null value are dropped. */
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

#include <stdlib.h>

static const jf_host_vtable *host;

struct transform {
    const void *host_task;
    jf_builder builder;
    /* The text of one record. */
    jf_string text;
};

static int32_t config_def(const jf_class_desc *class_desc, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)error;
    jf_buf_static(out, "{\"keys\":[]}");
    return JF_OK;
}

static int32_t start(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                     const jf_task_context *context, void **handle, jf_error *error) {
    struct transform *transform = calloc(1, sizeof(*transform));
    (void)class_desc, (void)config, (void)config_len;
    if (transform == NULL)
        return jf_fail_memory(error);
    transform->host_task = context->host;
    jf_log(host, transform->host_task, JF_LOG_DEBUG, "transform started");
    *handle = transform;
    return JF_OK;
}

static void stop(void *handle) {
    struct transform *transform = handle;
    jf_builder_free(&transform->builder);
    jf_string_free(&transform->text);
    free(transform);
}

/* The letters of ASCII in upper case; all else stays as it is. */
static int32_t to_upper_case(struct transform *transform, jf_value *value, jf_error *error) {
    jf_string *text = &transform->text;
    jf_string_clear(text);
    jf_string_add(text, value->data);
    if (text->failed)
        return jf_fail_memory(error);
    for (size_t index = 0; index < text->len; index++) {
        if (text->data[index] >= 'a' && text->data[index] <= 'z')
            text->data[index] = (char)(text->data[index] - 'a' + 'A');
    }
    *value = jf_value_text(jf_string_slice(text));
    return JF_OK;
}

static int32_t change(struct transform *transform, jf_batch *records, jf_error *error) {
    jf_record record;
    while (jf_batch_next(records, &record)) {
        if (record.value.kind == JF_VALUE_NULL)
            continue;
        if (record.value.kind == JF_VALUE_TEXT && to_upper_case(transform, &record.value, error) != JF_OK)
            return JF_FAILED;
        /* It keeps its sequence, by which the host knows which record it was made of. */
        if (jf_builder_push(&transform->builder, &record, error) != JF_OK)
            return JF_FAILED;
    }
    return JF_OK;
}

static int32_t apply(void *handle, jf_slice batch, jf_buf *out, jf_buf *rejected, jf_error *error) {
    struct transform *transform = handle;
    jf_batch records;
    int32_t done;
    (void)rejected;
    if (jf_batch_open(&records, batch, error) != JF_OK)
        return JF_FAILED;
    done = change(transform, &records, error);
    jf_batch_close(&records);
    if (done == JF_OK)
        done = jf_builder_finish(&transform->builder, out, error);
    if (done != JF_OK)
        jf_builder_clear(&transform->builder);
    return done;
}

static const jf_connector_vtable connector = {
    .struct_size = sizeof(jf_connector_vtable),
    .config_def = config_def,
    .validate = jf_no_validation,
    .task_configs = jf_one_task,
    .alter_offsets = jf_any_offsets,
};

static const jf_transform_vtable transform = {
    .struct_size = sizeof(jf_transform_vtable),
    .start = start,
    .apply = apply,
    .stop = stop,
};

static const jf_class_desc class_desc = {
    .struct_size = sizeof(jf_class_desc),
    .kind = JF_KIND_TRANSFORM,
    .name = JF_TEXT("@class@"),
    .version = JF_TEXT(PLUGIN_VERSION),
    .connector = &connector,
    .transform = &transform,
};

static const jf_class_desc *const classes[] = {&class_desc};
static const jf_plugin_desc plugin = JF_PLUGIN(classes);

const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *table) {
    if (!jf_host_fits(host_abi_major, table))
        return NULL;
    host = table;
    return &plugin;
}
