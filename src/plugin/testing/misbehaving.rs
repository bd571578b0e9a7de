//! A source and a transform that do on demand what a plugin must not do; built as an example of the SDK in both forms, for the tests of
//! the plugin host. Option `do` chooses.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "that is what it is for"
)]

use jackfield_api::{
    Config, ConfigDef, ConfigKey, ConfigType, ConnectError, Connector, HttpCall, HttpRequest, Importance,
    LogLevel, PollLimits, Polled, RecordError, Sink, SinkContext, SinkPosition, Source, SourceContext,
    TaskContext, Transform, TransformOutput,
    batch::{Batch, BatchBuilder, Draft, Record, Value},
};

/// See the file's documentation.
#[derive(Debug)]
pub struct Misbehaving {
    what: String,
    argument: String,
    context: SourceContext,
    kept: Vec<u8>,
    polls: u64,
    call: Option<HttpCall>,
}

impl Connector for Misbehaving {
    const CLASS: &'static str = "jackfield.test.MisbehavingConnector";
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        let key = |name| ConfigKey::new(name, ConfigType::String, Importance::Low, "for tests");
        ConfigDef {
            keys: vec![key("do").required(), key("argument").default("")],
        }
    }
}

impl Source for Misbehaving {
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        let what = config.string("do")?.to_owned();
        if what == "refuse" {
            return Err(ConnectError::config("refused on demand"));
        }
        if what == "panic in start" {
            panic!("in start");
        }
        let argument = config.string("argument")?.to_owned();
        Ok(Self {
            what,
            argument,
            context,
            kept: Vec::new(),
            polls: 0,
            call: None,
        })
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        self.polls += 1;
        let said = match self.what.as_str() {
            "panic" => panic!("on demand"),
            "loop" => loop {
                std::hint::black_box(self.polls);
            },
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(
                    self.argument.parse().unwrap_or(60),
                ));
                "slept".to_owned()
            }
            "allocate" => {
                let mib: usize = self.argument.parse().unwrap_or(0);
                self.kept = vec![1; mib * 1024 * 1024];
                format!("{} bytes", self.kept.len())
            }
            "retriable" => return Err(ConnectError::retriable("try again")),
            "data" => return Err(ConnectError::data("bad record")),
            "config" => return Err(ConnectError::config("bad option")),
            "fatal" => return Err(ConnectError::fatal("the end")),
            "many" => {
                for _ in 0..=limits.max_records {
                    push(batch, "x")?;
                }
                return Ok(Polled::Records);
            }
            "large" => {
                let half = "x".repeat(limits.max_bytes as usize);
                (0..3).try_for_each(|_| push(batch, &half))?;
                return Ok(Polled::Records);
            }
            "typed" => {
                let topic = batch.topic("t")?;
                let schema = batch.schema(r#"{"type":"int8","optional":false}"#)?;
                // 1000 does not fit in an INT8.
                let value = Value::Typed {
                    schema,
                    data: &[0xd0, 0x0f],
                };
                batch.push(
                    &Record {
                        value,
                        ..record(topic)
                    },
                    &[],
                )?;
                return Ok(Polled::Records);
            }
            "partition" => {
                let topic = batch.topic("t")?;
                let partition = batch.source_partition("[1]")?;
                batch.push(
                    &Record {
                        source_partition: Some(partition),
                        ..record(topic)
                    },
                    &[],
                )?;
                return Ok(Polled::Records);
            }
            "read" => match std::fs::read_to_string(&self.argument) {
                Ok(text) => text,
                Err(cause) => format!("refused: {cause}"),
            },
            "connect" => match std::net::TcpStream::connect(&self.argument) {
                Ok(_) => "connected".to_owned(),
                Err(cause) => format!("refused: {cause}"),
            },
            "connect and fail" => {
                std::net::TcpStream::connect(&self.argument).ok();
                return Err(ConnectError::retriable("another cause"));
            }
            "fetch or go on" => match self.context.http().fetch(&HttpRequest::get(&self.argument)) {
                Ok(answer) => answer.status.to_string(),
                Err(refused) => format!("went on: {}", refused.message),
            },
            "connect or fail" => {
                std::net::TcpStream::connect(&self.argument)
                    .map_err(|cause| ConnectError::retriable(format!("no connection: {cause}")))?;
                "connected".to_owned()
            }
            "listen" => match std::net::TcpListener::bind(&self.argument) {
                Ok(_) => "listening".to_owned(),
                Err(cause) => format!("refused: {cause}"),
            },
            "datagram" => {
                let sent = std::net::UdpSocket::bind("0.0.0.0:0")
                    .and_then(|socket| socket.send_to(b"x", &self.argument));
                match sent {
                    Ok(_) => "sent".to_owned(),
                    Err(cause) => format!("refused: {cause}"),
                }
            }
            "write" => match std::fs::write(&self.argument, "written") {
                Ok(()) => "written".to_owned(),
                Err(cause) => format!("refused: {cause}"),
            },
            "clock" => {
                let (epoch, begun) = (std::time::UNIX_EPOCH, std::time::Instant::now());
                std::thread::sleep(std::time::Duration::from_millis(20));
                let since = epoch.elapsed().map_or(0, |since| since.as_millis());
                format!("{since} {}", begun.elapsed().as_millis())
            }
            "variable" => std::env::var(&self.argument).unwrap_or_else(|_| "unset".to_owned()),
            "fetch" => {
                let request = HttpRequest::post(&self.argument, "asked").header("x-asked", "yes");
                let answer = self.context.http().fetch(&request)?;
                format!("{} {}", answer.status, answer.text()?)
            }
            "begin" => {
                let http = self.context.http();
                let call = match self.call {
                    Some(call) => call,
                    None => *self.call.insert(http.begin(&HttpRequest::get(&self.argument))?),
                };
                match http.take(call) {
                    None => return Ok(Polled::Idle(None)),
                    Some(answer) => format!("{} after {} polls", answer?.status, self.polls),
                }
            }
            "report" => {
                self.context.report_state(Some("busy"));
                self.context.counter_add("things", &[("kind", "a")], 2);
                self.context.gauge_set("Not A Name", &[], 1.0);
                self.context.request_task_reconfiguration();
                self.context
                    .transaction_boundary(jackfield_api::TransactionBoundary::Commit);
                "reported".to_owned()
            }
            "environment" => std::env::vars()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
                .join(" "),
            "print" => {
                println!("printed");
                "printed".to_owned()
            }
            "watch" => self.context.watch_path(&self.argument).to_string(),
            "lag" => {
                self.context.report_lag(self.polls << 40, self.polls);
                self.polls.to_string()
            }
            "identity" => {
                self.context.log(LogLevel::Info, "says who it is");
                let stored = self.context.stored_offset(&self.argument);
                format!("{} {} {stored:?}", self.context.connector(), self.context.task())
            }
            _ => return Ok(Polled::Idle(Some(7))),
        };
        push(batch, &said)?;
        Ok(Polled::Records)
    }

    fn stop(&mut self) {
        if self.what == "panic in stop" {
            panic!("in stop");
        }
    }
}

