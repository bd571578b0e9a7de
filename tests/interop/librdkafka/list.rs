//! Which of librdkafka's tests are run, and why the others are not.

/// A test of librdkafka, or a part of one.
#[derive(Debug)]
pub(in crate::interop) struct Part {
    pub(in crate::interop) name: &'static str,
    /// Others of the same number: librdkafka's runner chooses by number.
    along: &'static [&'static str],
    /// Only the subtests whose names contain this.
    pub(in crate::interop) subtest: Option<&'static str>,
    /// In librdkafka's quick mode: less data, and some subtests left out.
    pub(in crate::interop) quick: bool,
    /// librdkafka's name for how the broker is configured.
    pub(in crate::interop) scenario: &'static str,
}

const fn quick(name: &'static str) -> Part {
    Part {
        name,
        along: &[],
        subtest: None,
        quick: true,
        scenario: "default",
    }
}

const fn whole(name: &'static str) -> Part {
    Part {
        name,
        along: &[],
        subtest: None,
        quick: false,
        scenario: "default",
    }
}

const fn sub(name: &'static str, subtest: &'static str, quick: bool) -> Part {
    Part {
        name,
        along: &[],
        subtest: Some(subtest),
        quick,
        scenario: "default",
    }
}

const fn without_auto_create(name: &'static str) -> Part {
    Part {
        name,
        along: &[],
        subtest: None,
        quick: false,
        scenario: "noautocreate",
    }
}

const fn with(part: Part, along: &'static [&'static str]) -> Part {
    Part { along, ..part }
}

impl Part {
    /// The tests whose verdicts are wanted.
    pub(in crate::interop) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.along.iter().copied())
    }
}

/// Of a few seconds.
pub(in crate::interop) const QUICK: &[Part] = &[
    quick("0015_offsets_seek"),
    quick("0059_bsearch"),
    quick("0017_compression"),
    quick("0001_multiobj"),
    quick("0002_unkpart"),
    quick("0003_msgmaxsize"),
    quick("0005_order"),
    quick("0007_autotopic"),
    quick("0008_reqacks"),
    quick("0011_produce_batch"),
    quick("0012_produce_consume"),
    quick("0013_null_msgs"),
    quick("0014_reconsume_191"),
    quick("0016_client_swname"),
    quick("0020_destroy_hang"),
    quick("0021_rkt_destroy"),
    quick("0022_consume_batch"),
    quick("0029_assign_offset"),
    quick("0030_offset_commit"),
    quick("0031_get_offsets"),
    quick("0034_offset_reset"),
    quick("0035_api_version"),
    quick("0036_partial_fetch"),
    quick("0038_performance"),
    quick("0039_event_dr"),
    quick("0040_io_event"),
    quick("0041_fetch_max_bytes"),
    quick("0042_many_topics"),
    quick("0044_partition_cnt"),
    quick("0048_partitioner"),
    quick("0054_offset_time"),
    quick("0056_balanced_group_mt"),
    quick("0057_invalid_topic"),
    quick("0060_op_prio"),
    quick("0063_clusterid"),
    quick("0064_interceptors"),
    quick("0065_yield"),
    quick("0067_empty_topic"),
    quick("0068_produce_timeout"),
    quick("0070_null_empty"),
    quick("0073_headers"),
    quick("0083_cb_event"),
    quick("0085_headers"),
    quick("0090_idempotence"),
    quick("0099_commit_metadata"),
    quick("0112_assign_unknown_part"),
    quick("0127_fetch_queue_backoff"),
    quick("0130_store_offsets"),
    whole("0132_strategy_ordering"),
    quick("0140_commit_metadata"),
];

/// Parts of tests that want what is not there in other parts.
pub(in crate::interop) const SUBTESTS: &[Part] = &[
    sub("0061_consumer_lag", "without transactions", false),
    sub("0137_barrier_batch_consume", "do_test_consume_batch_store", false),
    sub("0081_admin", "do_test_unclean_destroy", true),
    sub("0081_admin", "do_test_CreateTopics", true),
    sub("0081_admin", "do_test_DeleteTopics", true),
    sub("0081_admin", "do_test_CreatePartitions", true),
    sub("0081_admin", "do_test_DescribeConfigs:", true),
    sub("0081_admin", "do_test_DeleteRecords", true),
    sub("0081_admin", "do_test_ListConsumerGroups", true),
    sub("0081_admin", "do_test_DescribeConsumerGroups:", true),
    sub("0081_admin", "do_test_DeleteGroups", true),
    sub("0081_admin", "do_test_DeleteConsumerGroupOffsets", true),
    sub("0081_admin", "do_test_AlterConsumerGroupOffsets", true),
    sub("0081_admin", "do_test_ListConsumerGroupOffsets", true),
    sub("0081_admin", "do_test_ListOffsets", true),
];

