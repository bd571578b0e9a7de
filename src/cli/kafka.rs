//! A Kafka cluster as an administrator sees it: every request goes to the broker that can answer it.

mod offsets;
mod refusal;
mod wire;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use kafka_protocol::{
    messages::{
        BrokerId, FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName,
        metadata_request::MetadataRequestTopic, metadata_response::MetadataResponseTopic,
    },
    protocol::{Request, StrBytes},
};

use self::wire::Wire;
pub(crate) use self::{
    offsets::{Partition, Partitions},
    refusal::Refusal,
};
use crate::{client::Connection, output::suggestion};

/// How often is asked again while a coordinator is loading.
const BACK_OFF: Duration = Duration::from_millis(100);
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: it will be there soon.
const NOT_YET: [i16; 3] = [14, 15, 16];
/// UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE.
const BEING_CREATED: [i16; 2] = [3, 5];
/// How long a topic may take to appear that a broker creates by itself.
const CREATION: Duration = Duration::from_secs(3);

/// A string as messages want it.
pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A topic's name as messages want it.
pub(crate) fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Kafka {
    client_id: String,
    timeout: Duration,
    /// The broker that was found first; any broker can answer most requests.
    first: Wire,
    brokers: BTreeMap<i32, String>,
    controller: i32,
    open: BTreeMap<i32, Wire>,
}

impl Kafka {
    /// Asks the bootstrap servers, one after the other, which brokers there are.
    ///
    /// # Errors
    /// Says who did not answer, and what to do.
    pub(crate) fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let mut failed = None;
        for address in connection.bootstrap_server().split(',').map(str::trim) {
            match Wire::connect(address, connection.client_id(), connection.timeout()) {
                Ok(first) => return Self::new(first, connection),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.map_or_else(|| anyhow!("no bootstrap server is given"), Into::into))
    }

    fn new(first: Wire, connection: &Connection) -> anyhow::Result<Self> {
        let mut kafka = Self {
            client_id: connection.client_id().to_owned(),
            timeout: connection.timeout(),
            first,
            brokers: BTreeMap::new(),
            controller: -1,
            open: BTreeMap::new(),
        };
        kafka.metadata(Some(Vec::new()), false)?;
        Ok(kafka)
    }

    /// How long a broker may take, as requests carry it.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Ids and addresses of the brokers.
    pub(crate) fn brokers(&self) -> &BTreeMap<i32, String> {
        &self.brokers
    }

    /// A request that any broker answers.
    pub(crate) fn any<R: Request>(&mut self, request: &R, newest: i16) -> anyhow::Result<R::Response> {
        Ok(self.first.call(request, newest)?)
    }

    /// Whether any broker answers a request in a version of at least `oldest`.
    pub(crate) fn serves<R: Request>(&self, oldest: i16) -> bool {
        self.first
            .version::<R>(i16::MAX)
            .is_some_and(|version| version >= oldest)
    }

    /// A request for the controller; brokers pass it on where the controller is not one of them.
    pub(crate) fn controller<R: Request>(&mut self, request: &R, newest: i16) -> anyhow::Result<R::Response> {
        if self.brokers.contains_key(&self.controller) {
            self.at(self.controller, request, newest)
        } else {
            self.any(request, newest)
        }
    }

    /// A request for one broker.
    pub(crate) fn at<R: Request>(
        &mut self,
        broker: i32,
        request: &R,
        newest: i16,
    ) -> anyhow::Result<R::Response> {
        let Some(address) = self.brokers.get(&broker) else {
            bail!("there is no broker {broker}; there are: {}", self.broker_list());
        };
        if !self.open.contains_key(&broker) {
            let wire = Wire::connect(address, &self.client_id, self.timeout)?;
            self.open.insert(broker, wire);
        }
        let wire = self.open.get_mut(&broker).expect("just connected");
        Ok(wire.call(request, newest)?)
    }

    fn broker_list(&self) -> String {
        let brokers: Vec<_> = self
            .brokers
            .iter()
            .map(|(id, address)| format!("{id} ({address})"))
            .collect();
        brokers.join(", ")
    }

