/*
 * Jackfield plugin ABI 0.4, of Jackfield 0.1.0.
 *
 * Written from the Rust sources of the ABI; not to be edited. `jackfield_batch.h` beside it builds and reads record
 * batches.
 *
 * A plugin library exports one symbol, `jf_plugin_entry`, of type `jf_entry_fn`. The host calls it once after loading and
 * reads everything else through the returned `jf_plugin_desc`: the classes, and for each the functions that the host calls.
 * What a plugin may ask of the host is in `jf_host_vtable`. In the C header every type carries the prefix `jf_`.
 *
 * Rules, for both sides:
 * - Versions: a different `abi_major` is refused (the entry returns null, or the host refuses the descriptor). While
 *   the major is 0, a different `abi_minor` is refused too. Every table starts with its `struct_size`; members are only
 *   ever added at the end and are not read beyond the size given. No function of a table may be null.
 * - Memory: inputs (`jf_slice`, arrays, `jf_task_context`) are valid during the call only. A `jf_buf` handed out is owned by
 *   the receiver until it calls `free`, on any thread: what the plugin writes the host frees, also after an error; what the
 *   host writes the plugin frees. Descriptors and tables live as long as the process; libraries are never unloaded.
 * - Output parameters are never null, point to zeroed structs and are written only where the return code says so.
 * - Return codes: `JF_OK`, or `JF_FAILED` with the `jf_error` filled in.
 * - Errors: `JF_ERROR_RETRIABLE` = the same call may be repeated after a back-off (a `start`, or a transform's `apply`, that
 *   fails with it is tried again by starting the task anew, after 1 s to 60 s). `JF_ERROR_DATA` = a record is bad.
 *   `JF_ERROR_CONFIG` = the configuration is wrong: the task fails until it changes. `JF_ERROR_FATAL` = the task fails until
 *   somebody restarts it. `JF_ERROR_PANIC` = the plugin is broken: the task is started anew after a back-off, a few times.
 *   After a fatal error or a panic the host calls nothing but `stop`.
 * - Threads: calls for one task come one at a time, each after the one before has returned, not always on the same thread.
 *   Calls for different tasks, and questions about classes, come at the same time. Host functions may be called from any
 *   thread. A plugin may have threads of its own.
 * - Deadlines: every call has a time, told with it. When a call takes longer the task fails and nothing more is called but
 *   `stop`, when the call ever returns.
 * - No unwinding, no C++ exception and no `longjmp` crosses the boundary: each side catches its own.
 * - Lists that are rare and small cross as JSON in a `jf_buf`; text is UTF-8 without a terminating zero.
 *
 * Life of a source task: `start`, then `poll` again and again with `committed` in between, `stop`. Life of a sink task:
 * `start`, `open`, then `put` with `pre_commit` in between, `close`, `stop`. Life of a transform, one in each task of a
 * connector that names it: `start`, `apply`, `stop`.
 */

#ifndef JACKFIELD_PLUGIN_H
#define JACKFIELD_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jf_buf jf_buf;
typedef struct jf_class_desc jf_class_desc;
typedef struct jf_connector_vtable jf_connector_vtable;
typedef struct jf_error jf_error;
typedef struct jf_host_vtable jf_host_vtable;
typedef struct jf_http_request jf_http_request;
typedef struct jf_http_response jf_http_response;
typedef struct jf_key_value jf_key_value;
typedef struct jf_plugin_desc jf_plugin_desc;
typedef struct jf_poll_limits jf_poll_limits;
typedef struct jf_poll_result jf_poll_result;
typedef struct jf_position jf_position;
typedef struct jf_sink_vtable jf_sink_vtable;
typedef struct jf_slice jf_slice;
typedef struct jf_source_vtable jf_source_vtable;
typedef struct jf_task_context jf_task_context;
typedef struct jf_topic_partition jf_topic_partition;
typedef struct jf_transform_vtable jf_transform_vtable;

/**
 * First field of `jf_plugin_desc`: `"JFPLUGIN"` read as a little endian number.
 */
#define JF_MAGIC 5641118439936378442

