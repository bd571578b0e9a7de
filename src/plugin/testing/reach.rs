//! What components reach beyond `plugin.wasm.directories`: what their package asks for and the policy grants.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
};

use jackfield_api::ErrorKind;

use super::*;

/// The misbehaving source as a package `test` with these lines under `[capabilities]`, and this policy; `{root}` in it is
/// the directory the package lies in. Nothing is granted by any other way.
fn fixture(asks: &str, policy: &str) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    TestPackage {
        wasm: Some(&misbehaving()[1]),
        asks,
        ..TestPackage::default()
    }
    .write(root.path());
    let file = root.path().join("policy.toml");
    let policy = policy.replace("{root}", root.path().to_str().unwrap());
    fs::write(&file, format!("[[grant]]\npackage = \"test\"\n{policy}\n")).unwrap();
    let plugins = Plugins::discover(PluginConfig {
        native: NativePolicy::default(),
        policy: Policy::read(&file).unwrap(),
        environment: Variables::new(
            [("REGION", "north"), ("PASSWORD", "secret")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        ..config(root.path(), &[])
    });
    Fixture { root, plugins }
}

/// Doing this must fail with an error of kind config that contains `says`.
async fn check(fixture: &Fixture, what: &str, argument: &str, says: &str) {
    let error = fixture.poll(Form::Wasm, what, argument).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{what} {argument}: {error}");
    assert!(
        error.message.contains(says),
        "{what} {argument}: {error} does not say {says}"
    );
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Whether somebody has connected.
fn connected(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_host_and_port_is_connected_to() {
    let (listener, port) = listener();
    let asks = "tcp = [\"*:*\"]";
    for entry in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("127.0.0.0/8:{port}"),
        "127.0.0.1:*".to_owned(),
    ] {
        let fixture = fixture(asks, &format!("tcp = [\"{entry}\"]"));
        let host = entry.starts_with("localhost").then_some("localhost");
        let address = format!("{}:{port}", host.unwrap_or("127.0.0.1"));
        assert_eq!(
            fixture.says(Form::Wasm, "connect", &address).await,
            "connected",
            "{entry}"
        );
        assert!(connected(&listener), "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_granted_is_not_connected_to_and_the_line_is_named() {
    let (listener, port) = listener();
    let (other, other_port) = self::listener();
    let asks = "tcp = [\"*:*\"]";
    let section = "of [[grant]] package = \"test\" (line 2) in ";
    let fixture = fixture(
        asks,
        &format!("tcp = [\"localhost:{port}\", \"*:1\", \"*:{other_port}\"]"),
    );
    let literal = format!("127.0.0.1:{port}");
    check(
        &fixture,
        "connect or fail",
        &literal,
        &format!("add \"{literal}\" to tcp {section}"),
    )
    .await;
    let wrong = "localhost:2";
    check(
        &fixture,
        "connect or fail",
        wrong,
        &format!("add \"{wrong}\" to tcp {section}"),
    )
    .await;
    // Everything at this port, but nothing special.
    let special = format!("127.0.0.1:{other_port}");
    check(
        &fixture,
        "connect or fail",
        &special,
        "127.0.0.1 is a loopback address",
    )
    .await;
    assert!(!connected(&listener) && !connected(&other));

    let named = self::fixture("tcp = [\"*:*\"]", "tcp = [\"db.example:5432\"]");
    check(
        &named,
        "connect or fail",
        "other.example:5432",
        &format!("add \"other.example:*\" to tcp {section}"),
    )
    .await;
    let unasked = self::fixture("tcp = [\"db.example:5432\"]", "tcp = [\"*:*\"]");
    check(
        &unasked,
        "connect or fail",
        &literal,
        "is missing in tcp of [capabilities]",
    )
    .await;
    check(
        &unasked,
        "connect or fail",
        "localhost:1",
        "is missing in tcp of [capabilities]",
    )
    .await;
    assert!(!connected(&listener));
}

/// `localhost` stands for any name that leads to a special address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_to_a_special_address_is_not_resolved() {
    let (listener, port) = listener();
    let address = format!("localhost:{port}");
    let closed = fixture("tcp = [\"*:*\"]", &format!("tcp = [\"*:{port}\"]"));
    check(
        &closed,
        "connect or fail",
        &address,
        "is a loopback address, which is refused",
    )
    .await;
    check(
        &closed,
        "connect or fail",
        &address,
        "to addresses of [[grant]] package = \"test\" (line 2)",
    )
    .await;
    assert!(!connected(&listener));
    let opened = format!("tcp = [\"*:{port}\"]\naddresses = [\"127.0.0.0/8\"]");
    let opened = fixture("tcp = [\"*:*\"]", &opened);
    assert_eq!(opened.says(Form::Wasm, "connect", &address).await, "connected");
    assert!(connected(&listener));
}

/// A plugin that knows what to do without a connection goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_the_plugin_deals_with_is_no_error() {
    let (listener, port) = listener();
    let fixture = fixture("tcp = [\"*:*\"]\nhttp = [\"*\"]", "tcp = [\"db.example:5432\"]");
    let address = format!("127.0.0.1:{port}");
    for address in [&address, "localhost:1"] {
        let said = fixture.says(Form::Wasm, "connect", address).await;
        assert!(said.starts_with("refused: "), "{said}");
    }
    let url = format!("http://{address}");
    let said = fixture.says(Form::Wasm, "fetch or go on", &url).await;
    assert!(said.starts_with("went on: package test may not reach "), "{said}");
    // Another error of the same call keeps its kind, and the refusal is mentioned.
    let polled = fixture.poll(Form::Wasm, "connect and fail", &address).await;
    let error = polled.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    assert!(
        error.message.starts_with("another cause; in the same call: "),
        "{error}"
    );
    assert!(!connected(&listener));
}

/// Answers one request per connection with 201 and what was asked.
fn http_server() -> u16 {
    use std::io::{BufRead, BufReader, Read, Write};
    let (listener, port) = listener();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            let mut asked = String::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(bytes) = line.strip_prefix("content-length: ") {
                    length = bytes.parse().unwrap();
                }
                if line.starts_with("x-asked: ") || asked.is_empty() {
                    asked.push_str(&line);
                    asked.push(' ');
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            asked.push_str(&String::from_utf8(body).unwrap());
            write!(
                stream,
                "HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{asked}",
                asked.len()
            )
            .unwrap();
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_make_requests_through_the_host() {
    let port = http_server();
    let url = format!("http://127.0.0.1:{port}/path");
    let native = Fixture::new(Limits::default());
    let granted = fixture("http = [\"*\"]", &format!("http = [\"http://127.0.0.1:{port}\"]"));
    for (fixture, form) in [(&native, Form::Native), (&granted, Form::Wasm)] {
        assert_eq!(
            fixture.says(form, "fetch", &url).await,
            "201 post /path http/1.1 x-asked: yes asked",
            "{form}"
        );
        let services = Services::default();
        let config = entries(&[("do", "begin"), ("argument", &url)]);
        let class = fixture.load(form).await;
        let mut source = class.start_source(&config, services.task()).await.unwrap();
        let answered = loop {
            match source.poll(POLL).await.unwrap() {
                Polled::Batch(batch) => break texts(&batch).remove(0),
                // Until it is woken.
                Polled::Idle(time) => assert_eq!(time, None, "{form}"),
            }
            tokio::time::timeout(DEADLINE, services.wake.notified())
                .await
                .unwrap();
        };
        assert!(answered.starts_with("201 after "), "{form}: {answered}");
    }
    let refused = fixture("http = [\"*\"]", "");
    let says = format!("add \"http://127.0.0.1:{port}\" to http");
    check(&refused, "fetch", &url, &says).await;
    let unasked = fixture("", &format!("http = [\"http://127.0.0.1:{port}\"]"));
    check(&unasked, "fetch", &url, "plugin.toml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_or_sends_datagrams() {
    let fixture = fixture(
        "tcp = [\"*:*\"]",
        "tcp = [\"*:*\", \"127.0.0.1:*\"]\naddresses = [\"0.0.0.0/8\"]",
    );
    for address in ["127.0.0.1:0", "0.0.0.0:0", "0.0.0.0:40123"] {
        let said = fixture.says(Form::Wasm, "listen", address).await;
        assert!(said.starts_with("refused"), "{address}: {said}");
    }
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let said = fixture.says(Form::Wasm, "datagram", &address).await;
    assert!(said.starts_with("refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_clocks_stand_still_and_waiting_works() {
    let blind = fixture("", "clock = true");
    assert_eq!(blind.says(Form::Wasm, "clock", "").await, "0 0");
    let seeing = fixture("clock = true", "clock = true");
    let said = seeing.says(Form::Wasm, "clock", "").await;
    let (since, waited) = said.split_once(' ').unwrap();
    assert!(since.parse::<u64>().unwrap() > 1_700_000_000_000, "{said}");
    assert!(waited.parse::<u64>().unwrap() >= 20, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_variables_that_are_asked_and_granted_are_there() {
    let asks = "environment = [\"REGION\", \"UNSET\"]";
    let fixture = fixture(asks, "environment = [\"REGION\", \"UNSET\", \"PASSWORD\"]");
    assert_eq!(fixture.says(Form::Wasm, "environment", "").await, "REGION");
    assert_eq!(fixture.says(Form::Wasm, "variable", "REGION").await, "north");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_lacks_the_clock_or_a_variable_is_not_started() {
    for (asks, says) in [
        (
            "clock = true",
            "set clock = true in [[grant]] package = \"test\" (line 2) in ",
        ),
        (
            "environment = [\"PASSWORD\"]",
            "add \"PASSWORD\" to environment of [[grant]] package = \"test\" (line 2) in ",
        ),
    ] {
        let fixture = fixture(asks, "environment = [\"REGION\"]");
        let plugin = fixture.load(Form::Wasm).await;
        let config = entries(&[("do", "idle")]);
        let started = plugin.start_source(&config, Services::default().task()).await;
        for error in [
            started.map(drop).unwrap_err(),
            plugin.task_configs(&config, 1).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Config, "{asks}");
            assert!(error.message.contains(says), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
        assert_eq!(
            plugin.validate(&config).await.unwrap(),
            [],
            "its config can be written before"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_packages_have_the_clock_they_ask_for() {
    let load = |own_directories: Vec<PathBuf>| {
        let native = NativePolicy {
            own_directories,
            allow: Vec::new(),
        };
        Plugins::discover(PluginConfig {
            native,
            ..config(shipped(), &[shipped()])
        })
    };
    let file = shipped().join("missing.txt");
    let config = entries(&[("file", file.to_str().unwrap()), ("topic", "t")]);
    let start = async |plugins: &Plugins| {
        let plugin = plugins.load("FileStreamSource", Some(Form::Wasm)).await.unwrap();
        let started = plugin.start_source(&config, Services::default().task()).await;
        started.map(drop)
    };
    start(&load(vec![shipped().to_owned()])).await.unwrap();
    let error = start(&load(Vec::new())).await.unwrap_err();
    assert!(
        error
            .message
            .contains("[[grant]]\npackage = \"jackfield-file\"\nclock = true"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_of_the_policy_are_open_as_far_as_it_says() {
    let fixture = fixture(
        "",
        "directories = [{ path = \"{root}/in\", access = \"read\" }, { path = \"{root}/out\", access = \"read-write\" }]",
    );
    let root = fixture.root.path();
    for directory in ["in", "out", "private"] {
        fs::create_dir(root.join(directory)).unwrap();
        fs::write(root.join(directory).join("file"), directory).unwrap();
    }
    // Links to a file and to a directory, absolute and relative.
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join("out").join(name)).unwrap();
    link(root.join("private/file").to_str().unwrap(), "absolute");
    link("../private/file", "relative");
    link("../private", "directory");
    link("file", "inside");
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let does = async |what: &str, name: &str| fixture.says(Form::Wasm, what, &path(name)).await;
    assert_eq!(does("read", "in/file").await, "in");
    assert_eq!(does("read", "out/file").await, "out");
    assert_eq!(does("read", "out/inside").await, "out");
    assert_eq!(does("write", "out/new").await, "written");
    for (what, name) in [
        ("write", "in/new"),
        ("write", "in/file"),
        ("read", "private/file"),
        ("read", "out/absolute"),
        ("read", "out/relative"),
        ("read", "out/directory/file"),
        ("read", "out/../private/file"),
        ("write", "out/absolute"),
        ("write", "out/directory/new"),
    ] {
        let said = does(what, name).await;
        assert!(said.starts_with("refused"), "{what} {name}: {said}");
    }
    assert_eq!(fs::read_to_string(root.join("in/file")).unwrap(), "in");
    assert_eq!(fs::read_to_string(root.join("private/file")).unwrap(), "private");
    let private = path("private/file");
    let directory = path("private");
    let says =
        format!("add {{ path = \"{directory}\", access = \"read-write\" }} to directories of [[grant]]");
    check(&fixture, "watch", &private, &says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_directory_of_the_policy_names_the_line() {
    let fixture = fixture(
        "",
        "\ndirectories = [{ path = \"{root}/later\", access = \"read\" }]",
    );
    let plugin = fixture.load(Form::Wasm).await;
    let config = entries(&[("do", "idle")]);
    let start = || plugin.start_source(&config, Services::default().task());
    let error = start().await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.contains("policy.toml, line 4: ") && error.message.contains("/later: "),
        "{error}"
    );
    fs::create_dir(fixture.root.path().join("later")).unwrap();
    start().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_holds_for_what_is_started_then() {
    let fixture = fixture("clock = true", "");
    let plugin = fixture.load(Form::Wasm).await;
    let config = entries(&[("do", "idle")]);
    let start = || plugin.start_source(&config, Services::default().task());
    assert!(start().await.is_err());
    let file = fixture.root.path().join("policy.toml");
    fs::write(&file, "[[grant]]\npackage = \"test\"\nclock = true\n").unwrap();
    start().await.unwrap();
}