    /// The broker that looks after a group.
    pub(crate) fn coordinator(&mut self, group: &str) -> anyhow::Result<i32> {
        let deadline = Instant::now() + self.timeout;
        loop {
            // Up to version 3 a request asks for one coordinator, which is all that is needed.
            let request = FindCoordinatorRequest::default()
                .with_key(text(group))
                .with_key_type(0);
            let answer = self.any(&request, 3)?;
            let Some(refusal) = Refusal::from_code(answer.error_code, answer.error_message.as_ref()) else {
                let id = answer.node_id.0;
                self.brokers
                    .entry(id)
                    .or_insert_with(|| format!("{}:{}", &*answer.host, answer.port));
                return Ok(id);
            };
            if !NOT_YET.contains(&answer.error_code) || Instant::now() >= deadline {
                bail!("group '{group}' has no coordinator: {refusal}");
            }
            thread::sleep(BACK_OFF);
        }
    }

    /// A request about a group; `code` is the answer's error code for the whole group. A coordinator that is loading is
    /// waited for.
    pub(crate) fn group<R: Request>(
        &mut self,
        group: &str,
        request: &R,
        newest: i16,
        code: impl Fn(&R::Response) -> i16,
    ) -> anyhow::Result<R::Response> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let coordinator = self.coordinator(group)?;
            let answer = self.at(coordinator, request, newest)?;
            if !NOT_YET.contains(&code(&answer)) || Instant::now() >= deadline {
                return Ok(answer);
            }
            thread::sleep(BACK_OFF);
        }
    }

    /// Metadata of some topics, or of all.
    fn metadata(&mut self, topics: Option<Vec<&str>>, create: bool) -> anyhow::Result<MetadataResponse> {
        let topics = topics.map(|topics| {
            let topic = |name: &str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            topics.into_iter().map(topic).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(create);
        let answer = self.any(&request, 12)?;
        for broker in &answer.brokers {
            self.brokers
                .insert(broker.node_id.0, format!("{}:{}", &*broker.host, broker.port));
        }
        self.controller = answer.controller_id.0;
        Ok(answer)
    }

    /// All topics, by name.
    pub(crate) fn all_topics(&mut self) -> anyhow::Result<BTreeMap<String, MetadataResponseTopic>> {
        let answer = self.metadata(None, false)?;
        Ok(by_name(answer.topics))
    }

    /// These topics, by name.
    ///
    /// # Errors
    /// When one does not exist, with the name it may have been meant for.
    pub(crate) fn topics(
        &mut self,
        names: &[String],
    ) -> anyhow::Result<BTreeMap<String, MetadataResponseTopic>> {
        let answer = self.metadata(Some(names.iter().map(String::as_str).collect()), false)?;
        let topics = by_name(answer.topics);
        for (name, topic) in &topics {
            match Refusal::from_code(topic.error_code, None) {
                Some(refusal) if refusal.code == 3 => return Err(self.unknown_topic(name)),
                // Without a leader a topic can still be described.
                Some(refusal) if topic.partitions.is_empty() => bail!("topic '{name}': {refusal}"),
                _ => {}
            }
        }
        Ok(topics)
    }

    /// An error for a topic that does not exist.
    pub(crate) fn unknown_topic(&mut self, name: &str) -> anyhow::Error {
        let known = self.all_topics().unwrap_or_default();
        let near = suggestion(name, known.keys().map(String::as_str));
        let hint = if near.is_empty() {
            format!("; create it with: jackfield topics create {name}")
        } else {
            near
        };
        anyhow!("topic '{name}' does not exist{hint}")
    }

    /// Makes sure that a topic exists, as far as brokers create topics by themselves.
    pub(crate) fn create_if_missing(&mut self, name: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + CREATION;
        loop {
            let answer = self.metadata(Some(vec![name]), true)?;
            let code = answer.topics.first().map_or(3, |topic| topic.error_code);
            match Refusal::from_code(code, None) {
                None => return Ok(()),
                Some(_) if BEING_CREATED.contains(&code) && Instant::now() < deadline => {
                    thread::sleep(BACK_OFF)
                }
                Some(_) if code == 3 => return Err(self.unknown_topic(name)),
                Some(refusal) => bail!("topic '{name}': {refusal}"),
            }
        }
    }
}

fn by_name(topics: Vec<MetadataResponseTopic>) -> BTreeMap<String, MetadataResponseTopic> {
    let named = |topic: MetadataResponseTopic| Some((topic.name.as_ref()?.to_string(), topic));
    topics.into_iter().filter_map(named).collect()
}

/// Ids of brokers as text.
pub(crate) fn broker_ids(ids: &[BrokerId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
    ids.join(",")
}