/// Those that take their time.
pub(in crate::interop) const LONG: &[Part] = &[
    sub("0137_barrier_batch_consume", "do_test_consume_batch_with", false),
    whole("0018_cgrp_term"),
    whole("0019_list_groups"),
    whole("0026_consume_pause"),
    quick("0033_regex_subscribe"),
    with(
        whole("0045_subscribe_update"),
        &["0045_resubscribe_with_regex", "0045_subscribe_many_updates"],
    ),
    with(
        without_auto_create("0045_subscribe_update_topic_remove"),
        &["0045_subscribe_update_non_exist_and_partchange"],
    ),
    quick("0049_consume_conn_close"),
    whole("0050_subscribe_adds"),
    quick("0051_assign_adds"),
    quick("0052_msg_timestamps"),
    quick("0069_consumer_add_parts"),
    quick("0075_retry"),
    quick("0076_produce_retry"),
    whole("0082_fetch_max_bytes"),
    quick("0084_destroy_flags"),
    quick("0086_purge_remote"),
    quick("0088_produce_metadata_timeout"),
    quick("0091_max_poll_interval_timeout"),
    quick("0093_holb_consumer"),
    quick("0094_idempotence_msg_timeout"),
    quick("0114_sticky_partitioning"),
    quick("0118_commit_rebalance"),
    whole("0122_buffer_cleaning_after_rebalance"),
    quick("0123_connections_max_idle"),
    quick("0125_immediate_flush"),
];

/// Those that say how long something may take, or count the rebalances it may take: they run alone.
pub(in crate::interop) const TIMED: &[Part] = &[
    quick("0055_producer_latency"),
    whole("0089_max_poll_interval"),
    whole("0102_static_group_rebalance"),
    whole("0113_cooperative_rebalance"),
];

const NO_ACLS: &str = "needs ACLs, which this broker does not have";
const NO_SASL: &str = "needs a listener with SASL or TLS, which this broker does not have";
const NO_TRANSACTIONS: &str = "needs transactions, which this broker does not have yet";
const THREE_REPLICAS: &str = "creates topics of three replicas, and there is one broker";
const RAPIDJSON: &str = "is built only where RapidJSON's headers are installed";
const MOCK: &str = "runs against librdkafka's own mock broker";

/// A test, or a part of one behind a space; and why it is not run.
pub(in crate::interop) const LEFT_OUT: &[(&str, &str)] = &[
    ("0053_stats", RAPIDJSON),
    ("0061_consumer_lag with transactions", NO_TRANSACTIONS),
    (
        "0077_compaction",
        "needs compaction, which this broker does not do yet",
    ),
    (
        "0081_admin do_test_AlterConfigs",
        "reads several brokers' configs",
    ),
    (
        "0081_admin do_test_IncrementalAlterConfigs",
        "reads several brokers' configs",
    ),
    ("0081_admin do_test_CreateAcls", NO_ACLS),
    ("0081_admin do_test_DescribeAcls", NO_ACLS),
    ("0081_admin do_test_DeleteAcls", NO_ACLS),
    ("0081_admin do_test_DescribeTopics", NO_ACLS),
    ("0081_admin do_test_DescribeCluster", NO_ACLS),
    (
        "0081_admin do_test_DescribeConsumerGroups_with_authorized_ops",
        NO_ACLS,
    ),
    (
        "0081_admin do_test_UserScramCredentials",
        "needs SCRAM, which this broker does not have",
    ),
    (
        "0092_mixed_msgver",
        "message format 1 was removed in Apache Kafka 4.0",
    ),
    ("0097_ssl_verify", NO_SASL),
    ("0098_consumer_txn", NO_TRANSACTIONS),
    (
        "0101_fetch_from_follower",
        "needs replicas, and there is one broker",
    ),
    ("0103_transactions", NO_TRANSACTIONS),
    ("0107_topic_recreate", THREE_REPLICAS),
    ("0109_auto_create_topics", NO_ACLS),
    ("0110_batch_size", RAPIDJSON),
    ("0111_delay_create_topics", THREE_REPLICAS),
    ("0115_producer_auth", NO_ACLS),
    ("0119_consumer_auth", NO_ACLS),
    ("0126_oauthbearer_oidc", NO_SASL),
    ("0129_fetch_aborted_msgs", NO_TRANSACTIONS),
    ("0135_sasl_credentials", NO_SASL),
    (
        "0137_barrier_batch_consume do_test_consume_batch_control_msgs",
        NO_TRANSACTIONS,
    ),
    ("0139_offset_validation_mock", MOCK),
    ("0142_reauthentication", NO_SASL),
    ("0150_telemetry_mock", MOCK),
    ("0153_memberid", "is for the consumer group protocol"),
];
