//! What a plugin does wrong is its own task's error, with the right kind and a message that helps.

use std::fs;

use jackfield_api::ErrorKind;

use super::*;

/// Checks one misdeed: the error's kind and what its message says.
async fn check(fixture: &Fixture, form: Form, what: &str, kind: ErrorKind, says: &[&str]) {
    let error = tokio::time::timeout(DEADLINE, fixture.poll(form, what, ""))
        .await
        .expect("ended")
        .unwrap_err();
    assert_eq!(error.kind, kind, "{form} {what}: {error}");
    for part in says {
        assert!(
            error.message.contains(part),
            "{form} {what}: {error} does not say {part:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_keep_their_kind_and_defects_are_fatal() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        check(&fixture, form, "retriable", ErrorKind::Retriable, &["try again"]).await;
        check(&fixture, form, "data", ErrorKind::Data, &["bad record"]).await;
        check(&fixture, form, "config", ErrorKind::Config, &["bad option"]).await;
        check(&fixture, form, "fatal", ErrorKind::Fatal, &["the end"]).await;
        check(&fixture, form, "panic", ErrorKind::Fatal, &["on demand"]).await;
        check(
            &fixture,
            form,
            "many",
            ErrorKind::Fatal,
            &["501 records, at most 500"],
        )
        .await;
        check(
            &fixture,
            form,
            "large",
            ErrorKind::Fatal,
            &["at most 1048576 and one record"],
        )
        .await;
        check(
            &fixture,
            form,
            "typed",
            ErrorKind::Fatal,
            &["does not fit its schema", "1000"],
        )
        .await;
        check(
            &fixture,
            form,
            "partition",
            ErrorKind::Fatal,
            &["[1] is not a JSON object"],
        )
        .await;

        let plugin = fixture.load(form).await;
        let started = plugin
            .start_source(&entries(&[("do", "refuse")]), Services::default().task())
            .await;
        let error = started.map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Config, "refused on demand"),
            "{form}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_task_repeats_its_error_and_harms_no_other() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        let mut good = fixture.start(form, "identity", "").await;
        let mut bad = fixture.start(form, "panic", "").await;
        let first = bad.poll(POLL).await.unwrap_err();
        assert_eq!(bad.poll(POLL).await.unwrap_err(), first, "{form}");
        assert_eq!(bad.committed(1).await.unwrap_err(), first, "{form}");
        bad.stop().await;
        assert!(matches!(good.poll(POLL).await, Ok(Polled::Batch(_))), "{form}");
        good.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retriable_error_leaves_the_task_alive() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        let mut task = fixture.start(form, "retriable", "").await;
        for _ in 0..2 {
            assert_eq!(
                task.poll(POLL).await.unwrap_err().kind,
                ErrorKind::Retriable,
                "{form}"
            );
        }
        task.committed(0).await.unwrap();
        task.stop().await;
    }
}

