//! What wakes and what does not, with real files.

use std::{fs, io::Write};

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

async fn woken(wake: &Notify) {
    tokio::time::timeout(DEADLINE, wake.notified())
        .await
        .expect("woken within the deadline");
}

/// Waits until the watcher has settled: notified (or polled) as `wanted`, and nothing left to set up.
async fn settled(watcher: &Watcher, wanted: fn(&Entry) -> bool) {
    let settled = || watcher.shared.entries().by_id.values().all(wanted);
    tokio::time::timeout(DEADLINE, async {
        while !settled() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not settled: {watcher:?}"));
}

fn notified(entry: &Entry) -> bool {
    entry.poll.is_none() && !entry.places.is_empty()
}

fn looked_at(entry: &Entry) -> bool {
    entry.poll.is_some_and(|poll| poll.stamp.is_some()) && entry.places.is_empty()
}

/// The operating system tells, and we look as well.
fn both(entry: &Entry) -> bool {
    entry.poll.is_some_and(|poll| poll.stamp.is_some()) && !entry.places.is_empty()
}

fn append(path: &Path) {
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(b"line\n")
        .unwrap();
}

/// Waits until nothing of the past can wake any more: events come in order, and looking is done in rounds.
async fn calm(watcher: &Watcher, barrier: &(PathBuf, Arc<Notify>), ready: fn(&Entry) -> bool, wake: &Notify) {
    for _ in 0..2 {
        settled(watcher, ready).await;
        append(&barrier.0);
        woken(&barrier.1).await;
    }
    settled(watcher, ready).await;
    while tokio::time::timeout(Duration::ZERO, wake.notified())
        .await
        .is_ok()
    {}
}

/// Each step on the file must wake whoever watches `watched`, a path below the directory (empty = the directory itself).
async fn follow(watcher: Arc<Watcher>, ready: fn(&Entry) -> bool, watched: &str, steps: &[fn(&Path)]) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().canonicalize().unwrap().join("logs");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("test.txt");
    let wake = Arc::new(Notify::new());
    let watched = if watched.is_empty() {
        directory.clone()
    } else {
        directory.join(watched)
    };
    let watch = watcher.watch(&watched, Arc::clone(&wake));
    let barrier = (root.path().join("barrier"), Arc::new(Notify::new()));
    let other = watcher.watch(&barrier.0, Arc::clone(&barrier.1));
    woken(&wake).await;
    woken(&barrier.1).await;
    for step in steps {
        calm(&watcher, &barrier, ready, &wake).await;
        step(&path);
        woken(&wake).await;
    }
    drop((watch, other));
    assert!(watcher.shared.entries().by_id.is_empty());
}

/// What happens to a file: it appears, grows and goes.
const OF_A_FILE: [fn(&Path); 4] = [append, append, remove, append];
/// What happens in a directory; then to the directory itself.
const OF_A_DIRECTORY: [fn(&Path); 8] = [
    append,
    append,
    rotate,
    append,
    truncate,
    remove,
    replace_directory,
    append,
];

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn rotate(path: &Path) {
    fs::rename(path, path.with_extension("txt.1")).unwrap();
}

fn truncate(path: &Path) {
    fs::File::options().write(true).truncate(true).open(path).unwrap();
}

fn replace_directory(path: &Path) {
    let directory = path.parent().unwrap();
    fs::rename(directory, directory.with_extension("old")).unwrap();
    fs::create_dir(directory).unwrap();
}

fn polling() -> Arc<Watcher> {
    Watcher::with(true, Duration::from_millis(5))
}

#[tokio::test]
async fn a_file_that_appears_grows_and_goes_wakes() {
    follow(Watcher::new(), notified, "test.txt", &OF_A_FILE).await;
}

#[tokio::test]
async fn polling_sees_the_same() {
    follow(polling(), looked_at, "test.txt", &OF_A_FILE).await;
}

#[tokio::test]
async fn whatever_happens_in_a_directory_wakes() {
    follow(Watcher::new(), notified, "", &OF_A_DIRECTORY).await;
}

#[tokio::test]
async fn polling_a_directory_sees_the_same() {
    follow(polling(), looked_at, "", &OF_A_DIRECTORY).await;
}

#[tokio::test]
async fn a_directory_with_links_is_looked_at_as_well() {
    let watcher = Watcher::with(false, Duration::from_millis(5));
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let (directory, target) = (root.join("logs"), root.join("elsewhere/target.txt"));
    fs::create_dir(&directory).unwrap();
    fs::create_dir(root.join("elsewhere")).unwrap();
    append(&target);
    let wake = Arc::new(Notify::new());
    let _watch = watcher.watch(&directory, Arc::clone(&wake));
    settled(&watcher, notified).await;
    std::os::unix::fs::symlink(&target, directory.join("link.txt")).unwrap();
    settled(&watcher, both).await;
    while tokio::time::timeout(Duration::from_millis(50), wake.notified())
        .await
        .is_ok()
    {}
    append(&target);
    woken(&wake).await;
}

#[tokio::test]
async fn giving_up_one_name_of_a_directory_leaves_the_other() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let (directory, link) = (root.join("logs"), root.join("link"));
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    let watcher = Watcher::new();
    let (wake, other) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let _watch = watcher.watch(&directory.join("test.txt"), Arc::clone(&wake));
    let by_link = watcher.watch(&link.join("test.txt"), Arc::clone(&other));
    woken(&wake).await;
    woken(&other).await;
    append(&directory.join("test.txt"));
    woken(&wake).await;
    drop(by_link);
    settled(&watcher, notified).await;
    append(&directory.join("barrier"));
    while tokio::time::timeout(Duration::ZERO, wake.notified())
        .await
        .is_ok()
    {}
    append(&directory.join("test.txt"));
    woken(&wake).await;
}

#[tokio::test]
async fn a_directory_that_appears_later_is_watched() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("later/test.txt");
    let watcher = Watcher::new();
    let wake = Arc::new(Notify::new());
    let _watch = watcher.watch(&path, Arc::clone(&wake));
    settled(&watcher, looked_at).await;
    woken(&wake).await;
    fs::create_dir(root.path().join("later")).unwrap();
    settled(&watcher, notified).await;
    woken(&wake).await;
    append(&path);
    woken(&wake).await;
}

#[tokio::test]
async fn a_change_behind_a_link_wakes() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("elsewhere/target.txt");
    fs::create_dir(root.path().join("elsewhere")).unwrap();
    append(&target);
    let link = root.path().join("link.txt");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let watcher = Watcher::new();
    let wake = Arc::new(Notify::new());
    let _watch = watcher.watch(&link, Arc::clone(&wake));
    settled(&watcher, both).await;
    woken(&wake).await;
    append(&target);
    woken(&wake).await;
}

#[tokio::test]
async fn other_files_wake_nobody_and_the_keeper_rests() {
    let root = tempfile::tempdir().unwrap();
    let watcher = Watcher::new();
    let (one, two) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let _first = watcher.watch(&root.path().join("one"), Arc::clone(&one));
    let second = watcher.watch(&root.path().join("two"), Arc::clone(&two));
    settled(&watcher, notified).await;
    woken(&one).await;
    woken(&two).await;
    append(&root.path().join("two"));
    woken(&two).await;
    settled(&watcher, notified).await;
    // Events come in order, so the next one for `two` proves that `one` was passed over.
    let silent = tokio::time::timeout(Duration::ZERO, one.notified()).await;
    assert!(silent.is_err(), "a change of another file woke");
    drop(second);
    tokio::time::timeout(DEADLINE, async {
        while watcher.shared.entries().keeper_runs {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("no thread is left when there is nothing to look at");
}