/// A sink that cannot take anything.
#[derive(Debug)]
pub struct Panicking;

impl Connector for Panicking {
    const CLASS: &'static str = "jackfield.test.Panicking";
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        Misbehaving::config_def()
    }
}

impl Sink for Panicking {
    fn start(_config: &Config, _context: SinkContext) -> Result<Self, ConnectError> {
        Ok(Self)
    }

    fn put(&mut self, _batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        panic!("in put")
    }

    fn pre_commit(&mut self, _current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(Vec::new())
    }
}

fn push(batch: &mut BatchBuilder, text: &str) -> Result<(), ConnectError> {
    let topic = batch.topic("t")?;
    batch.push(
        &Record {
            value: Value::Utf8(text),
            ..record(topic)
        },
        &[],
    )?;
    Ok(())
}

fn record(topic: u16) -> Record<'static> {
    Record {
        topic,
        source_partition: None,
        partition: None,
        timestamp: None,
        offset: -1,
        sequence: 0,
        key: Value::Null,
        value: Value::Null,
        source_offset: None,
    }
}

/// Splits texts into words, or does what option `do` says.
#[derive(Debug)]
pub struct Splitting {
    what: String,
}

impl Connector for Splitting {
    const CLASS: &'static str = "jackfield.test.Splitting";
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        Misbehaving::config_def()
    }
}

impl Transform for Splitting {
    fn start(config: &Config, _context: TaskContext) -> Result<Self, ConnectError> {
        Ok(Self {
            what: config.string("do")?.to_owned(),
        })
    }

    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError> {
        match self.what.as_str() {
            "panic" => panic!("on demand"),
            "loop" => loop {
                std::hint::black_box(&self.what);
            },
            "retriable" => return Err(ConnectError::retriable("try again")),
            _ => {}
        }
        for found in batch.records() {
            let Value::Utf8(text) = found.record.value else {
                output.reject(&found, "not text");
                continue;
            };
            match self.what.as_str() {
                "split" => {
                    for word in text.split_whitespace() {
                        output.push(Draft::of(batch, &found).value(word))?;
                    }
                }
                // A record of its own, which has the number of none that was given.
                "invent" => {
                    output.keep(batch, &found)?;
                    output.push(Draft::new("t").value("invented"))?;
                    output.push(Draft::new("t").value("invented"))?;
                }
                "grow" => output.push(Draft::of(batch, &found).value(&"x".repeat(20 << 20)))?,
                _ => output.keep(batch, &found)?,
            }
        }
        Ok(())
    }
}

jackfield_api::export_plugin!(sources: [Misbehaving], sinks: [Panicking], transforms: [Splitting]);
