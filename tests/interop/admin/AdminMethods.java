import java.lang.reflect.Method;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Calls the AdminClient's methods one by one and prints what each of them gives: a line "== method what" and lines of the
 * result, without what differs from broker to broker.
 *
 * AdminMethods BOOTSTRAP
 */
public class AdminMethods {
    private static final String TOPIC = "admin";
    private static final TopicPartition FIRST = new TopicPartition(TOPIC, 0);
    private static final TopicPartition MISSING = new TopicPartition("missing", 0);
    private static final String GROUP = "admin-group";
    private static final Set<String> CALLED = new TreeSet<>();

    private static Admin admin;
    private static int node;

    public static void main(String[] arguments) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", arguments[0]);
        config.put("request.timeout.ms", "4000");
        config.put("default.api.timeout.ms", "5000");
        admin = Admin.create(config);
        CALLED.addAll(Arrays.asList("create", "close"));
        cluster();
        topics();
        configs();
        records(config);
        groups(config);
        replicas();
        others();
        everything();
        admin.close(Duration.ofSeconds(5));
    }

    /** Prints what a call gives, or the exception it ends with. */
    private static void show(String method, String what, Callable<Object> call) {
        CALLED.add(method);
        System.out.println("== " + method + " " + what);
        try {
            System.out.println(text(call.call()));
        } catch (Throwable error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            System.out.println(cause.getClass().getSimpleName());
        }
    }

    /** Text that is the same for equal things. */
    private static String text(Object value) throws Exception {
        if (value instanceof KafkaFuture) {
            try {
                return text(((KafkaFuture<?>) value).get());
            } catch (ExecutionException error) {
                return error.getCause().getClass().getSimpleName();
            }
        }
        if (value instanceof Map) {
            Map<String, String> sorted = new TreeMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                sorted.put(text(entry.getKey()), text(entry.getValue()));
            }
            return sorted.toString();
        }
        if (value instanceof Collection) {
            List<String> sorted = new ArrayList<>();
            for (Object element : (Collection<?>) value) {
                sorted.add(text(element));
            }
            Collections.sort(sorted);
            return String.join("\n", sorted);
        }
        if (value instanceof Optional) {
            return ((Optional<?>) value).isPresent() ? text(((Optional<?>) value).get()) : "none";
        }
        if (value instanceof Node) {
            return "node " + ((Node) value).id() + " rack " + ((Node) value).rack();
        }
        if (value instanceof Config) {
            // Kafka has this one as the cluster's default since eligible leader replicas.
            return text(((Config) value).entries().stream().filter(entry -> !entry.name().equals("min.insync.replicas"))
                .map(entry -> entry.name() + "=" + entry.value() + " " + entry.source() + " " + entry.type()
                    + (entry.isReadOnly() ? " read-only" : "") + (entry.isSensitive() ? " sensitive" : ""))
                .collect(Collectors.toList()));
        }
        if (value instanceof TopicDescription) {
            TopicDescription topic = (TopicDescription) value;
            return topic.name() + " internal " + topic.isInternal() + " partitions " + topic.partitions().size()
                + " leader " + text(topic.partitions().get(0).leader()) + " isr " + text(topic.partitions().get(0).isr());
        }
        return String.valueOf(value);
    }

    private static void cluster() {
        show("describeCluster", "", () -> {
            DescribeClusterResult cluster = admin.describeCluster();
            node = cluster.controller().get().id();
            return Arrays.asList(text(cluster.nodes()), text(cluster.controller()), text(cluster.authorizedOperations()));
        });
        show("describeFeatures", "", () -> {
            FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
            return features.supportedFeatures().keySet();
        });
        show("describeMetadataQuorum", "", () -> {
            QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
            return "leader " + quorum.leaderId() + " voters " + quorum.voters().size() + " observers " + quorum.observers();
        });
        show("updateFeatures", "of an unknown feature", () -> admin.updateFeatures(
            Map.of("unknown", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)),
            new UpdateFeaturesOptions().validateOnly(true)).values());
        show("addRaftVoter", "", () -> admin.addRaftVoter(node + 7, Uuid.ONE_UUID,
            Set.of(new RaftVoterEndpoint("CONTROLLER", "localhost", 1))).all());
        show("removeRaftVoter", "", () -> admin.removeRaftVoter(node + 7, Uuid.ONE_UUID).all());
        show("unregisterBroker", "that is not there", () -> admin.unregisterBroker(node + 7).all());
    }

    private static void topics() throws Exception {
        NewTopic topic = new NewTopic(TOPIC, 2, (short) 1).configs(Map.of("retention.ms", "31536000000000"));
        show("createTopics", "", () -> {
            CreateTopicsResult created = admin.createTopics(List.of(topic));
            return Arrays.asList(text(created.values()), created.numPartitions(TOPIC).get(),
                created.replicationFactor(TOPIC).get());
        });
        show("createTopics", "again", () -> admin.createTopics(List.of(topic)).values());
        show("createTopics", "only validated", () -> admin.createTopics(
            List.of(new NewTopic("validated", Optional.empty(), Optional.empty())),
            new CreateTopicsOptions().validateOnly(true)).values());
        show("createTopics", "with mistakes", () -> admin.createTopics(List.of(
            new NewTopic("a/b", 1, (short) 1),
            new NewTopic("no-partitions", 0, (short) 1),
            new NewTopic("many-replicas", 1, (short) 3),
            new NewTopic("unknown-config", 1, (short) 1).configs(Map.of("nope", "1")),
            new NewTopic("placed-nowhere", Map.of(0, List.of(77))),
            new NewTopic("placed", Map.of(0, List.of(node))))).values());
        // Kafka's broker hears of it from the controller, after the answer.
        while (!admin.listTopics().names().get().contains("placed")) {
            Thread.sleep(20);
        }
        show("listTopics", "", () -> admin.listTopics().names());
        show("describeTopics", "by name", () -> admin.describeTopics(List.of(TOPIC, "missing")).topicNameValues());
        show("describeTopics", "by id", () -> {
            Uuid id = admin.describeTopics(List.of(TOPIC)).topicNameValues().get(TOPIC).get().topicId();
            return admin.describeTopics(TopicCollection.ofTopicIds(List.of(id, Uuid.fromString("AAAAAAAAAAAAAAAAAAAAAA"))))
                .topicIdValues().values();
        });
        show("createPartitions", "", () -> admin.createPartitions(
            Map.of(TOPIC, NewPartitions.increaseTo(3), "missing", NewPartitions.increaseTo(3))).values());
        show("createPartitions", "fewer", () -> admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(2))).values());
    }

    private static void configs() {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
        ConfigResource missing = new ConfigResource(ConfigResource.Type.TOPIC, "missing");
        show("describeConfigs", "of topics", () -> admin.describeConfigs(List.of(topic, missing)).values());
        show("describeConfigs", "with synonyms and documentation", () -> {
            Config config = admin.describeConfigs(List.of(topic), new DescribeConfigsOptions()
                .includeSynonyms(true).includeDocumentation(true)).all().get().get(topic);
            ConfigEntry entry = config.get("retention.ms");
            return entry.synonyms().stream().map(synonym -> synonym.name() + "=" + synonym.value() + " " + synonym.source())
                .collect(Collectors.toList()) + " documented " + !entry.documentation().isEmpty();
        });
        show("incrementalAlterConfigs", "", () -> admin.incrementalAlterConfigs(Map.of(
            topic, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "31536000000001"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND)),
            missing, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "1"), AlterConfigOp.OpType.SET)))).values());
        show("incrementalAlterConfigs", "with a mistake", () -> admin.incrementalAlterConfigs(Map.of(
            topic, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET)))).values());
        show("describeConfigs", "as altered", () -> text(admin.describeConfigs(List.of(topic)).all().get().get(topic).entries()
            .stream().filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
            .map(entry -> entry.name() + "=" + entry.value()).collect(Collectors.toList())));
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node);
        show("incrementalAlterConfigs", "of the broker", () -> admin.incrementalAlterConfigs(Map.of(
            broker, List.of(new AlterConfigOp(new ConfigEntry("log.retention.ms", "80000"), AlterConfigOp.OpType.SET)))).values());
        show("incrementalAlterConfigs", "of what cannot be altered", () -> admin.incrementalAlterConfigs(Map.of(
            broker, List.of(new AlterConfigOp(new ConfigEntry("log.dirs", "/tmp"), AlterConfigOp.OpType.SET)))).values());
        show("describeConfigs", "of the broker", () -> {
            ConfigEntry entry = null;
            // Kafka acknowledges the change before its broker has taken it over, the source sooner than the value.
            for (int tries = 0; tries < 1_000 && (entry == null || entry.value() == null
                || entry.source() != ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG); tries++)
                entry = admin.describeConfigs(List.of(broker)).all().get().get(broker).get("log.retention.ms");
            return entry.name() + "=" + entry.value() + " " + entry.source();
        });
        show("incrementalAlterConfigs", "of the broker, back", () -> admin.incrementalAlterConfigs(Map.of(
            broker, List.of(new AlterConfigOp(new ConfigEntry("log.retention.ms", ""), AlterConfigOp.OpType.DELETE)))).values());
        show("listConfigResources", "", () -> admin.listConfigResources(
            Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER), new ListConfigResourcesOptions()).all());
        show("listClientMetricsResources", "", () -> admin.listClientMetricsResources().all());
    }

    private static void records(Properties config) throws Exception {
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < 5; number++) {
                producer.send(new ProducerRecord<>(TOPIC, 0, 1_000L + number, "k", "v" + number)).get();
            }
        }
        Map<String, OffsetSpec> specs = new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(),
            "max timestamp", OffsetSpec.maxTimestamp(), "by time", OffsetSpec.forTimestamp(1_002),
            "in the future", OffsetSpec.forTimestamp(9_000), "local", OffsetSpec.earliestLocal(),
            "tiered", OffsetSpec.latestTiered()));
        for (Map.Entry<String, OffsetSpec> spec : specs.entrySet()) {
            show("listOffsets", spec.getKey(), () -> admin.listOffsets(Map.of(FIRST, spec.getValue())).all());
        }
        show("listOffsets", "of what is missing", () -> admin.listOffsets(Map.of(MISSING, OffsetSpec.latest())).all());
        show("deleteRecords", "", () -> {
            Map<TopicPartition, KafkaFuture<DeletedRecords>> deleted = admin.deleteRecords(Map.of(
                FIRST, RecordsToDelete.beforeOffset(2),
                new TopicPartition(TOPIC, 1), RecordsToDelete.beforeOffset(99),
                MISSING, RecordsToDelete.beforeOffset(1))).lowWatermarks();
            Map<TopicPartition, Object> found = new HashMap<>();
            for (Map.Entry<TopicPartition, KafkaFuture<DeletedRecords>> entry : deleted.entrySet()) {
                found.put(entry.getKey(), entry.getValue().thenApply(DeletedRecords::lowWatermark));
            }
            return found;
        });
        show("describeProducers", "", () -> admin.describeProducers(List.of(FIRST)).all().get().get(FIRST).activeProducers()
            .stream().map(producer -> "epoch " + producer.producerEpoch() + " sequence " + producer.lastSequence())
            .collect(Collectors.toList()));
        show("describeProducers", "of what is missing", () -> admin.describeProducers(List.of(MISSING)).all());
    }

    private static void groups(Properties config) throws Exception {
        Properties member = new Properties();
        member.putAll(config);
        member.putAll(Map.of("group.id", GROUP, "auto.offset.reset", "earliest", "group.instance.id", "static"));
        KafkaConsumer<String, String> consumer =
            new KafkaConsumer<>(member, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(TOPIC));
        while (consumer.poll(Duration.ofMillis(100)).isEmpty()) { }
        consumer.commitSync();
        show("listGroups", "", () -> admin.listGroups().all());
        show("listConsumerGroups", "", () -> admin.listConsumerGroups().all());
        show("describeConsumerGroups", "", () -> {
            ConsumerGroupDescription group = admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP);
            return Arrays.asList("state " + group.groupState(), "type " + group.type(), "assignor " + group.partitionAssignor(),
                "coordinator " + text(group.coordinator()), "members " + group.members().stream()
                    .map(one -> one.groupInstanceId() + " " + one.clientId().replaceAll("[0-9]+", "N") + " " + one.host() + " "
                        + new TreeSet<>(one.assignment().topicPartitions().stream().map(Object::toString)
                            .collect(Collectors.toList())))
                    .collect(Collectors.toList()));
        });
        show("describeConsumerGroups", "of what is missing", () -> admin.describeConsumerGroups(List.of("missing")).all());
        show("describeClassicGroups", "", () -> {
            ClassicGroupDescription group = admin.describeClassicGroups(List.of(GROUP)).all().get().get(GROUP);
            return "state " + group.state() + " protocol " + group.protocol() + " data " + group.protocolData()
                + " members " + group.members().size();
        });
        show("deleteConsumerGroups", "in use", () -> admin.deleteConsumerGroups(List.of(GROUP)).all());
        show("deleteConsumerGroupOffsets", "in use",
            () -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(FIRST)).partitionResult(FIRST));
        show("alterConsumerGroupOffsets", "in use", () -> admin.alterConsumerGroupOffsets(GROUP,
            Map.of(FIRST, new OffsetAndMetadata(1))).partitionResult(FIRST));
        show("removeMembersFromConsumerGroup", "", () -> admin.removeMembersFromConsumerGroup(GROUP,
            new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("static")))).all());
        show("removeMembersFromConsumerGroup", "of what is missing", () -> admin.removeMembersFromConsumerGroup(GROUP,
            new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("missing")))).all());
        // The member was removed and may not come back.
        consumer.unsubscribe();
        consumer.close(Duration.ZERO);
        show("listConsumerGroupOffsets", "", () -> admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata());
        show("alterConsumerGroupOffsets", "", () -> admin.alterConsumerGroupOffsets(GROUP, Map.of(
            FIRST, new OffsetAndMetadata(3, Optional.of(0), "note"),
            MISSING, new OffsetAndMetadata(1))).partitionResult(FIRST));
        show("listConsumerGroupOffsets", "as altered",
            () -> admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get().get(FIRST));
        show("deleteConsumerGroupOffsets", "",
            () -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(FIRST)).partitionResult(FIRST));
        show("deleteConsumerGroups", "", () -> admin.deleteConsumerGroups(List.of(GROUP, "missing")).deletedGroups());
        show("listConsumerGroupOffsets", "of what is missing",
            () -> admin.listConsumerGroupOffsets("missing").partitionsToOffsetAndMetadata());
    }

    private static void replicas() {
        show("describeLogDirs", "", () -> admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values()
            .stream().map(directory -> "error " + directory.error() + " sizes " + new TreeMap<>(directory.replicaInfos()
                .entrySet().stream().filter(entry -> entry.getKey().topic().equals(TOPIC))
                .collect(Collectors.toMap(entry -> entry.getKey().toString(), entry -> "lag " + entry.getValue().offsetLag()
                    + " future " + entry.getValue().isFuture()))))
            .collect(Collectors.toList()));
        TopicPartitionReplica replica = new TopicPartitionReplica(TOPIC, 0, node);
        show("describeReplicaLogDirs", "", () -> {
            DescribeReplicaLogDirsResult.ReplicaLogDirInfo info =
                admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
            return "lag " + info.getCurrentReplicaOffsetLag() + " moves to " + info.getFutureReplicaLogDir();
        });
        show("alterReplicaLogDirs", "to nowhere", () -> admin.alterReplicaLogDirs(Map.of(replica, "/nowhere")).values());
        show("electLeaders", "", () -> admin.electLeaders(ElectionType.PREFERRED, Set.of(FIRST, MISSING)).partitions());
        show("alterPartitionReassignments", "to a broker that is not there", () -> admin.alterPartitionReassignments(
            Map.of(FIRST, Optional.of(new NewPartitionReassignment(List.of(77))))).values());
        show("alterPartitionReassignments", "to where it is", () -> admin.alterPartitionReassignments(
            Map.of(FIRST, Optional.of(new NewPartitionReassignment(List.of(node))))).values());
        show("alterPartitionReassignments", "cancelled", () -> admin.alterPartitionReassignments(
            Map.of(FIRST, Optional.empty())).values());
        show("listPartitionReassignments", "", () -> admin.listPartitionReassignments().reassignments());
    }

    private static void others() {
        AclBinding acl = new AclBinding(new ResourcePattern(ResourceType.TOPIC, TOPIC, PatternType.LITERAL),
            new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        show("createAcls", "", () -> admin.createAcls(List.of(acl)).all());
        show("describeAcls", "", () -> admin.describeAcls(AclBindingFilter.ANY).values());
        show("deleteAcls", "", () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all());
        show("createDelegationToken", "", () -> admin.createDelegationToken().delegationToken());
        show("renewDelegationToken", "", () -> admin.renewDelegationToken(new byte[1]).expiryTimestamp());
        show("expireDelegationToken", "", () -> admin.expireDelegationToken(new byte[1]).expiryTimestamp());
        show("describeDelegationToken", "", () -> admin.describeDelegationToken().delegationTokens());
        ClientQuotaEntity quota = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "client"));
        show("alterClientQuotas", "", () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(quota,
            List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9))))).values());
        show("describeClientQuotas", "", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities());
        show("alterUserScramCredentials", "", () -> admin.alterUserScramCredentials(List.of(
            new UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_256))).values());
        show("describeUserScramCredentials", "", () -> admin.describeUserScramCredentials().all());
        show("describeTransactions", "", () -> admin.describeTransactions(List.of("missing")).all());
        show("listTransactions", "", () -> admin.listTransactions().all());
        show("abortTransaction", "", () -> admin.abortTransaction(new AbortTransactionSpec(FIRST, 1, (short) 0, 0)).all());
        show("fenceProducers", "", () -> admin.fenceProducers(List.of("fenced")).all());
        show("forceTerminateTransaction", "", () -> admin.forceTerminateTransaction("terminated").result());
        show("clientInstanceId", "", () -> admin.clientInstanceId(Duration.ofSeconds(1)).toString().isEmpty());
        show("describeShareGroups", "", () -> admin.describeShareGroups(List.of("missing")).all());
        show("listShareGroupOffsets", "", () -> admin.listShareGroupOffsets(
            Map.of("missing", new ListShareGroupOffsetsSpec())).all());
        show("alterShareGroupOffsets", "", () -> admin.alterShareGroupOffsets("missing", Map.of(FIRST, 0L)).all());
        show("deleteShareGroupOffsets", "", () -> admin.deleteShareGroupOffsets("missing", Set.of(TOPIC)).all());
        show("deleteShareGroups", "", () -> admin.deleteShareGroups(List.of("missing")).all());
        show("describeStreamsGroups", "", () -> admin.describeStreamsGroups(List.of("missing")).all());
        show("listStreamsGroupOffsets", "", () -> admin.listStreamsGroupOffsets(
            Map.of("missing", new ListStreamsGroupOffsetsSpec())).all());
        show("alterStreamsGroupOffsets", "", () -> admin.alterStreamsGroupOffsets("missing-streams",
            Map.of(FIRST, new OffsetAndMetadata(1))).all());
        show("deleteStreamsGroupOffsets", "", () -> admin.deleteStreamsGroupOffsets("missing", Set.of(FIRST)).all());
        show("deleteStreamsGroups", "", () -> admin.deleteStreamsGroups(List.of("missing")).all());
        // What the client keeps to itself.
        CALLED.addAll(Arrays.asList("metrics", "registerMetricForSubscription", "unregisterMetricFromSubscription"));
        show("deleteTopics", "by name", () -> admin.deleteTopics(List.of(TOPIC, "missing")).topicNameValues());
        show("deleteTopics", "by id", () -> {
            Uuid id = admin.describeTopics(List.of("placed")).topicNameValues().get("placed").get().topicId();
            return admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all();
        });
    }

    /** Every method was called. */
    private static void everything() {
        Set<String> missing = Arrays.stream(Admin.class.getMethods()).map(Method::getName).collect(Collectors.toSet());
        missing.removeAll(CALLED);
        if (!missing.isEmpty()) {
            System.out.println("== not called\n" + missing);
            System.exit(1);
        }
    }
}
