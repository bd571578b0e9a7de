//! The sinks of the file connector on a disk that is full.

use super::*;

/// A file system of this size on a directory, unmounted at the end; `None` when this process may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

/// While the disk is full nothing of a batch stays and the same batch may come again; with space it arrives once.
async fn drive_full_disk(form: Form) {
    let Some(disk) = SmallDisk::mount(256 << 10) else {
        return;
    };
    let directory = disk.0.path();
    let path = directory.join("sink.txt");
    let filler = directory.join("filler");
    let plugin = load(directory, "FileStreamSink", form).await;
    let config = entries(&[("file", path.to_str().unwrap()), ("topics", "t")]);
    let services = Services::default();
    let mut sink = plugin.start_sink(&config, services.task()).await.unwrap();
    sink.open(&[position(-1, "")]).await.unwrap();
    sink.put(sink_batch(&["first"], 0)).await.unwrap();
    fs::write(&filler, vec![0; 128 << 10]).unwrap();
    let line = "x".repeat(200 << 10);
    for _ in 0..3 {
        let error = sink.put(sink_batch(&[&line], 1)).await.unwrap_err();
        assert_eq!(error.kind, jackfield_api::ErrorKind::Retriable, "{form}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n", "{form}");
    }
    fs::remove_file(&filler).unwrap();
    sink.put(sink_batch(&[&line], 1)).await.unwrap();
    sink.pre_commit(&[position(2, "")]).await.unwrap();
    sink.stop().await;
    assert!(
        fs::read_to_string(&path).unwrap() == format!("first\n{line}\n"),
        "{form}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_in_both_forms() {
    for form in BOTH {
        drive_full_disk(form).await;
    }
}

/// A batch of which a part was written before the disk was full is continued, also after a restart from the commit.
async fn drive_full_disk_of_rolling_files(form: Form) {
    let Some(disk) = SmallDisk::mount(512 << 10) else {
        return;
    };
    let root = disk.0.path();
    let filler = root.join("filler");
    let plugin = load(root, "FileStreamSink", form).await;
    let config = rolling(root);
    let services = Services::default();
    let mut sink = plugin.start_sink(&config, services.task()).await.unwrap();
    sink.open(&[position(-1, "")]).await.unwrap();
    sink.put(sink_batch(&["first"], 0)).await.unwrap();
    fs::write(&filler, vec![0; 384 << 10]).unwrap();
    let long = "x".repeat(200 << 10);
    let rest = ["second", &long, "fourth", "fifth"];
    for _ in 0..3 {
        let error = sink.put(sink_batch(&rest, 1)).await.unwrap_err();
        assert_eq!(error.kind, jackfield_api::ErrorKind::Retriable, "{form}: {error}");
        let error = sink.pre_commit(&[position(1, "")]).await.unwrap_err();
        assert_eq!(error.kind, jackfield_api::ErrorKind::Retriable, "{form}: {error}");
    }
    fs::remove_file(&filler).unwrap();
    // The worker still stands before the batch, of which two records are in the files.
    let committed = sink.pre_commit(&[position(1, "")]).await.unwrap();
    assert_eq!(committed[0].offset, 1, "{form}");
    sink.stop().await;
    let mut sink = opened(&*plugin, &config, &services, &committed).await;
    sink.put(sink_batch(&rest, 1)).await.unwrap();
    let committed = sink
        .pre_commit(&[position(5, &committed[0].metadata)])
        .await
        .unwrap();
    sink.pre_commit(&committed).await.unwrap();
    sink.stop().await;
    let contents: Vec<_> = files_of(root).into_iter().map(|(_, content)| content).collect();
    assert!(
        contents
            == [
                "fifth\n".to_owned(),
                "first\nsecond\n".to_owned(),
                format!("{long}\nfourth\n")
            ],
        "{form}: {:?}",
        contents.iter().map(String::len).collect::<Vec<_>>()
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_repeats_nothing_in_rolling_files_in_both_forms() {
    for form in BOTH {
        drive_full_disk_of_rolling_files(form).await;
    }
}
