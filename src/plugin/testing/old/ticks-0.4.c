/* A source against the header of ABI 0.4 alone, as somebody may have built it long ago. Not to be changed. */
#include "jackfield_plugin-0.4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MINOR
#define MINOR JF_ABI_MINOR
#endif

#define SLICE(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const jf_host_vtable *host;

struct task {
    const void *host;
    int polls;
};

static void release(uint8_t *ptr, size_t len, size_t cap) {
    (void)len, (void)cap;
    free(ptr);
}

static void hand_out(jf_buf *out, const void *bytes, size_t len) {
    out->ptr = malloc(len);
    memcpy(out->ptr, bytes, len);
    out->len = out->cap = len;
    out->free = release;
}

static int32_t config_def(const jf_class_desc *class_desc, jf_buf *out, jf_error *error) {
    static const char keys[] = "{\"keys\":[]}";
    (void)class_desc, (void)error;
    hand_out(out, keys, sizeof(keys) - 1);
    return JF_OK;
}

static int32_t validate(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, jf_buf *out,
                        jf_error *error) {
    (void)class_desc, (void)config, (void)config_len, (void)out, (void)error;
    return JF_OK;
}

static int32_t task_configs(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                            uint32_t max_tasks, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)config, (void)config_len, (void)max_tasks, (void)error;
    hand_out(out, "[{}]", 4);
    return JF_OK;
}

static int32_t alter_offsets(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                             const jf_slice *offsets, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)config, (void)config_len, (void)offsets, (void)error;
    hand_out(out, "false", 5);
    return JF_OK;
}

static int32_t start(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                     const jf_task_context *context, void **task, jf_error *error) {
    static const jf_slice line = SLICE("started");
    static const jf_slice state = SLICE("ticking");
    struct task *self = calloc(1, sizeof(*self));
    (void)class_desc, (void)config, (void)config_len, (void)error;
    self->host = context->host;
    host->log(self->host, 3, line);
    host->report_state(self->host, state);
    *task = self;
    return JF_OK;
}

/* A batch of one record with the text "tick" for the topic "t", then nothing, then an error. */
static int32_t poll(void *task, const jf_poll_limits *limits, jf_poll_result *out, jf_error *error) {
    static const uint8_t batch[] = {
        'J', 'F', 'B', 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 70, 0, 0, 0,
        46, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x80,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 2, 4, 0, 0, 0, 't', 'i', 'c', 'k', 0xff, 0xff, 0xff, 0xff,
        1, 0, 't',
    };
    struct task *self = task;
    (void)limits;
    switch (self->polls++) {
    case 0:
        out->state = JF_POLL_BATCH;
        hand_out(&out->batch, batch, sizeof(batch));
        return JF_OK;
    case 1:
        out->state = JF_POLL_IDLE;
        out->idle_ms = 17;
        return JF_OK;
    default:
        error->kind = JF_ERROR_DATA;
        hand_out(&error->message, "no more ticks", 13);
        return JF_FAILED;
    }
}

static int32_t committed(void *task, uint64_t batches, jf_error *error) {
    (void)task, (void)batches, (void)error;
    return JF_OK;
}

static void stop(void *task) { free(task); }

static const jf_connector_vtable connector = {
    sizeof(jf_connector_vtable), 0, config_def, validate, task_configs, alter_offsets,
};
static const jf_source_vtable source = {sizeof(jf_source_vtable), 0, start, poll, committed, stop};
static const jf_class_desc ticks = {
    .struct_size = sizeof(jf_class_desc),
    .kind = JF_KIND_SOURCE,
    .name = SLICE("Ticks"),
    .version = SLICE("1.2.3"),
    .connector = &connector,
    .source = &source,
};
static const jf_class_desc *const classes[] = {&ticks};
static const jf_plugin_desc desc = {
    .magic = JF_MAGIC,
    .abi_major = JF_ABI_MAJOR,
    .abi_minor = MINOR,
    .struct_size = sizeof(jf_plugin_desc),
    .batch_major_min = JF_BATCH_MAJOR,
    .batch_major_max = JF_BATCH_MAJOR,
    .class_count = 1,
    .classes = classes,
};

const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *table) {
    if (host_abi_major != JF_ABI_MAJOR || table->struct_size < sizeof(jf_host_vtable))
        return NULL;
    host = table;
    return &desc;
}