/**
 * Breaking changes.
 */
#define JF_ABI_MAJOR 0

/**
 * Additions (while the major is 0: any change).
 */
#define JF_ABI_MINOR 4

/**
 * The batch format that `jf_plugin_desc.batch_major_min` and `jf_plugin_desc.batch_major_max` speak of.
 */
#define JF_BATCH_MAJOR 1

/**
 * Return code: done, outputs are written.
 */
#define JF_OK 0

/**
 * Return code: not done, `jf_error` says why.
 */
#define JF_FAILED 1

/**
 * Return code of `jf_host_vtable.http_take`: the request is under way.
 */
#define JF_NOT_YET 2

/**
 * `jf_error.kind`: the same call may be repeated after a back-off.
 */
#define JF_ERROR_RETRIABLE 1

/**
 * `jf_error.kind`: a record is bad; `errors.tolerance` decides.
 */
#define JF_ERROR_DATA 2

/**
 * `jf_error.kind`: the configuration is wrong: no restart until it changes.
 */
#define JF_ERROR_CONFIG 3

/**
 * `jf_error.kind`: the task fails.
 */
#define JF_ERROR_FATAL 4

/**
 * `jf_error.kind`: the plugin panicked; fatal, and the task is started anew a few times.
 */
#define JF_ERROR_PANIC 5

/**
 * `jf_class_desc.kind`: source.
 */
#define JF_KIND_SOURCE 1

/**
 * `jf_class_desc.kind`: sink.
 */
#define JF_KIND_SINK 2

/**
 * `jf_class_desc.kind`: transform.
 */
#define JF_KIND_TRANSFORM 3

/**
 * `jf_host_vtable.transaction_boundary`: the batch that this poll returns ends a transaction.
 */
#define JF_BOUNDARY_COMMIT 1

/**
 * `jf_host_vtable.transaction_boundary`: what was returned since the last boundary, this batch included, is taken back.
 */
#define JF_BOUNDARY_ABORT 2

/**
 * `jf_host_vtable.metric`: the counter grows by the value.
 */
#define JF_METRIC_COUNTER 1

/**
 * `jf_host_vtable.metric`: the gauge has the value from now on.
 */
#define JF_METRIC_GAUGE 2

/**
 * `jf_host_vtable.metric`: the value is counted in the histogram, durations in seconds.
 */
#define JF_METRIC_HISTOGRAM 3

/**
 * `jf_poll_result.state`: `batch` holds at least one record.
 */
#define JF_POLL_BATCH 1

/**
 * `jf_poll_result.state`: nothing now, see `idle_ms`.
 */
#define JF_POLL_IDLE 2

/**
 * Borrowed bytes or UTF-8 text, valid during the call. `ptr` may be null when `len` is 0.
 */
typedef struct jf_slice {
    /**
     * First byte.
     */
    const uint8_t *ptr;
    /**
     * Number of bytes.
     */
    size_t len;
} jf_slice;

/**
 * One entry of a config, one label of a metric, one header of a request.
 */
typedef struct jf_key_value {
    /**
     * Key.
     */
    jf_slice key;
    /**
     * Value.
     */
    jf_slice value;
} jf_key_value;

/**
 * Owned bytes that crossed the boundary; freed through its own function by whoever received it.
 */
typedef struct jf_buf {
    /**
     * First byte; null = no bytes.
     */
    uint8_t *ptr;
    /**
     * Number of bytes.
     */
    size_t len;
    /**
     * Allocated bytes.
     */
    size_t cap;
    /**
     * Frees `(ptr, len, cap)`, once, on any thread; null = nothing to free.
     */
    void (*free)(uint8_t*, size_t, size_t);
} jf_buf;

/**
 * Why a call failed. Whoever was called fills it in, whoever called frees the message.
 */
typedef struct jf_error {
    /**
     * `JF_ERROR_RETRIABLE`, `JF_ERROR_DATA`, `JF_ERROR_CONFIG`, `JF_ERROR_FATAL` or `JF_ERROR_PANIC`.
     */
    uint8_t kind;
    /**
     * Zero.
     */
    uint8_t reserved[7];
    /**
     * UTF-8 message: lower case, names the thing and the value, causes joined with ": ".
     */
    jf_buf message;
} jf_error;

