//! The port itself.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::FutureExt as _;
use jackfield_broker::{Broker, CreateTopicError, Topic};
use jackfield_tasks::TaskGroup;

use super::{
    append::Appends,
    group_consumer::EmbeddedGroupConsumer,
    group_offsets, read,
    source_producer::{EmbeddedSourceProducer, ProducerState},
};
use crate::{
    Acknowledgement, Cluster, ClusterError, CommittedOffset, GroupConsumer, GroupSubscription, NewTopic,
    PartitionRecords, Record, SourceProducer, TopicDescription, TopicPartition,
};

/// A cluster that is the broker core in this process.
#[derive(Debug)]
pub struct EmbeddedCluster {
    broker: Broker,
    tasks: TaskGroup,
    /// The newest producer of each transactional id.
    producers: Mutex<HashMap<String, Arc<ProducerState>>>,
}

impl EmbeddedCluster {
    /// The port to an open broker. Its background tasks end with the producers and consumers made from it.
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            tasks: TaskGroup::new("cluster"),
            producers: Mutex::default(),
        }
    }

    fn describe(topic: &Topic) -> TopicDescription {
        TopicDescription {
            name: Arc::clone(&topic.name),
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            cleanup_policy: topic
                .configs
                .get("cleanup.policy")
                .map_or("delete", String::as_str)
                .to_owned(),
        }
    }
}

#[async_trait]
impl Cluster for EmbeddedCluster {
    fn cluster_id(&self) -> String {
        self.broker.cluster_id()
    }

    fn bootstrap_servers(&self) -> String {
        let addresses = self.broker.addresses();
        addresses
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
            .join(",")
    }

    async fn create_topic(&self, topic: &NewTopic) -> Result<TopicDescription, ClusterError> {
        match self
            .broker
            .topics()
            .create(&topic.name, topic.partitions, &topic.configs)
            .await
        {
            Ok(created) => Ok(Self::describe(&created)),
            Err(CreateTopicError::AlreadyExists(name)) => {
                let existing = self
                    .broker
                    .topics()
                    .get(&name)
                    .or_else(|| self.broker.topics().get(&topic.name));
                let error = CreateTopicError::AlreadyExists(name);
                existing
                    .map(|topic| Self::describe(&topic))
                    .ok_or_else(|| ClusterError::create_topic(&error))
            }
            Err(error) => Err(ClusterError::create_topic(&error)),
        }
    }

    async fn describe_topic(&self, name: &str) -> Result<Option<TopicDescription>, ClusterError> {
        Ok(self.broker.topics().get(name).map(|topic| Self::describe(&topic)))
    }

    async fn append(&self, records: Vec<PartitionRecords>) -> Result<Acknowledgement, ClusterError> {
        let appends = Appends::write(self.broker.topics(), records)?;
        Ok(async move { appends.durable().await }.boxed())
    }

    async fn source_producer(&self, transactional_id: &str) -> Result<Box<dyn SourceProducer>, ClusterError> {
        let state = Arc::new(ProducerState::new(transactional_id));
        let predecessor = {
            let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
            producers.retain(|_, state| !state.is_finished());
            producers.insert(transactional_id.to_owned(), Arc::clone(&state))
        };
        if let Some(predecessor) = predecessor {
            // What it appended is in the log: its offsets belong there before anyone reads them.
            predecessor.fence();
            predecessor.finished().await;
        }
        Ok(Box::new(EmbeddedSourceProducer::start(
            self.broker.clone(),
            &self.tasks,
            state,
        )))
    }

    async fn join_group(
        &self,
        subscription: GroupSubscription,
    ) -> Result<Box<dyn GroupConsumer>, ClusterError> {
        let consumer = EmbeddedGroupConsumer::start(self.broker.clone(), &self.tasks, subscription)?;
        Ok(Box::new(consumer))
    }

    async fn read_to_end(&self, topic: &str) -> Result<Vec<(i32, Record)>, ClusterError> {
        let found = self.broker.topics().get(topic);
        let name: Arc<str> = Arc::from(topic);
        let found = found.ok_or_else(|| {
            ClusterError::unknown_partition(&TopicPartition {
                topic: Arc::clone(&name),
                partition: 0,
            })
        })?;
        let mut reading = self.tasks.spawn_blocking(format!("read-{topic}"), move || {
            let mut out = Vec::new();
            for log in &found.partitions {
                let partition = TopicPartition {
                    topic: Arc::clone(&name),
                    partition: log.partition(),
                };
                read::partition_to_end(log, &partition, &mut out)?;
            }
            Ok(out)
        });
        reading.join().await.unwrap_or_else(|error| {
            Err(ClusterError {
                code: 0,
                message: error.to_string(),
                retriable: false,
            })
        })
    }

    async fn group_offsets(&self, group_id: &str) -> Result<Vec<CommittedOffset>, ClusterError> {
        group_offsets::read(self.broker.groups(), group_id).await
    }

    async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), ClusterError> {
        group_offsets::alter(self.broker.groups(), group_id, offsets).await
    }

    async fn delete_group(&self, group_id: &str) -> Result<(), ClusterError> {
        group_offsets::delete(self.broker.groups(), group_id).await
    }
}
