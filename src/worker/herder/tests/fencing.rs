//! A task reads its offsets only after its predecessor cannot write any more.

use std::sync::Arc;

use async_trait::async_trait;
use jackfield_cluster::{
    Acknowledgement, Cluster, ClusterError, CommittedOffset, Compression, GroupConsumer, GroupSubscription,
    NewTopic, PartitionRecords, Record, RecordBatchBuilder, SourceProducer, TopicDescription, TopicPartition,
    partition_for_key,
};

use super::{
    plugins::lock,
    rig::{Rig, config, wait_for},
};

/// A cluster where fencing a producer stores the offset that its predecessor had queued.
#[derive(Debug)]
struct QueuedOffset(Arc<dyn Cluster>);

impl QueuedOffset {
    async fn store(&self) -> Result<(), ClusterError> {
        let topic = self.0.describe_topic("connect-offsets").await?.unwrap();
        let key = br#"["src",{"list":"main"}]"#;
        let mut builder = RecordBatchBuilder::new(Compression::None);
        builder.push(1, Some(key), Some(br#"{"position":2}"#), &[]);
        let records = PartitionRecords {
            partition: TopicPartition {
                topic: topic.name,
                partition: partition_for_key(key, topic.partitions),
            },
            batch: builder.finish(),
        };
        self.0.append(vec![records]).await?.await.map(drop)
    }
}

#[async_trait]
impl Cluster for QueuedOffset {
    fn cluster_id(&self) -> String {
        self.0.cluster_id()
    }
    fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }
    async fn create_topic(&self, topic: &NewTopic) -> Result<TopicDescription, ClusterError> {
        self.0.create_topic(topic).await
    }
    async fn describe_topic(&self, name: &str) -> Result<Option<TopicDescription>, ClusterError> {
        self.0.describe_topic(name).await
    }
    async fn append(&self, records: Vec<PartitionRecords>) -> Result<Acknowledgement, ClusterError> {
        self.0.append(records).await
    }
    async fn source_producer(&self, transactional_id: &str) -> Result<Box<dyn SourceProducer>, ClusterError> {
        let producer = self.0.source_producer(transactional_id).await?;
        self.store().await?;
        Ok(producer)
    }
    async fn join_group(
        &self,
        subscription: GroupSubscription,
    ) -> Result<Box<dyn GroupConsumer>, ClusterError> {
        self.0.join_group(subscription).await
    }
    async fn read_to_end(&self, topic: &str) -> Result<Vec<(i32, Record)>, ClusterError> {
        self.0.read_to_end(topic).await
    }
    async fn group_offsets(&self, group_id: &str) -> Result<Vec<CommittedOffset>, ClusterError> {
        self.0.group_offsets(group_id).await
    }
    async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), ClusterError> {
        self.0.alter_group_offsets(group_id, offsets).await
    }
    async fn delete_group(&self, group_id: &str) -> Result<(), ClusterError> {
        self.0.delete_group(group_id).await
    }
}

#[tokio::test]
async fn offsets_that_fencing_stores_are_read() {
    let mut rig = Rig::new("").await;
    lock(&rig.source).lines = ["a", "b", "c"].map(str::to_owned).to_vec();
    rig.cluster = Arc::new(QueuedOffset(Arc::clone(&rig.cluster)));
    let second = rig
        .second_herder("config.storage.topic=other-configs\nvalue.converter.schemas.enable=false")
        .await
        .unwrap();
    let source = config("name=src\nconnector.class=ListSource\ntopic=lines");
    second.put_config("src", source).await.unwrap();
    wait_for("the line after the stored ones", || async {
        !rig.values("lines").await.is_empty()
    })
    .await;
    assert_eq!(lock(&rig.source).started_from, [2]);
    assert_eq!(rig.values("lines").await, ["\"c\""]);
    assert_eq!(second.shutdown(std::time::Duration::from_secs(5)).await, 0);
    rig.stop().await;
}