/**
 * Limits of one poll.
 */
typedef struct jf_poll_limits {
    /**
     * At most this many records.
     */
    uint32_t max_records;
    /**
     * Bytes of the batch. Soft: the record that passes it is still delivered.
     */
    uint32_t max_bytes;
} jf_poll_limits;

/**
 * Outcome of a poll.
 */
typedef struct jf_poll_result {
    /**
     * `JF_POLL_BATCH` or `JF_POLL_IDLE`.
     */
    uint8_t state;
    /**
     * Zero.
     */
    uint8_t reserved[7];
    /**
     * When idle: poll again after this many ms; -1 = only when woken.
     */
    int64_t idle_ms;
    /**
     * When a batch: the encoded batch (magic `JFB`).
     */
    jf_buf batch;
} jf_poll_result;

/**
 * A position of a sink task in a topic partition.
 */
typedef struct jf_position {
    /**
     * Topic.
     */
    jf_slice topic;
    /**
     * Next offset to be delivered; -1 = none committed yet.
     */
    int64_t offset;
    /**
     * Metadata kept with the commit.
     */
    jf_slice metadata;
    /**
     * Partition.
     */
    int32_t partition;
    /**
     * Zero.
     */
    uint32_t reserved;
} jf_position;

/**
 * A topic partition.
 */
typedef struct jf_topic_partition {
    /**
     * Topic.
     */
    jf_slice topic;
    /**
     * Partition.
     */
    int32_t partition;
    /**
     * Zero.
     */
    uint32_t reserved;
} jf_topic_partition;

/**
 * An HTTP request to be made by the host.
 */
typedef struct jf_http_request {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * How long it may take in ms; 0 = the host's own limit.
     */
    uint32_t timeout_ms;
    /**
     * Method, such as `GET`.
     */
    jf_slice method;
    /**
     * URL with `http` or `https`.
     */
    jf_slice url;
    /**
     * Headers, names and values.
     */
    const jf_key_value *headers;
    /**
     * Number of `headers`.
     */
    size_t header_count;
    /**
     * Body; may be empty.
     */
    jf_slice body;
} jf_http_request;

/**
 * The answer to an `jf_http_request`.
 */
typedef struct jf_http_response {
    /**
     * Status code.
     */
    uint16_t status;
    /**
     * Zero.
     */
    uint8_t reserved[6];
    /**
     * JSON array of `[name, value]`, names in lower case.
     */
    jf_buf headers;
    /**
     * Body.
     */
    jf_buf body;
} jf_http_response;

/**
 * What a task is told about itself when it starts.
 */
typedef struct jf_task_context {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Number of the task.
     */
    uint32_t task_id;
    /**
     * Name of the connector.
     */
    jf_slice connector;
    /**
     * Handle for the functions of `jf_host_vtable`; valid until `stop` returns, longer while it is retained.
     */
    const void *host;
} jf_task_context;

/**
 * Questions about a class. They touch no task and are asked at any time after the library was loaded, from any thread,
 * several at once, also beside running tasks. Each has 30 s. An error of `validate`, `task_configs` and `alter_offsets` is
 * the answer to whoever asked; it changes nothing.
 *
 * A config is what the user wrote, with references to config providers resolved, `name`, `connector.class` and the
 * worker's own keys among it; of a transform only its own options, without `transforms.<alias>.`. Keys are unique. Defaults
 * of the definition are not filled in: who reads a config applies them.
 */
