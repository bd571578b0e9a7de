//! Requests at a running broker, over a socket: whatever a client sends is answered, or ends its connection, and others are
//! served as before.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    panic,
    path::PathBuf,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_broker::{Broker, BrokerConfig};
use jackfield_env::Env;
use tokio::runtime::{Builder, Runtime};

/// After so many inputs a new broker begins with nothing.
const RUNS_PER_BROKER: u32 = 2_000;
/// Answers that take longer are waited for by their clients: of a fetch without records, of a member that joins.
const ANSWER: Duration = Duration::from_millis(20);
/// Nothing takes the broker so long.
const DEADLINE: Duration = Duration::from_secs(20);
/// What the names of options have that limit connections.
const LIMITED: &[u8] = b"connections";
/// Name of the broker's threads.
const THREAD: &str = "fuzzed-broker";

/// One of the broker's threads panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// A broker, and how often it was used.
struct Server {
    address: SocketAddr,
    directory: PathBuf,
    runs: u32,
    runtime: Option<Runtime>,
    broker: Broker,
}

impl Server {
    fn start() -> Self {
        static HOOK: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if thread::current().name() == Some(THREAD) {
                    PANICKED.store(true, Ordering::SeqCst);
                }
                before(info);
            }));
        });
        // Files in memory, where there are such.
        let shared = PathBuf::from("/dev/shm");
        let parent = if shared.is_dir() {
            shared
        } else {
            std::env::temp_dir()
        };
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let directory = parent.join(format!("jackfield-requests-{}-{number}", std::process::id()));
        let properties: BTreeMap<String, String> = [
            ("log.dirs", directory.to_str().expect("an ASCII path")),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("durability", "os"),
            ("offsets.topic.num.partitions", "2"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(THREAD)
            .enable_all()
            .build()
            .expect("a runtime");
        let (broker, address) = runtime.block_on(async {
            let config = BrokerConfig::parse(&properties).expect("good options");
            let broker = Broker::open(config, Env::real()).await.expect("a broker");
            let address = broker.listen().await.expect("a free port")[0];
            (broker, address)
        });
        Self {
            address,
            directory,
            runs: 0,
            runtime: Some(runtime),
            broker,
        }
    }

    /// Sends frames, each behind its length in two bytes, on one connection; reads what comes until nothing does.
    fn run(&mut self, mut data: &[u8]) {
        self.runs += 1;
        let mut frames = Vec::new();
        while let [high, low, rest @ ..] = data {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
            let (frame, behind) = rest.split_at(length);
            data = behind;
            // It may well be told to serve nobody: `max.connections=0`.
            if frame.windows(LIMITED.len()).any(|bytes| bytes == LIMITED) {
                continue;
            }
            frames.extend(u32::try_from(length).expect("two bytes").to_be_bytes());
            frames.extend(frame);
        }
        let mut stream = self.connect();
        stream.set_read_timeout(Some(ANSWER)).expect("a time");
        // The broker may hang up at any byte.
        let sent = stream
            .write_all(&frames)
            .and_then(|()| stream.shutdown(Shutdown::Write));
        if sent.is_ok() {
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        }
        self.check();
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, DEADLINE).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    /// Somebody else is answered.
    fn check(&self) {
        // ApiVersions, version 0, correlation id 7, no client id.
        let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
        let mut stream = self.connect();
        stream.set_read_timeout(Some(DEADLINE)).expect("a time");
        let mut answer = [0; 10];
        let answered = stream
            .write_all(&request)
            .and_then(|()| stream.read_exact(&mut answer));
        answered.expect("the broker serves others");
        assert_eq!(answer[4..], [0, 0, 0, 7, 0, 0], "correlation id and no error");
        assert!(
            !PANICKED.load(Ordering::SeqCst),
            "a thread of the broker panicked"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.broker.shutdown(DEADLINE));
            runtime.shutdown_timeout(DEADLINE);
        }
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// Sends requests on a connection of their own.
pub fn requests(data: &[u8]) {
    static SERVER: Mutex<Option<Server>> = Mutex::new(None);
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server
        .as_ref()
        .is_some_and(|server| server.runs >= RUNS_PER_BROKER)
    {
        *server = None;
    }
    server.get_or_insert_with(Server::start).run(data);
}
