/* @class@, a sink: appends the value of every record as a line to a file. */
#define _POSIX_C_SOURCE 200809L
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const jf_host_vtable *host;

struct task {
    const void *host_task;
    char *path;
    int file;
    /* Length of the file: what is behind it was not taken. */
    off_t len;
    /* Lines of one batch. */
    jf_string lines;
};

static const char CONFIG_DEF[] =
    "{\"keys\":["
    "{\"name\":\"file\",\"kind\":\"STRING\",\"required\":true,\"importance\":\"HIGH\",\"display_name\":\"file\","
    "\"documentation\":\"The file to append to\",\"validator\":\"NonEmpty\"}"
    "]}";

static int32_t config_def(const jf_class_desc *class_desc, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)error;
    jf_buf_static(out, CONFIG_DEF);
    return JF_OK;
}

static void stop(void *handle) {
    struct task *task = handle;
    if (task->file >= 0)
        close(task->file);
    jf_string_free(&task->lines);
    free(task->path);
    free(task);
}

static int32_t start(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                     const jf_task_context *context, void **handle, jf_error *error) {
    struct task *task = calloc(1, sizeof(*task));
    (void)class_desc;
    if (task == NULL)
        return jf_fail_memory(error);
    task->file = -1;
    task->host_task = context->host;
    task->path = jf_slice_dup(jf_config_text(config, config_len, "file", ""));
    if (task->path == NULL) {
        stop(task);
        return jf_fail_memory(error);
    }
    task->file = open(task->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (task->file >= 0)
        task->len = lseek(task->file, 0, SEEK_END);
    if (task->file < 0 || task->len < 0) {
        jf_fail(error, JF_ERROR_CONFIG, "file %s cannot be written: %s", task->path, strerror(errno));
        stop(task);
        return JF_FAILED;
    }
    jf_log(host, task->host_task, JF_LOG_INFO, "appending to %s behind byte %" PRId64, task->path, (int64_t)task->len);
    *handle = task;
    return JF_OK;
}

/* Writes the lines, all of them or none. */
static int32_t write_lines(struct task *task, jf_error *error) {
    size_t written = 0;
    while (written < task->lines.len) {
        const ssize_t count = write(task->file, task->lines.data + written, task->lines.len - written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            jf_fail(error, JF_ERROR_RETRIABLE, "file %s cannot be written: %s", task->path, strerror(errno));
            /* The same batch comes again. */
            if (ftruncate(task->file, task->len) != 0)
                jf_log(host, task->host_task, JF_LOG_WARN, "file %s has lines that come again", task->path);
            return JF_FAILED;
        }
        written += (size_t)count;
    }
    task->len += (off_t)written;
    return JF_OK;
}

static int32_t put(void *handle, jf_slice batch, jf_buf *rejected, jf_error *error) {
    struct task *task = handle;
    jf_string bad = {0};
    jf_batch records;
    jf_record record;
    if (jf_batch_open(&records, batch, error) != JF_OK)
        return JF_FAILED;
    jf_string_clear(&task->lines);
    while (jf_batch_next(&records, &record)) {
        if (record.value.kind == JF_VALUE_TYPED) {
            jf_reject(&bad, record.sequence, "value under a schema: a converter such as StringConverter is wanted");
            continue;
        }
        /* A null value is an empty line. */
        jf_string_add(&task->lines, record.value.data);
        jf_string_add(&task->lines, jf_text("\n"));
    }
    jf_batch_close(&records);
    if (task->lines.failed || bad.failed) {
        jf_string_free(&bad);
        return jf_fail_memory(error);
    }
    if (write_lines(task, error) != JF_OK) {
        jf_string_free(&bad);
        return JF_FAILED;
    }
    return jf_rejected_into_buf(&bad, rejected, error);
}

/* What was put is safe once the file is synced. */
static int32_t pre_commit(void *handle, const jf_position *current, size_t current_len, jf_buf *out, jf_error *error) {
    struct task *task = handle;
    if (fsync(task->file) != 0)
        return jf_fail(error, JF_ERROR_FATAL, "file %s cannot be synced: %s", task->path, strerror(errno));
    return jf_commit_all(current, current_len, out, error);
}

static const jf_connector_vtable connector = {
    .struct_size = sizeof(jf_connector_vtable),
    .config_def = config_def,
    .validate = jf_no_validation,
    .task_configs = jf_one_task,
    .alter_offsets = jf_any_offsets,
};

static const jf_sink_vtable sink = {
    .struct_size = sizeof(jf_sink_vtable),
    .start = start,
    .open = jf_ignore_open,
    .put = put,
    .pre_commit = pre_commit,
    .close = jf_ignore_close,
    .stop = stop,
};

static const jf_class_desc class_desc = {
    .struct_size = sizeof(jf_class_desc),
    .kind = JF_KIND_SINK,
    .name = JF_TEXT("@class@"),
    .version = JF_TEXT(PLUGIN_VERSION),
    .connector = &connector,
    .sink = &sink,
};

static const jf_class_desc *const classes[] = {&class_desc};
static const jf_plugin_desc plugin = JF_PLUGIN(classes);

const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *table) {
    if (!jf_host_fits(host_abi_major, table))
        return NULL;
    host = table;
    return &plugin;
}