typedef struct jf_connector_vtable {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The options, asked once when the class is loaded: `{"keys":[…]}`, in display order, each key an object with `name`,
     * `kind` (`BOOLEAN`, `STRING`, `INT`, `SHORT`, `LONG`, `DOUBLE`, `LIST`, `CLASS` or `PASSWORD`), `default` (text; left
     * out or null = none), `required` (true = must be given when there is no default), `importance` (`HIGH`, `MEDIUM`,
     * `LOW`), `documentation`, `display_name`, and perhaps `group` and `validator`: `"NonEmpty"`, `{"OneOf":["a","b"]}`
     * or `{"Range":{"min":1,"max":9}}`. The host checks configs against it, shows it and documents the class with it.
     */
    int32_t (*config_def)(const jf_class_desc *class_desc, jf_buf *out, jf_error *error);
    /**
     * Checks what one option's definition cannot say: options that depend on each other, systems that must be reached.
     * Asked when a user validates, creates or changes a config, once the definition allows it. `out`: a JSON array of
     * `{"name":…,"message":…}`, one per problem; no bytes = all is well.
     */
    int32_t (*validate)(const jf_class_desc *class_desc,
                        const jf_key_value *config,
                        size_t config_len,
                        jf_buf *out,
                        jf_error *error);
    /**
     * One config per task, at most `max_tasks`: a JSON array of objects with string values. Asked before tasks are started,
     * and again after `jf_host_vtable.request_task_reconfiguration`. Each task's `start` gets one of them. Not asked of
     * transforms.
     */
    int32_t (*task_configs)(const jf_class_desc *class_desc,
                            const jf_key_value *config,
                            size_t config_len,
                            uint32_t max_tasks,
                            jf_buf *out,
                            jf_error *error);
    /**
     * Offsets are about to be changed by an operator while the connector is stopped. `offsets` is a JSON array of
     * `{"partition":…,"offset":…}`, both JSON texts, the offset null when it is taken out; of a sink
     * `{"kafka_topic":…,"kafka_partition":…}` and `{"kafka_offset":…}`. `JF_FAILED` keeps them as they are. Writes `true`
     * when they are all there is to change, `false` when the connector may keep others elsewhere. Not asked of transforms.
     */
    int32_t (*alter_offsets)(const jf_class_desc *class_desc,
                             const jf_key_value *config,
                             size_t config_len,
                             const jf_slice *offsets,
                             jf_buf *out,
                             jf_error *error);
} jf_connector_vtable;

/**
 * A source task; `task` is what `start` stored.
 *
 * Order: `start`, then `poll` again and again with `committed` in between, `stop`. One call at a time, each after the one
 * before has returned, not always on the same thread. Tasks run beside each other.
 */
typedef struct jf_source_vtable {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Starts a task; it continues behind the offsets that `jf_host_vtable.stored_offset` knows. At `JF_OK` its handle, not
     * null, is in `task`, and `stop` will be called for it once. At `JF_FAILED` nothing is left and nothing more is called.
     * `config` and `context` are valid during the call, `context->host` until `stop` has returned. It has 30 s.
     */
    int32_t (*start)(const jf_class_desc *class_desc,
                     const jf_key_value *config,
                     size_t config_len,
                     const jf_task_context *context,
                     void **task,
                     jf_error *error);
    /**
     * The records that are there now. It never waits: without records the task says when it wants to be asked again, and is
     * asked earlier when it is woken (`jf_host_vtable.wake`, `jf_host_vtable.watch_path`, a request that is done), perhaps
     * for nothing. After a batch it is asked again at once. It is not asked while the connector is paused, nor while too
     * much of what it gave is not durable yet. It has 30 s.
     *
     * At `JF_OK` `out` is filled: `JF_POLL_BATCH` with an encoded batch of at least one and at most `max_records` records,
     * numbered from 0 in their `sequence`, which counts as delivered, or `JF_POLL_IDLE`. Offsets of a batch are stored
     * together with its records, never before them, also of records that are filtered out or skipped.
     *
     * At `JF_FAILED` nothing was delivered. `JF_ERROR_RETRIABLE`: it is asked again after a back-off of 100 ms to 60 s and
     * offers the same records. `JF_ERROR_DATA` is about one record, which it consumes: the records before it were offered
     * first, the next poll goes on behind it. Nothing is committed for it; the offset of a record behind it covers it. So
     * it is skipped for good when `errors.tolerance` allows it, and met again after a restart when it does not.
     * `JF_ERROR_CONFIG` and `JF_ERROR_FATAL`: the task fails.
     */
    int32_t (*poll)(void *task, const jf_poll_limits *limits, jf_poll_result *out, jf_error *error);
    /**
     * The first `batches` batches that `poll` returned (counted from 1 since `start`) are durable and their offsets are
     * stored. Numbers only grow; not every number is told, and the last ones perhaps never. A task that must give something
     * back to its system, such as an acknowledgement, does so here. It has 30 s. An error is written to the log, a fatal one
     * fails the task.
     */
    int32_t (*committed)(void *task, uint64_t batches, jf_error *error);
    /**
     * Ends and frees the task: its threads too, unless they retain the host's handle. The last call, made once after every
     * `start` that worked, also after errors. It has 5 s.
     */
    void (*stop)(void *task);
} jf_source_vtable;

