/*
 * jackfield.examples.HostMetricsSource: numbers of a Linux host, one record each, every `interval.ms`.
 *
 * A reading is a round. Its records share a sequence, which is the source offset: a restart goes on behind it. Records in the
 * middle of a round also say how many were given by then, and a restart reads the rest of the round anew.
 */
#define _POSIX_C_SOURCE 200809L
#define JF_BATCH_IMPLEMENTATION
#include "jackfield_batch.h"

#include "proc.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEFAULT_GROUPS "cpu,memory,load,network,disk"
#define MOST_FILE_BYTES ((size_t)4 << 20)

static const jf_host_vtable *host;

struct task {
    const void *host_task;
    char *topic;
    char *directory;
    int64_t interval_ms;
    /* Which groups are read. */
    bool wanted[GROUPS];
    /* When the next round is due. */
    int64_t due_ms;
    /* Number of the present round, 0 before the first. */
    int64_t sequence;
    /* What the present round found, and how much of it was handed out. */
    struct samples samples;
    size_t given;
    /* How much of the first round was handed out before a restart. */
    int64_t resumed;
    int64_t taken_at_ms;
    /* A JSON text that stays the same. */
    jf_string partition;
    /* Those of one record. */
    jf_string offset;
    jf_string value;
    /* One file. */
    jf_string text;
    jf_builder builder;
};

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ----------------------------------------------------------------------------------------------------------------- config */

#define KEY(name, kind, fallback, required, importance, documentation, validator) \
    "{\"name\":\"" name "\",\"kind\":\"" kind "\",\"default\":" fallback ",\"required\":" required ",\"importance\":\"" importance \
    "\",\"display_name\":\"" name "\",\"documentation\":\"" documentation "\",\"validator\":" validator "}"

static const char CONFIG_DEF[] = "{\"keys\":["
    KEY("topic", "STRING", "null", "true", "HIGH", "The topic to write to", "\"NonEmpty\"") ","
    KEY("metrics", "LIST", "\"" DEFAULT_GROUPS "\"", "false", "MEDIUM",
        "What is read: cpu, memory, load, network, disk", "null") ","
    KEY("interval.ms", "INT", "\"10000\"", "false", "MEDIUM", "Milliseconds between two readings",
        "{\"Range\":{\"min\":10,\"max\":null}}") ","
    KEY("proc.directory", "STRING", "\"/proc\"", "false", "LOW",
        "Where it is read: the proc file system, such as the host's in a container", "\"NonEmpty\"")
    "]}";

static int32_t config_def(const jf_class_desc *class_desc, jf_buf *out, jf_error *error) {
    (void)class_desc, (void)error;
    jf_buf_static(out, CONFIG_DEF);
    return JF_OK;
}

/* The next word of a list with commas; false = there is none. */
static bool next_word(jf_slice *list, jf_slice *word) {
    size_t end = 0;
    while (list->len > 0 && (list->ptr[0] == ' ' || list->ptr[0] == ','))
        *list = jf_slice_of(list->ptr + 1, list->len - 1);
    while (end < list->len && list->ptr[end] != ',')
        end++;
    *word = jf_slice_of(list->ptr, end);
    *list = jf_slice_of(list->ptr + end, list->len - end);
    while (word->len > 0 && word->ptr[word->len - 1] == ' ')
        word->len--;
    return word->len > 0;
}

static const struct group *find_group(jf_slice word) {
    for (size_t index = 0; index < GROUPS; index++) {
        if (jf_slice_is(word, groups[index].name))
            return &groups[index];
    }
    return NULL;
}

static void add_issue(jf_string *issues, const char *key, const char *message, jf_slice about) {
    jf_string text = {0};
    jf_string_add(&text, jf_text(message));
    jf_string_add(&text, about);
    jf_string_format(issues, "%s{\"name\":\"%s\",\"message\":", issues->len == 0 ? "[" : ",", key);
    jf_string_json(issues, jf_string_slice(&text));
    jf_string_add(issues, jf_text("}"));
    issues->failed = issues->failed || text.failed;
    jf_string_free(&text);
}

