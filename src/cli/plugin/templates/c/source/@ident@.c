/* @class@, a source: counts, one record per interval. */
#define _POSIX_C_SOURCE 200809L
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

/* Where this source reads: it has one place only. */
#define SOURCE_PARTITION "{\"counter\":\"@name@\"}"

static const jf_host_vtable *host;

struct task {
    const void *host_task;
    char *topic;
    int64_t interval_ms;
    /* When the next record is due. */
    int64_t due_ms;
    /* The number of the next record. */
    int64_t next;
    jf_builder builder;
};

static const char CONFIG_DEF[] =
    "{\"keys\":["
    "{\"name\":\"topic\",\"kind\":\"STRING\",\"required\":true,\"importance\":\"HIGH\",\"display_name\":\"topic\","
    "\"documentation\":\"The topic to write to\",\"validator\":\"NonEmpty\"},"
    "{\"name\":\"interval.ms\",\"kind\":\"INT\",\"default\":\"1000\",\"required\":false,\"importance\":\"MEDIUM\","
    "\"display_name\":\"interval.ms\",\"documentation\":\"Milliseconds between two records\","
    "\"validator\":{\"Range\":{\"min\":1,\"max\":null}}}"
    "]}";

static int32_t config_def(const jf_class_desc *class_desc, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)error;
    jf_buf_static(out, CONFIG_DEF);
    return JF_OK;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop(void *handle) {
    struct task *task = handle;
    jf_builder_free(&task->builder);
    free(task->topic);
    free(task);
}

/* Goes on behind the last record that was stored. */
static void resume(struct task *task) {
    jf_buf offset = {0};
    int64_t last;
    if (!host->stored_offset(task->host_task, jf_text(SOURCE_PARTITION), &offset))
        return;
    if (jf_json_integer(jf_slice_of(offset.ptr, offset.len), "n", &last))
        task->next = last + 1;
    jf_buf_free(&offset);
}

static int32_t start(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                     const jf_task_context *context, void **handle, jf_error *error) {
    struct task *task = calloc(1, sizeof(*task));
    (void)class_desc;
    if (task == NULL)
        return jf_fail_memory(error);
    task->host_task = context->host;
    task->topic = jf_slice_dup(jf_config_text(config, config_len, "topic", ""));
    if (task->topic == NULL) {
        stop(task);
        return jf_fail_memory(error);
    }
    if (jf_config_integer(config, config_len, "interval.ms", 1000, 1, INT32_MAX, &task->interval_ms, error) != JF_OK) {
        stop(task);
        return JF_FAILED;
    }
    task->due_ms = now_ms();
    resume(task);
    jf_log(host, task->host_task, JF_LOG_INFO, "counting from %" PRId64, task->next);
    *handle = task;
    return JF_OK;
}

/* Never waits: says when it wants to be asked again. */
static int32_t poll(void *handle, const jf_poll_limits *limits, jf_poll_result *out, jf_error *error) {
    struct task *task = handle;
    const int64_t now = now_ms();
    char number[32];
    jf_record record;
    (void)limits;
    if (now < task->due_ms)
        return jf_poll_idle(out, task->due_ms - now);
    snprintf(number, sizeof(number), "{\"n\":%" PRId64 "}", task->next);
    record = jf_record_of(task->topic);
    record.value = jf_value_string(number);
    record.source_partition = jf_text(SOURCE_PARTITION);
    record.source_offset = jf_text(number);
    if (jf_builder_push(&task->builder, &record, error) != JF_OK ||
        jf_poll_records(&task->builder, out, error) != JF_OK) {
        /* The same record is offered again. */
        jf_builder_clear(&task->builder);
        return JF_FAILED;
    }
    task->next++;
    task->due_ms = now + task->interval_ms;
    return JF_OK;
}

static const jf_connector_vtable connector = {
    .struct_size = sizeof(jf_connector_vtable),
    .config_def = config_def,
    .validate = jf_no_validation,
    .task_configs = jf_one_task,
    .alter_offsets = jf_any_offsets,
};

static const jf_source_vtable source = {
    .struct_size = sizeof(jf_source_vtable),
    .start = start,
    .poll = poll,
    .committed = jf_ignore_committed,
    .stop = stop,
};

static const jf_class_desc class_desc = {
    .struct_size = sizeof(jf_class_desc),
    .kind = JF_KIND_SOURCE,
    .name = JF_TEXT("@class@"),
    .version = JF_TEXT(PLUGIN_VERSION),
    .connector = &connector,
    .source = &source,
};

static const jf_class_desc *const classes[] = {&class_desc};
static const jf_plugin_desc plugin = JF_PLUGIN(classes);

const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *table) {
    if (!jf_host_fits(host_abi_major, table))
        return NULL;
    host = table;
    return &plugin;
}