/**
 * A sink task; `task` is what `start` stored.
 *
 * Order: `start`; for each assignment `open`, then `put` with `pre_commit` in between, `close`; `stop`. One call at a time,
 * each after the one before has returned, not always on the same thread. Tasks run beside each other. What was delivered
 * and not committed comes again after a restart, perhaps in another task.
 */
typedef struct jf_sink_vtable {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Starts a task, which has no partitions yet. At `JF_OK` its handle, not null, is in `task`, and `stop` will be called
     * for it once. At `JF_FAILED` nothing is left and nothing more is called. `config` and `context` are valid during the
     * call, `context->host` until `stop` has returned. It has 30 s.
     */
    int32_t (*start)(const jf_class_desc *class_desc,
                     const jf_key_value *config,
                     size_t config_len,
                     const jf_task_context *context,
                     void **task,
                     jf_error *error);
    /**
     * Partitions were assigned, at these committed positions: all that the task has from now on; what it had before was
     * closed. `pre_commit` follows at once. It has 60 s. An error fails the task.
     */
    int32_t (*open)(void *task, const jf_position *partitions, size_t partitions_len, jf_error *error);
    /**
     * Delivers a batch of records of open partitions, those of one partition in the order of their offsets. It may be
     * empty. It may wait for the sink's system, and has 60 s.
     *
     * At `JF_OK` the sink has taken the batch, not yet made it durable, but for the records in `rejected`: a JSON array of
     * `{"sequence":…,"message":…}`, no bytes = none. `errors.tolerance` decides whether those are passed over or fail the
     * task. At `JF_FAILED` with `JF_ERROR_RETRIABLE` the same batch comes again after a back-off of 100 ms to 60 s, unless
     * partitions are reassigned meanwhile or the task is to stop; so what was taken of it must not be taken twice, or may
     * be. All other errors fail the task.
     */
    int32_t (*put)(void *task, jf_slice batch, jf_buf *rejected, jf_error *error);
    /**
     * Makes everything put so far durable and writes the positions that are safe to commit: a JSON array of
     * `{"topic":…,"partition":…,"offset":…,"metadata":…}`, partitions of `current` at offsets not beyond theirs; no bytes =
     * none. `metadata` is the sink's own, given back to `open`; Kafka keeps at most 4,096 bytes.
     *
     * `current` has the offsets behind what was put, -1 when nothing was put or committed yet, and the metadata of the last
     * commit that succeeded. Called after `open`, every `offset.flush.interval.ms`, after `jf_host_vtable.request_commit`,
     * before partitions are taken away in good order, before a pause and before `stop`, and once more right after each
     * commit: what may only happen when something is committed happens then. It has 60 s. After `JF_ERROR_RETRIABLE` nothing
     * is committed and it is called again at the next occasion; other errors fail the task.
     */
    int32_t (*pre_commit)(void *task,
                          const jf_position *current,
                          size_t current_len,
                          jf_buf *out,
                          jf_error *error);
    /**
     * Partitions were taken away, after a `pre_commit` when that was possible. What was put and not committed of them will
     * be delivered again, perhaps elsewhere. Called before `stop`, too, for what is open then. It has 60 s. An error fails
     * the task.
     */
    int32_t (*close)(void *task,
                     const jf_topic_partition *partitions,
                     size_t partitions_len,
                     jf_error *error);
    /**
     * Ends and frees the task. The last call, made once after every `start` that worked, also after errors. It has 5 s.
     */
    void (*stop)(void *task);
} jf_sink_vtable;