/* What the definition cannot say: words of the list, and that the directory is there. */
static int32_t validate(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len, jf_buf *out,
                        jf_error *error) {
    jf_slice list = jf_config_text(config, config_len, "metrics", DEFAULT_GROUPS);
    const jf_slice where = jf_config_text(config, config_len, "proc.directory", "/proc");
    char *directory = jf_slice_dup(where);
    jf_string issues = {0};
    struct stat found;
    jf_slice word;
    size_t words = 0;
    (void)class_desc;
    if (directory == NULL)
        return jf_fail_memory(error);
    for (; next_word(&list, &word); words++) {
        if (find_group(word) == NULL)
            add_issue(&issues, "metrics", "cpu, memory, load, network and disk can be read, not ", word);
    }
    if (words == 0)
        add_issue(&issues, "metrics", "nothing is to be read: name one of " DEFAULT_GROUPS, jf_text(""));
    if (stat(directory, &found) != 0 || !S_ISDIR(found.st_mode))
        add_issue(&issues, "proc.directory", "there is no directory ", where);
    free(directory);
    if (issues.len > 0)
        jf_string_add(&issues, jf_text("]"));
    return jf_string_into_buf(&issues, out, error);
}

/* ---------------------------------------------------------------------------------------------------------------- reading */

/* Reads a file below the directory into `task->text`, with a zero at its end. */
static int32_t read_file(struct task *task, const char *name, jf_error *error) {
    jf_string path = {0};
    char part[4096];
    size_t count;
    FILE *file;
    int32_t done = JF_OK;
    jf_string_format(&path, "%s/%s", task->directory, name);
    if (path.failed)
        return jf_fail_memory(error);
    jf_string_clear(&task->text);
    file = fopen(path.data, "re");
    if (file == NULL) {
        done = jf_fail(error, JF_ERROR_RETRIABLE, "%s cannot be read: %s", path.data, strerror(errno));
    } else {
        while (task->text.len < MOST_FILE_BYTES && (count = fread(part, 1, sizeof(part), file)) > 0)
            jf_string_add(&task->text, jf_slice_of(part, count));
        if (ferror(file))
            done = jf_fail(error, JF_ERROR_RETRIABLE, "%s cannot be read: %s", path.data, strerror(errno));
        fclose(file);
    }
    jf_string_free(&path);
    jf_string_add(&task->text, jf_slice_of("", 1));
    return done == JF_OK && task->text.failed ? jf_fail_memory(error) : done;
}

/* Reads all groups. After an error nothing was found, and the round is not over. */
static int32_t take_round(struct task *task, jf_error *error) {
    const int64_t started = clock_ms(CLOCK_MONOTONIC);
    task->samples.count = 0;
    task->given = 0;
    for (size_t index = 0; index < GROUPS; index++) {
        if (!task->wanted[index])
            continue;
        if (read_file(task, groups[index].file, error) != JF_OK ||
            (!groups[index].read(task->text.data, &task->samples) && jf_fail_memory(error) != JF_OK)) {
            task->samples.count = 0;
            return JF_FAILED;
        }
    }
    task->sequence++;
    task->given = (uint64_t)task->resumed < task->samples.count ? (size_t)task->resumed : task->samples.count;
    task->resumed = 0;
    task->taken_at_ms = clock_ms(CLOCK_REALTIME);
    jf_metric(host, task->host_task, JF_METRIC_COUNTER, "rounds", 1);
    jf_metric(host, task->host_task, JF_METRIC_GAUGE, "metrics_per_round", (double)task->samples.count);
    jf_metric(host, task->host_task, JF_METRIC_HISTOGRAM, "read_seconds",
              (double)(clock_ms(CLOCK_MONOTONIC) - started) / 1000);
    return JF_OK;
}

/* The time of the next round; those that were missed are passed over. */
static void next_due(struct task *task, int64_t now) {
    const int64_t missed = (now - task->due_ms) / task->interval_ms;
    if (missed > 0)
        jf_metric(host, task->host_task, JF_METRIC_COUNTER, "rounds_skipped", (double)missed);
    task->due_ms += (missed + 1) * task->interval_ms;
}

