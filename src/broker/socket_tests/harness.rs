//! A broker on port 0 in a temporary directory, and a client that sends exactly what it is told.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use jackfield_env::Env;
use jackfield_protocol::records::{Compression, RecordBatchBuilder};
use kafka_protocol::{
    messages::{
        ApiKey, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse,
        RequestHeader, ResponseHeader, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Request, StrBytes, encode_request_header_into_buffer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use crate::{Broker, BrokerConfig, StartError};

/// Longer than anything here takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A running broker.
pub(super) struct Server {
    pub(super) broker: Broker,
    pub(super) address: SocketAddr,
    pub(super) dir: tempfile::TempDir,
    options: Vec<(String, String)>,
}

impl Server {
    /// Starts with these options beside the usual ones.
    pub(super) async fn start(options: &[(&str, &str)]) -> Self {
        Self::start_in(Env::real(), options).await
    }

    /// Starts in a world of the test's own.
    pub(super) async fn start_in(env: Env, options: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options: Vec<_> = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let broker = open(dir.path(), &options, env).await;
        let address = broker.listen().await.unwrap()[0];
        Self {
            broker,
            address,
            dir,
            options,
        }
    }

    /// Stops in order and starts again on the same directory.
    pub(super) async fn restart(self) -> Self {
        self.restart_in(Env::real()).await
    }

    /// As [`Server::restart`], with this option changed.
    pub(super) async fn restart_with(mut self, key: &str, value: &str) -> Self {
        self.options.retain(|(known, _)| known != key);
        self.options.push((key.to_owned(), value.to_owned()));
        self.restart().await
    }

    /// Why it does not start after a stop with this option changed.
    pub(super) async fn refusal_with(&self, key: &str, value: &str) -> String {
        self.broker.shutdown(DEADLINE).await;
        let options = [(key.to_owned(), value.to_owned())];
        let refused = try_open(self.dir.path(), &options, Env::real()).await;
        refused.unwrap_err().to_string()
    }

    /// As [`Server::restart`], in a world of the test's own.
    pub(super) async fn restart_in(self, env: Env) -> Self {
        self.broker.shutdown(DEADLINE).await;
        drop(self.broker);
        let broker = open(self.dir.path(), &self.options, env).await;
        let address = broker.listen().await.unwrap()[0];
        Self {
            broker,
            address,
            dir: self.dir,
            options: self.options,
        }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

async fn open(dir: &std::path::Path, options: &[(String, String)], env: Env) -> Broker {
    try_open(dir, options, env).await.unwrap()
}

async fn try_open(
    dir: &std::path::Path,
    options: &[(String, String)],
    env: Env,
) -> Result<Broker, StartError> {
    let mut properties: BTreeMap<String, String> = options.iter().cloned().collect();
    for (key, value) in [
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("offsets.topic.num.partitions", "2"),
        ("group.initial.rebalance.delay.ms", "0"),
    ] {
        properties
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    Broker::open(BrokerConfig::parse(&properties).unwrap(), env).await
}

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// One connection.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            correlation: 0,
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request).await;
        self.receive::<R>(version, id).await
    }

    /// Sends a request; returns its correlation id.
    pub(super) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation += 1;
        let frame = frame(self.correlation, version, request);
        self.stream.write_all(&frame).await.unwrap();
        self.correlation
    }

    /// Receives the answer of request `id`, which must be the next one.
    pub(super) async fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let mut body = self.receive_frame().await.expect("an answer");
        let api = ApiKey::try_from(R::KEY).unwrap();
        let header = ResponseHeader::decode(&mut body, api.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, id, "answers come in order");
        let response = R::Response::decode(&mut body, version)
            .unwrap_or_else(|error| panic!("answer of {api:?} version {version}: {error}"));
        assert!(
            body.is_empty(),
            "{} bytes after the answer of {api:?} version {version}",
            body.len()
        );
        response
    }

    /// One frame without its length; `None` when the broker closed the connection.
    pub(super) async fn receive_frame(&mut self) -> Option<Bytes> {
        let receive = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut body = vec![0; length as usize];
            self.stream.read_exact(&mut body).await.ok()?;
            Some(Bytes::from(body))
        };
        timeout(DEADLINE, receive)
            .await
            .expect("an answer or the end in time")
    }

    /// Whether the broker has closed the connection, which it must in time.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }

    pub(super) async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Uuid {
        let response = self.call(7, &create_request(name, partitions, configs)).await;
        assert_eq!(
            response.topics[0].error_code, 0,
            "{:?}",
            response.topics[0].error_message
        );
        assert_eq!(response.topics[0].error_message, None);
        response.topics[0].topic_id
    }

    /// Produces with acks=all in the newest version: error code and base offset.
    pub(super) async fn produce(&mut self, name: &str, partition: i32, batch: Bytes) -> (i16, i64) {
        let response = self.call(11, &produce_request(name, partition, -1, batch)).await;
        produced(&response)
    }

    /// Fetches one partition by name (version 12), not waiting.
    pub(super) async fn fetch(&mut self, name: &str, partition: i32, offset: i64) -> FetchResponse {
        self.call(12, &fetch_request(name, partition, offset, 0)).await
    }
}

/// Error code and base offset of the first partition.
pub(super) fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// A request frame, length first.
pub(super) fn frame<R: Request>(correlation: i32, version: i16, request: &R) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(text("tests")));
    let mut body = BytesMut::new();
    encode_request_header_into_buffer(&mut body, &header).unwrap();
    request.encode(&mut body, version).unwrap();
    with_length(&body)
}

/// A frame around these bytes.
pub(super) fn with_length(body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

pub(super) fn create_request(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let configs = configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    CreateTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![topic])
}

pub(super) fn produce_request(name: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(name))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

pub(super) fn fetch_request(name: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic_name(name))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

/// A batch of these values, uncompressed.
pub(super) fn batch(values: &[&str]) -> Bytes {
    compressed(values, Compression::None)
}

pub(super) fn compressed(values: &[&str], compression: Compression) -> Bytes {
    let mut builder = RecordBatchBuilder::new(compression);
    for value in values {
        builder.push(now_ms(), Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.finish().freeze()
}

/// A batch of an idempotent producer.
pub(super) fn sequenced(values: &[&str], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = RecordBatchBuilder::default();
    for value in values {
        builder.push(now_ms(), None, Some(value.as_bytes()), &[]);
    }
    builder.producer(producer_id, epoch, sequence);
    builder.finish().freeze()
}

pub(super) fn now_ms() -> i64 {
    Env::real().clock.now_ms()
}

/// Values of all records of the first partition in a fetch response.
pub(super) fn values(response: &FetchResponse) -> Vec<String> {
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let data = partition.records.clone().unwrap_or_default();
    jackfield_protocol::records::split_batches(data)
        .flat_map(|batch| jackfield_protocol::records::records(&batch, 1 << 24).unwrap())
        .map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap())
        .collect()
}