/**
 * A transform of a task; `transform` is what `start` stored.
 *
 * Order: `start` (before the connector's own task), `apply` again and again, `stop` (after it). One call at a time, each
 * after the one before has returned, not always on the same thread. Each task of a connector has its own.
 */
typedef struct jf_transform_vtable {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Starts a transform. At `JF_OK` its handle, not null, is in `transform`, and `stop` will be called for it once. At
     * `JF_FAILED` nothing is left and nothing more is called. `config` and `context` are valid during the call,
     * `context->host` until `stop` has returned. It has 30 s.
     */
    int32_t (*start)(const jf_class_desc *class_desc,
                     const jf_key_value *config,
                     size_t config_len,
                     const jf_task_context *context,
                     void **transform,
                     jf_error *error);
    /**
     * Transforms a batch of source or of sink records. It works on what is given to it and waits for nothing; it has 5 s.
     *
     * At `JF_OK` `out` is the batch of the records that go on, each with the `sequence` of the one it was made of, in that
     * order: none = it is filtered out, several = it became several; no bytes = all are filtered out. Topics, partitions
     * and timestamps may change. Offsets are the host's business: they advance past filtered records too, and never past
     * undelivered ones. It may be four times as large as what was given, and always 16 MiB.
     * `rejected`: records it could not take, a JSON array of `{"sequence":…,"message":…}`, no bytes = none;
     * `errors.tolerance` decides whether those are passed over or fail the task.
     *
     * At `JF_FAILED` the task fails; with `JF_ERROR_RETRIABLE` it starts again by itself after a back-off. Then the same
     * records come again, perhaps in other batches.
     */
    int32_t (*apply)(void *transform,
                     jf_slice batch,
                     jf_buf *out,
                     jf_buf *rejected,
                     jf_error *error);
    /**
     * Ends and frees the transform. The last call, made once after every `start` that worked, also after errors. It has 5 s.
     */
    void (*stop)(void *transform);
} jf_transform_vtable;

/**
 * One class. Name, kind and version are those of the package's `plugin.toml`.
 */
typedef struct jf_class_desc {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * `JF_KIND_SOURCE`, `JF_KIND_SINK` or `JF_KIND_TRANSFORM`.
     */
    uint8_t kind;
    /**
     * Zero.
     */
    uint8_t reserved[3];
    /**
     * Full class name, which users write in `connector.class` or `transforms.<alias>.type`.
     */
    jf_slice name;
    /**
     * Version.
     */
    jf_slice version;
    /**
     * Other names that users may write; may be null.
     */
    const jf_slice *aliases;
    /**
     * Number of `aliases`.
     */
    size_t alias_count;
    /**
     * Never null.
     */
    const jf_connector_vtable *connector;
    /**
     * Not null when the kind is source.
     */
    const jf_source_vtable *source;
    /**
     * Not null when the kind is sink.
     */
    const jf_sink_vtable *sink;
    /**
     * Not null when the kind is transform.
     */
    const jf_transform_vtable *transform;
    /**
     * The plugin's own; the host does not look at it.
     */
    const void *user_data;
} jf_class_desc;

/**
 * What a library contains. The host checks magic, versions and sizes before it reads or calls anything else; what it cannot
 * use it refuses with the plugin, the file, what was found, what is supported and what to do.
 */