/// On one thread, so that a loop that did not yield would hold up the clock too.
#[tokio::test]
async fn an_endless_loop_yields_and_is_ended() {
    let cpu = Duration::from_millis(300);
    let fixture = Fixture::new(Limits {
        cpu,
        ..Limits::default()
    });
    let mut task = fixture.start(Form::Wasm, "loop", "").await;
    let mut beats = 0;
    let heart = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            beats += 1;
        }
    };
    let error = tokio::select! {
        polled = task.poll(POLL) => polled.unwrap_err(),
        () = heart => unreachable!("it beats for ever"),
    };
    assert!(
        error
            .message
            .contains("it computed for more than 300ms in one call"),
        "{error}"
    );
    assert!(beats >= 5, "other work went on: {beats} beats");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_past_its_deadline_is_given_up() {
    let poll = Duration::from_millis(100);
    let fixture = Fixture::new(Limits {
        poll,
        ..Limits::default()
    });
    for (form, says) in [
        (Form::Native, "its thread may go on"),
        (Form::Wasm, "the task is discarded"),
    ] {
        let mut task = fixture.start(form, "sleep", "1").await;
        let error = task.poll(POLL).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert!(
            error.message.contains("did not return within 0.1 s"),
            "{form}: {error}"
        );
        assert!(error.message.contains(says), "{form}: {error}");
        assert_eq!(task.poll(POLL).await.unwrap_err(), error, "{form}");
        task.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_limited() {
    let fixture = Fixture::new(Limits {
        memory_bytes: 64 << 20,
        ..Limits::default()
    });
    assert_eq!(
        fixture.says(Form::Wasm, "allocate", "20").await,
        format!("{} bytes", 20 << 20)
    );
    let error = fixture.poll(Form::Wasm, "allocate", "100").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(
        error.message.contains("MiB of memory, the limit is 64 MiB"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_is_limited() {
    let fixture = Fixture::new(Limits {
        hostcall_bytes: 1 << 20,
        ..Limits::default()
    });
    let error = fixture.poll(Form::Wasm, "large", "").await.unwrap_err();
    assert!(error.message.contains("too much data"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_reaches_what_is_granted_and_nothing_else() {
    let fixture = Fixture::new(Limits::default());
    let inside = fixture.granted().join("inside.txt");
    let outside = fixture.root.path().join("outside.txt");
    let link = fixture.granted().join("link.txt");
    fs::write(&inside, "granted").unwrap();
    fs::write(&outside, "secret").unwrap();
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let climb = fixture.granted().join("../outside.txt");
    assert_eq!(
        fixture.says(Form::Wasm, "read", inside.to_str().unwrap()).await,
        "granted"
    );
    for path in [&outside, &link, &climb] {
        let said = fixture.says(Form::Wasm, "read", path.to_str().unwrap()).await;
        assert!(said.starts_with("refused"), "{}: {said}", path.display());
    }
    assert!(
        fixture
            .says(Form::Wasm, "read", "/etc/passwd")
            .await
            .starts_with("refused")
    );

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(fixture.says(Form::Native, "connect", &address).await, "connected");
    let error = fixture
        .poll(Form::Wasm, "connect or fail", &address)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.contains("is missing in tcp of [capabilities]"),
        "{error}"
    );

    assert!(
        fixture
            .says(Form::Native, "environment", "")
            .await
            .contains("PATH")
    );
    assert_eq!(fixture.says(Form::Wasm, "environment", "").await, "");
    assert_eq!(fixture.says(Form::Wasm, "print", "").await, "printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_outside_of_the_granted_directories_says_which_key_to_set() {
    let fixture = Fixture::new(Limits::default());
    let inside = fixture.granted().join("later.txt");
    assert_eq!(
        fixture.says(Form::Wasm, "watch", inside.to_str().unwrap()).await,
        "true"
    );
    for path in [
        "/etc/passwd",
        "relative.txt",
        inside.join("../../x").to_str().unwrap(),
    ] {
        let error = fixture.poll(Form::Wasm, "watch", path).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains("plugin.wasm.directories"), "{error}");
    }
    assert_eq!(fixture.says(Form::Native, "watch", "/etc/passwd").await, "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_a_watched_directory_wakes() {
    let fixture = Fixture::new(Limits::default());
    let directory = fixture.granted();
    for form in BOTH {
        let services = Services::default();
        let config = entries(&[("do", "watch"), ("argument", directory.to_str().unwrap())]);
        let plugin = fixture.load(form).await;
        let mut task = plugin.start_source(&config, services.task()).await.unwrap();
        match task.poll(POLL).await.unwrap() {
            Polled::Batch(batch) => assert_eq!(texts(&batch), ["true"], "{form}"),
            Polled::Idle(_) => panic!("{form}: idle"),
        }
        let woken = || tokio::time::timeout(DEADLINE, services.wake.notified());
        woken().await.expect("told that watching has begun");
        for step in 0..3 {
            fs::write(directory.join(format!("{form}-{}", step / 2)), "changed").unwrap();
            woken()
                .await
                .unwrap_or_else(|_| panic!("{form}: woken in step {step}"));
            // What one step gave rise to does not count for the next.
            while tokio::time::timeout(Duration::from_millis(50), services.wake.notified())
                .await
                .is_ok()
            {}
        }
        task.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_gets_only_what_it_asks_for() {
    let root = tempfile::tempdir().unwrap();
    let wasm = Some(misbehaving()[1].as_path());
    TestPackage {
        wasm,
        directories: "none",
        ..TestPackage::default()
    }
    .write(root.path());
    let file = root.path().join("file.txt");
    fs::write(&file, "text").unwrap();
    let plugins = Plugins::discover(config(root.path(), &[root.path()]));
    let fixture = Fixture { root, plugins };
    assert!(
        fixture
            .says(Form::Wasm, "read", file.to_str().unwrap())
            .await
            .starts_with("refused")
    );
    let error = fixture
        .poll(Form::Wasm, "watch", file.to_str().unwrap())
        .await
        .unwrap_err();
    assert!(error.message.contains("does not ask for directories"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_granted_directory_names_the_key() {
    let root = tempfile::tempdir().unwrap();
    TestPackage {
        wasm: Some(&misbehaving()[1]),
        ..TestPackage::default()
    }
    .write(root.path());
    let plugins = Plugins::discover(config(root.path(), &[Path::new("/nowhere/at/all")]));
    let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
    assert!(
        error.contains("plugin.wasm.directories: /nowhere/at/all"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_know_their_task() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        let plugin = fixture.load(form).await;
        assert_eq!(plugin.form(), form);
        let names: Vec<_> = plugin
            .config_def()
            .keys
            .iter()
            .map(|key| key.name.as_str())
            .collect();
        assert_eq!(names, ["do", "argument"], "{form}");
        let mut services = Services::default();
        let offsets = &mut services.stored.offsets;
        offsets.insert("{\"a\":1}".to_owned(), "{\"n\":2}".to_owned());
        let config = entries(&[("do", "identity"), ("argument", "{\"a\":1}")]);
        let mut task = plugin.start_source(&config, services.task()).await.unwrap();
        match task.poll(POLL).await.unwrap() {
            Polled::Batch(batch) => assert_eq!(texts(&batch), [r#"test 3 Some("{\"n\":2}")"#], "{form}"),
            Polled::Idle(_) => panic!("{form}: idle"),
        }
        task.stop().await;
        let issues = plugin.validate(&entries(&[("argument", "x")])).await.unwrap();
        assert_eq!(issues[0].name, "do", "{form}");
        let configs = plugin.task_configs(&entries(&[("do", "x")]), 4).await.unwrap();
        assert_eq!(configs, [entries(&[("do", "x")])], "{form}");
        assert!(
            plugin.start_sink(&config, services.task()).await.is_err(),
            "{form}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_report_of_a_task_is_its_lag() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        let services = Services::default();
        let plugin = fixture.load(form).await;
        let mut task = plugin
            .start_source(&entries(&[("do", "lag")]), services.task())
            .await
            .unwrap();
        assert_eq!(services.report.lag(), None, "{form}");
        for polls in 1..=2 {
            task.poll(POLL).await.unwrap();
            let reported = Lag {
                bytes: polls << 40,
                files: polls,
            };
            assert_eq!(services.report.lag(), Some(reported), "{form}");
        }
        task.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_tasks_have_no_threads() {
    const TASKS: usize = 100;
    let fixture = Fixture::new(Limits::default());
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let mut tasks = Vec::new();
    let mut before = 0;
    for count in 0..2 * TASKS {
        let mut task = fixture.start(BOTH[count % 2], "idle", "").await;
        assert!(matches!(task.poll(POLL).await.unwrap(), Polled::Idle(Some(7))));
        tasks.push(task);
        if count == 9 {
            // The runtime's own threads and the hosts' are there now.
            before = threads();
        }
    }
    let after = threads();
    // Other tests of this process come and go meanwhile.
    assert!(
        after < before + TASKS / 2,
        "{before} threads with 10 tasks, {after} with {}",
        2 * TASKS
    );
    for task in tasks {
        task.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_task_says_and_wants_reaches_the_worker() {
    let fixture = Fixture::new(Limits::default());
    for form in BOTH {
        let (services, asked) = (Services::default(), Arc::new(Notify::new()));
        let task = TaskServices {
            wishes: Arc::new(crate::TaskWishes::new(Arc::clone(&asked))),
            ..services.task()
        };
        let wishes = Arc::clone(&task.wishes);
        let config = entries(&[("do", "report")]);
        let class = fixture.load(form).await;
        let mut source = class.start_source(&config, task).await.unwrap();
        drop(source.poll(POLL).await.unwrap());
        assert_eq!(services.report.state().as_deref(), Some("busy"), "{form}");
        let labels = vec![("kind".to_owned(), "a".to_owned())];
        assert_eq!(
            services.report.metrics().series(),
            [(
                "things".to_owned(),
                labels,
                crate::metrics::MetricValue::Counter(2.0)
            )],
            "{form}"
        );
        tokio::time::timeout(DEADLINE, asked.notified()).await.unwrap();
        let boundary = jackfield_api::TransactionBoundary::Commit;
        assert_eq!(wishes.take_boundary(), Some(boundary), "{form}");
    }
}