static int32_t push_sample(struct task *task, size_t number, jf_error *error) {
    const struct sample *sample = &task->samples.items[number];
    const bool is_last = number + 1 == task->samples.count;
    const bool is_whole = fabs(sample->value) < 1e15 && sample->value == floor(sample->value);
    jf_string *value = &task->value;
    jf_record record = jf_record_of(task->topic);
    jf_string_clear(value);
    jf_string_format(value, is_whole ? "{\"value\":%.0f" : "{\"value\":%.10g", sample->value);
    jf_string_format(value, ",\"unit\":\"%s\",\"labels\":{", sample->unit);
    for (size_t index = 0; index < LABELS && sample->label_names[index] != NULL; index++) {
        jf_string_format(value, "%s\"%s\":", index == 0 ? "" : ",", sample->label_names[index]);
        jf_string_json(value, jf_text(sample->labels[index]));
    }
    jf_string_format(value, "},\"sequence\":%" PRId64 "}", task->sequence);
    jf_string_clear(&task->offset);
    jf_string_format(&task->offset, "{\"sequence\":%" PRId64, task->sequence);
    if (!is_last)
        jf_string_format(&task->offset, ",\"given\":%zu", number + 1);
    jf_string_add(&task->offset, jf_text("}"));
    if (value->failed || task->offset.failed)
        return jf_fail_memory(error);
    record.key = jf_value_string(sample->name);
    record.value = jf_value_json(jf_string_slice(value));
    record.timestamp = task->taken_at_ms;
    record.source_partition = jf_string_slice(&task->partition);
    record.source_offset = jf_string_slice(&task->offset);
    return jf_builder_push(&task->builder, &record, error);
}

/* Never waits: what is left of the round, as much as is wanted, else a new round, when it is time. */
static int32_t poll(void *handle, const jf_poll_limits *limits, jf_poll_result *out, jf_error *error) {
    struct task *task = handle;
    const int64_t now = clock_ms(CLOCK_MONOTONIC);
    size_t next;
    if (task->given == task->samples.count) {
        if (now < task->due_ms)
            return jf_poll_idle(out, task->due_ms - now);
        if (take_round(task, error) != JF_OK)
            return JF_FAILED;
        next_due(task, now);
        if (task->given == task->samples.count)
            return jf_poll_idle(out, task->due_ms - now);
    }
    next = task->given;
    /* The record that passes the limit is still delivered. */
    while (next < task->samples.count &&
           (next == task->given || (jf_builder_count(&task->builder) < limits->max_records &&
                                    jf_builder_size(&task->builder) < limits->max_bytes))) {
        if (push_sample(task, next++, error) != JF_OK) {
            jf_builder_clear(&task->builder);
            return JF_FAILED;
        }
    }
    if (jf_poll_records(&task->builder, out, error) != JF_OK) {
        jf_builder_clear(&task->builder);
        return JF_FAILED;
    }
    task->given = next;
    return JF_OK;
}

/* -------------------------------------------------------------------------------------------------------- start and stop */

static void stop(void *handle) {
    struct task *task = handle;
    jf_builder_free(&task->builder);
    jf_string_free(&task->partition);
    jf_string_free(&task->offset);
    jf_string_free(&task->value);
    jf_string_free(&task->text);
    free(task->samples.items);
    free(task->directory);
    free(task->topic);
    free(task);
}

/* Goes on behind the last record that was stored. Offsets may be changed by operators, so they are read like any input. */
static int32_t resume(struct task *task, jf_error *error) {
    jf_buf offset = {0};
    jf_slice text;
    int32_t result = JF_OK;
    if (!host->stored_offset(task->host_task, jf_string_slice(&task->partition), &offset))
        return JF_OK;
    text = jf_slice_of(offset.ptr, offset.len);
    if (!jf_json_integer(text, "sequence", &task->sequence) || task->sequence < 1 || task->sequence == INT64_MAX)
        result = jf_fail(error, JF_ERROR_CONFIG, "the stored offset %.*s is not {\"sequence\":N}: reset the connector's offsets",
                         (int)text.len, (const char *)text.ptr);
    else if (jf_json_integer(text, "given", &task->resumed) && task->resumed > 0)
        task->sequence--;
    else
        task->resumed = 0;
    jf_buf_free(&offset);
    return result;
}