typedef struct jf_plugin_desc {
    /**
     * `JF_MAGIC`.
     */
    uint64_t magic;
    /**
     * `JF_ABI_MAJOR` the library was built for.
     */
    uint16_t abi_major;
    /**
     * `JF_ABI_MINOR` the library was built for.
     */
    uint16_t abi_minor;
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Bit set of optional abilities; none are defined yet: zero.
     */
    uint64_t features;
    /**
     * Oldest batch format major it reads and writes.
     */
    uint16_t batch_major_min;
    /**
     * Newest batch format major it reads and writes.
     */
    uint16_t batch_major_max;
    /**
     * Number of classes, 1 to 1,000.
     */
    uint32_t class_count;
    /**
     * Array of pointers, so that `jf_class_desc` can grow.
     */
    const jf_class_desc *const *classes;
    /**
     * Compiler or SDK, for messages; may be empty.
     */
    jf_slice built_with;
} jf_plugin_desc;

/**
 * Services of the host, alive as long as the process.
 *
 * `task` is `jf_task_context.host`: valid from the task's `start` until its `stop` has returned,
 * and longer while it is retained. Every function may be called from any thread, several at once, and answers at once,
 * but for `jf_host_vtable.http_fetch`, which waits. With a null `task`, as in the functions of `jf_connector_vtable`,
 * `jf_host_vtable.log` works and the others do nothing: nothing is stored, nothing is watched. What comes after the task's
 * `stop` is harmless and has no effect.
 */
