//! A Kafka client of a few lines that sends what it is told, byte for byte: no batching, no retries, no metadata.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::TcpStream,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, BrokerId, CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
        MetadataRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::{FetchPartition, FetchTopic},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Request, StrBytes, encode_request_header_into_buffer},
};

use super::{
    batches::{self, ReadRecord},
    wait,
};

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    correlation: i32,
}

/// A string as messages want it.
pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A topic name as messages want it.
pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// What a partition holds.
#[derive(Debug)]
pub(crate) struct ReadLog {
    pub(crate) start: i64,
    pub(crate) records: Vec<ReadRecord>,
    pub(crate) bytes: usize,
}

/// A request that creates a topic.
pub(crate) fn creation(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let configs = configs
        .iter()
        .map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        })
        .collect();
    CreateTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(topic(name))
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(configs),
        ])
}

/// A request that produces one batch with acks=all.
pub(crate) fn production(name: &str, partition: i32, batch: Vec<u8>) -> ProduceRequest {
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic(name))
                .with_partition_data(vec![
                    PartitionProduceData::default()
                        .with_index(partition)
                        .with_records(Some(batch.into())),
                ]),
        ])
}

impl Wire {
    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap()
    }

    /// As [`Wire::connect`], for a broker that may be down.
    pub(crate) fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            correlation: 0,
        })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).unwrap()
    }

    /// As [`Wire::call`], for a broker that may go away.
    pub(crate) fn try_call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let frame = self.frame(version, request);
        self.send(&frame)?;
        let mut body = Bytes::from(self.receive()?);
        let api = ApiKey::try_from(R::KEY).unwrap();
        let header = ResponseHeader::decode(&mut body, api.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation, "answers come in order");
        let response = R::Response::decode(&mut body, version).unwrap();
        assert!(
            body.is_empty(),
            "{} bytes after the answer to {api:?} v{version}",
            body.len()
        );
        Ok(response)
    }

    /// The bytes of a request, length first.
    pub(crate) fn frame<R: Request>(&mut self, version: i16, request: &R) -> Vec<u8> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("tests")));
        let mut body = BytesMut::new();
        encode_request_header_into_buffer(&mut body, &header).unwrap();
        request.encode(&mut body, version).unwrap();
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(&body);
        frame
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.stream.write_all(data)
    }

    /// Receives one frame without its length.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Creates a topic; an error code other than 0 fails the test.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let response = self.call(5, &creation(name, partitions, configs));
        let result = &response.topics[0];
        assert_eq!(
            result.error_code, 0,
            "creating {name}: {:?}",
            result.error_message
        );
    }

    /// Producer id and epoch for an idempotent producer.
    pub(crate) fn init_producer_id(&mut self) -> (i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        wait::until("a producer id", || {
            let response = self.call(2, &request);
            // 14, 15: the coordinator is still loading or not there yet, which a fresh Kafka answers for a moment.
            assert!(
                [0, 14, 15].contains(&response.error_code),
                "error {}",
                response.error_code
            );
            (response.error_code == 0).then_some((response.producer_id.0, response.producer_epoch))
        })
    }

    /// Produces one batch with acks=all: error code and base offset.
    pub(crate) fn try_produce(&mut self, name: &str, partition: i32, batch: Vec<u8>) -> (i16, i64) {
        let response = self.call(9, &production(name, partition, batch));
        let result = &response.responses[0].partition_responses[0];
        (result.error_code, result.base_offset)
    }

    /// Produces one batch with acks=all and returns its base offset.
    pub(crate) fn produce(&mut self, name: &str, partition: i32, batch: Vec<u8>) -> i64 {
        let (code, offset) = self.try_produce(name, partition, batch);
        assert_eq!(code, 0, "producing to {name}-{partition}");
        offset
    }

    /// As [`Wire::produce`], to a partition created a moment ago: where the broker that leads it does not know so yet (3,
    /// 6), which Kafka's may answer, it is asked again.
    pub(crate) fn produce_to_new(&mut self, name: &str, partition: i32, batch: &[u8]) -> i64 {
        wait::until("a leader of the new partition", || {
            let (code, offset) = self.try_produce(name, partition, batch.to_vec());
            assert!(
                [0, 3, 6].contains(&code),
                "producing to {name}-{partition}: {code}"
            );
            (code == 0).then_some(offset)
        })
    }

    /// Log end offset (-1) or log start offset (-2).
    pub(crate) fn list_offset(&mut self, name: &str, partition: i32, timestamp: i64) -> i64 {
        let (code, offset) = self.try_list_offset(name, partition, timestamp);
        assert_eq!(code, 0, "listing offsets of {name}-{partition}");
        offset
    }

    /// As [`Wire::list_offset`]: error code and offset.
    pub(crate) fn try_list_offset(&mut self, name: &str, partition: i32, timestamp: i64) -> (i16, i64) {
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![
                ListOffsetsTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![
                        ListOffsetsPartition::default()
                            .with_partition_index(partition)
                            .with_timestamp(timestamp),
                    ]),
            ]);
        let response = self.call(5, &request);
        let result = &response.topics[0].partitions[0];
        (result.error_code, result.offset)
    }

    /// One fetch without waiting: error code, and the batches from `offset` on as they are.
    pub(crate) fn try_fetch(&mut self, name: &str, partition: i32, offset: i64) -> (i16, Bytes) {
        self.fetch_once(name, partition, offset).unwrap()
    }

    /// As [`Wire::try_fetch`], for a broker that may close the connection instead.
    fn fetch_once(&mut self, name: &str, partition: i32, offset: i64) -> io::Result<(i16, Bytes)> {
        let fetched = FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(64 << 20);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(64 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(topic(name))
                    .with_partitions(vec![fetched]),
            ]);
        let response = self.try_call(11, &request)?;
        assert_eq!(response.error_code, 0);
        let result = &response.responses[0].partitions[0];
        Ok((result.error_code, result.records.clone().unwrap_or_default()))
    }

    /// As [`Wire::try_fetch`]; an error code other than 0 fails the test.
    pub(crate) fn fetch(&mut self, name: &str, partition: i32, offset: i64) -> Bytes {
        let (code, records) = self.try_fetch(name, partition, offset);
        assert_eq!(code, 0, "fetching {name}-{partition} at {offset}");
        records
    }

    /// All records of a partition, from its start to the end it has now.
    pub(crate) fn read_all(&mut self, name: &str, partition: i32) -> Vec<ReadRecord> {
        self.try_read_all(name, partition)
            .unwrap_or_else(|problem| panic!("reading {name}-{partition}: {problem}"))
    }

    /// As [`Wire::read_all`], for brokers that may be unable to serve what they acknowledged.
    pub(crate) fn try_read_all(&mut self, name: &str, partition: i32) -> Result<Vec<ReadRecord>, String> {
        self.try_read(name, partition).map(|read| read.records)
    }

    /// As [`Wire::try_read_all`], with the log start offset and the bytes that were read.
    pub(crate) fn try_read(&mut self, name: &str, partition: i32) -> Result<ReadLog, String> {
        let mut bound = |timestamp| match self.try_list_offset(name, partition, timestamp) {
            (0, offset) => Ok(offset),
            (code, _) => Err(format!("error code {code} for the bounds of {name}-{partition}")),
        };
        let (end, start) = (bound(-1)?, bound(-2)?);
        let (mut next, mut bytes) = (start, 0);
        let mut records = Vec::new();
        while next < end {
            let fetched = self.fetch_once(name, partition, next);
            let (code, data) = fetched.map_err(|error| format!("fetching at {next}: {error}"))?;
            let batches = batches::split(&data);
            let Some(last) = batches.last() else {
                return Err(format!(
                    "error code {code} and no batch at {next}, below the end {end}"
                ));
            };
            records.extend(
                batches::read(&data)?
                    .into_iter()
                    .filter(|record| record.offset >= next),
            );
            let base = i64::from_be_bytes(last[..8].try_into().unwrap());
            next = base + i64::from(i32::from_be_bytes(last[23..27].try_into().unwrap())) + 1;
            bytes += data.len();
        }
        Ok(ReadLog {
            start,
            records,
            bytes,
        })
    }

    /// The topic's id.
    pub(crate) fn topic_id(&mut self, name: &str) -> [u8; 16] {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic(name)));
        let response = self.call(10, &MetadataRequest::default().with_topics(Some(vec![wanted])));
        assert_eq!(response.topics[0].error_code, 0, "describing {name}");
        *response.topics[0].topic_id.as_bytes()
    }

    /// Topics and their number of partitions, internal ones included.
    pub(crate) fn topics(&mut self) -> BTreeMap<String, usize> {
        let request = MetadataRequest::default().with_topics(None);
        let response = self.call(8, &request);
        response
            .topics
            .iter()
            .map(|topic| (topic.name.as_ref().unwrap().0.to_string(), topic.partitions.len()))
            .collect()
    }
}