/* Chooses the groups that are asked for and there; the task's state tells of the others. */
static int32_t choose_groups(struct task *task, jf_slice list, jf_error *error) {
    jf_string missing = {0};
    size_t found = 0;
    jf_slice word;
    while (next_word(&list, &word)) {
        const struct group *group = find_group(word);
        jf_error cause = {0};
        if (group == NULL) {
            jf_string_free(&missing);
            return jf_fail(error, JF_ERROR_CONFIG, "metrics %.*s: " DEFAULT_GROUPS " can be read", (int)word.len,
                           (const char *)word.ptr);
        }
        if (read_file(task, group->file, &cause) == JF_OK) {
            task->wanted[group - groups] = true;
            found++;
        } else {
            jf_string_format(&missing, "%s%s", missing.len == 0 ? "left out: " : "; ", group->name);
            jf_string_add(&missing, jf_text(", "));
            jf_string_add(&missing, jf_slice_of(cause.message.ptr, cause.message.len));
        }
        jf_buf_free(&cause.message);
    }
    if (found == 0) {
        jf_fail(error, JF_ERROR_CONFIG, "nothing can be read in %s: %.*s", task->directory, (int)missing.len,
                missing.data == NULL ? "" : missing.data);
    } else if (missing.len > 0) {
        jf_log(host, task->host_task, JF_LOG_WARN, "%.*s", (int)missing.len, missing.data);
        host->report_state(task->host_task, jf_string_slice(&missing));
    }
    jf_string_free(&missing);
    return found == 0 ? JF_FAILED : JF_OK;
}

static int32_t read_config(struct task *task, const jf_key_value *config, size_t config_len, jf_error *error) {
    task->topic = jf_slice_dup(jf_config_text(config, config_len, "topic", ""));
    task->directory = jf_slice_dup(jf_config_text(config, config_len, "proc.directory", "/proc"));
    if (task->topic == NULL || task->directory == NULL)
        return jf_fail_memory(error);
    jf_string_add(&task->partition, jf_text("{\"proc\":"));
    jf_string_json(&task->partition, jf_text(task->directory));
    jf_string_add(&task->partition, jf_text("}"));
    if (task->partition.failed)
        return jf_fail_memory(error);
    if (jf_config_integer(config, config_len, "interval.ms", 10000, 10, INT32_MAX, &task->interval_ms, error) != JF_OK)
        return JF_FAILED;
    return choose_groups(task, jf_config_text(config, config_len, "metrics", DEFAULT_GROUPS), error);
}

static int32_t start(const jf_class_desc *class_desc, const jf_key_value *config, size_t config_len,
                     const jf_task_context *context, void **handle, jf_error *error) {
    struct task *task = calloc(1, sizeof(*task));
    (void)class_desc;
    if (task == NULL)
        return jf_fail_memory(error);
    task->host_task = context->host;
    if (read_config(task, config, config_len, error) != JF_OK || resume(task, error) != JF_OK) {
        stop(task);
        return JF_FAILED;
    }
    task->due_ms = clock_ms(CLOCK_MONOTONIC);
    jf_log(host, task->host_task, JF_LOG_INFO, "reading %s every %" PRId64 " ms behind sequence %" PRId64, task->directory,
           task->interval_ms, task->sequence);
    *handle = task;
    return JF_OK;
}

/* ----------------------------------------------------------------------------------------------------------------- tables */

static const jf_connector_vtable connector = {
    .struct_size = sizeof(jf_connector_vtable),
    .config_def = config_def,
    .validate = validate,
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

static const jf_slice aliases[] = {JF_TEXT("HostMetrics")};

static const jf_class_desc class_desc = {
    .struct_size = sizeof(jf_class_desc),
    .kind = JF_KIND_SOURCE,
    .name = JF_TEXT("jackfield.examples.HostMetricsSource"),
    .version = JF_TEXT(PLUGIN_VERSION),
    .aliases = aliases,
    .alias_count = 1,
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