typedef struct jf_host_vtable {
    /**
     * Size of this struct.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Most verbose log level kept: 1 error, 2 warn, 3 info, 4 debug, 5 trace. It can change at any time. Who would format
     * a message for a level that is not kept need not.
     */
    uint8_t (*log_max_level)(void);
    /**
     * Writes a line in the worker's log, constant lower-case text first; the host adds connector and task. Lines are cut at
     * 8 KiB, control characters are escaped; beyond 1,000 lines at once and 100 per second lines are dropped and counted.
     * `task` may be null outside of a task.
     */
    void (*log)(const void *task, uint8_t level, jf_slice message);
    /**
     * Source tasks: the offset (a JSON object) stored for a source partition (a JSON object), as it was when the task
     * started; objects are compared by content. True and `out` filled, which the plugin frees, or false when there is none.
     */
    bool (*stored_offset)(const void *task, jf_slice partition, jf_buf *out);
    /**
     * Source tasks: from now on a change of the file at `path` (which need not exist yet), or of the entries of the directory
     * there and of the files in it, ends the task's idle time. One watch of a directory is better than one of each file in
     * it. Where the operating system does not tell of changes, a second may pass before the task is woken. A task may watch
     * 1,000 paths; watching the same one again changes nothing. False = the host does not watch it: do not idle without a
     * limit then.
     */
    bool (*watch_path)(const void *task, jf_slice path);
    /**
     * Source tasks: ends the task's idle time now, or the next one at once; to be called by threads of the plugin's own.
     */
    void (*wake)(const void *task);
    /**
     * Keeps the handle valid past `stop`, until `jf_host_vtable.release`: for threads that may call the host later than that.
     */
    void (*retain)(const void *task);
    /**
     * Undoes one `jf_host_vtable.retain`.
     */
    void (*release)(const void *task);
    /**
     * Source tasks: how far the task is behind from now on: bytes not read yet, and files (or what its system has in their
     * place) not read to their end. The last report is shown in the task's status until the task ends; a task that never
     * reports shows none. Nothing needs to be reported again while it is unchanged.
     */
    void (*report_lag)(const void *task, uint64_t bytes, uint64_t files);
    /**
     * Sink tasks: fills `out` with the committed positions of the task's whole group as they are when `open` is called,
     * also of partitions it does not hold: a JSON array of objects with `topic`, `partition`, `offset` and `metadata`. The
     * plugin frees it.
     */
    void (*group_positions)(const void *task, jf_buf *out);
    /**
     * What the task is doing that an operator should know, such as "snapshot of table a: 40 %"; shown in the task's status
     * until it says something else, at most 1,000 bytes of it. Empty = nothing.
     */
    void (*report_state)(const void *task, jf_slice state);
    /**
     * There is more or less to do than when the task started: `jf_connector_vtable.task_configs` is asked again, and the
     * connector's tasks are started anew when the answer differs. A request too many costs little.
     */
    void (*request_task_reconfiguration)(const void *task);
    /**
     * Source tasks, during `jf_source_vtable.poll`, for the batch that it returns: `JF_BOUNDARY_COMMIT` or `JF_BOUNDARY_ABORT`.
     * It counts with `transaction.boundary=connector`; otherwise it has no effect.
     */
    void (*transaction_boundary)(const void *task, uint8_t boundary);
    /**
     * Sink tasks: nothing more of these partitions is delivered when the present call has returned. A partition that is
     * closed and opened again is not paused any more. Partitions that the task does not hold are ignored.
     */
    void (*pause)(const void *task, const jf_topic_partition *partitions, size_t len);
    /**
     * Sink tasks: these partitions are delivered again when the present call has returned.
     */
    void (*resume)(const void *task, const jf_topic_partition *partitions, size_t len);
    /**
     * Sink tasks: the partitions are delivered from these offsets on when the present call has returned: for sinks that keep
     * their positions in their own system, in `jf_sink_vtable.open`. Metadata is not looked at. Positions of partitions that
     * the task does not hold, and negative offsets, are ignored with a line in the log.
     */
    void (*seek)(const void *task, const jf_position *positions, size_t len);
    /**
     * Sink tasks: `jf_sink_vtable.pre_commit` and a commit follow when the present call has returned, not at the end of the
     * interval.
     */
    void (*request_commit)(const void *task);
    /**
     * A number of the task's own: `JF_METRIC_COUNTER` (it grows by the value), `JF_METRIC_GAUGE` (it has the value from now
     * on) or `JF_METRIC_HISTOGRAM` (the value is counted in it; durations in seconds), its name, labels and value. Names of
     * metrics and labels match `[a-z][a-z0-9_]*`; the host adds the labels `connector` and `task`. A task has at most 200
     * series with at most 10 labels of at most 200 bytes; what does not fit is left out and said in the log.
     */
    void (*metric)(const void *task,
                   uint8_t kind,
                   jf_slice name,
                   const jf_key_value *labels,
                   size_t label_count,
                   double value);
    /**
     * Begins an HTTP request and returns at once: `JF_OK` and its number in `number`, or `JF_FAILED` and `error`. The task's
     * idle time ends when it is done. At most 16 requests of a task are begun and not taken; bodies have at most 16 MiB.
     */
    int32_t (*http_begin)(const void *task,
                          const jf_http_request *request,
                          uint64_t *number,
                          jf_error *error);
    /**
     * How a request ended, told once: `JF_OK` and `out` filled, `JF_FAILED` and `error`, or `JF_NOT_YET` while it is under
     * way. An answer of any status is `JF_OK`, redirects too. Errors: `JF_ERROR_RETRIABLE` when it may work later,
     * `JF_ERROR_CONFIG` when it cannot.
     */
    int32_t (*http_take)(const void *task, uint64_t number, jf_http_response *out, jf_error *error);
    /**
     * Makes a request and waits for its end, on the calling thread: for sinks, which wait anyway, never in
     * `jf_source_vtable.poll`. `JF_OK` or `JF_FAILED` as of `jf_host_vtable.http_take`.
     */
    int32_t (*http_fetch)(const void *task,
                          const jf_http_request *request,
                          jf_http_response *out,
                          jf_error *error);
} jf_host_vtable;

/**
 * The exported function `jf_plugin_entry`, called once after the library was loaded, before anything else of it.
 *
 * It returns the library's descriptor, which lives and stays unchanged as long as the process, or null = this library does
 * not speak that major. `host` lives as long as the process; a library that needs more of it than its `struct_size` holds
 * returns null, too. Nothing else should happen here: no thread, no file, no connection.
 */
typedef const jf_plugin_desc *(*jf_entry_fn)(uint16_t host_abi_major, const jf_host_vtable *host);


#if defined(__GNUC__)
#define JF_EXPORT __attribute__((visibility("default")))
#else
#define JF_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What a plugin library defines and exports: see `jf_entry_fn`.
 */
JF_EXPORT const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *host);

#ifdef __cplusplus
}
#endif

#endif /* JACKFIELD_PLUGIN_H */
