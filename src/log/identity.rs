//! Who owns a log directory: `meta.properties`, checked at start so that no broker writes into another's directory.

use std::{collections::BTreeMap, io, path::Path};

use jackfield_env::Env;

use crate::{
    OpenError, TopicId, checkpoint,
    copies::{self, COPIES},
};

/// 16 random bytes marked as a version 4 UUID.
pub(crate) fn random_id(env: &Env) -> TopicId {
    let mut bytes = [0; 16];
    env.random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    TopicId(bytes)
}

/// What a `meta.properties` says of node, directory and cluster; `None` when it is not text.
pub(crate) fn said(content: &[u8]) -> Option<String> {
    str::from_utf8(content).ok().map(|text| line(&properties(text)))
}

/// Node, directory and cluster, as a line that can be compared with what it was.
fn line(properties: &BTreeMap<&str, &str>) -> String {
    let node = properties.get("node.id").or(properties.get("broker.id"));
    let values = [node, properties.get("directory.id"), properties.get("cluster.id")];
    values
        .map(|value| value.map_or("-", |value| value.trim()))
        .join(" ")
}

fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// Checks `meta.properties` of a directory against the broker and the directories before it, and against its copy. Returns
/// what it says; `None` where there is none.
pub(crate) fn read(
    path: &Path,
    env: &Env,
    broker_id: i32,
    cluster_id: &mut Option<String>,
) -> Result<Option<String>, OpenError> {
    let file = path.join(checkpoint::META_PROPERTIES);
    let content = match env.files.read(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(&file)(error)),
    };
    let invalid = |message: String| OpenError::Invalid {
        path: file.display().to_string(),
        message,
    };
    let text =
        String::from_utf8(content).map_err(|_| invalid("is not text: restore it from a copy".to_owned()))?;
    let properties = properties(&text);
    let said = line(&properties);
    let copies = copies::read(&*env.files, path).map_err(OpenError::io(&path.join(COPIES)))?;
    if let Some(copied) = copies.identity.filter(|copied| *copied != said) {
        return Err(invalid(format!(
            "says '{said}' of node.id, directory.id and cluster.id, and its copy in {COPIES} '{copied}': correct the damaged one, or delete {COPIES} if you changed it"
        )));
    }
    let node = properties.get("node.id").or(properties.get("broker.id"));
    if let Some(node) = node.filter(|node| **node != broker_id.to_string()) {
        return Err(invalid(format!(
            "belongs to node.id {node}, not {broker_id}: correct node.id or log.dirs"
        )));
    }
    if let Some(stored) = properties.get("cluster.id") {
        match cluster_id {
            Some(expected) if expected != stored => {
                return Err(invalid(format!(
                    "belongs to cluster {stored}, not {expected}: correct log.dirs"
                )));
            }
            _ => *cluster_id = Some((*stored).to_owned()),
        }
    }
    Ok(Some(said))
}

/// Writes `meta.properties` where there is none, as Kafka's `PropertiesUtils` does.
pub(crate) fn write(path: &Path, env: &Env, broker_id: i32, cluster_id: &str) -> Result<(), OpenError> {
    let file = path.join(checkpoint::META_PROPERTIES);
    if env.files.exists(&file) {
        return Ok(());
    }
    let directory_id = random_id(env).to_base64();
    let content = format!(
        "#\n#{}\nnode.id={broker_id}\ndirectory.id={directory_id}\nversion=1\ncluster.id={cluster_id}\n",
        java_date(env.clock.now_ms())
    );
    env.files
        .write_atomic(&file, content.as_bytes())
        .map_err(OpenError::io(&file))
}

/// A time as `java.util.Date` prints it, in UTC: `Sat Nov 21 07:48:52 UTC 2026`.
fn java_date(now_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = now_ms.div_euclid(1000);
    let (mut days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!(
        "{} {} {:02} {hour:02}:{minute:02}:{second:02} UTC {year}",
        DAYS[weekday],
        MONTHS[month],
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(java_date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(java_date(1_795_247_332_000), "Sat Nov 21 07:48:52 UTC 2026");
        assert_eq!(java_date(1_709_251_199_999), "Thu Feb 29 23:59:59 UTC 2024");
        assert_eq!(java_date(1_735_689_599_000), "Tue Dec 31 23:59:59 UTC 2024");
    }

    #[test]
    fn a_directory_keeps_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        write(dir.path(), &env, 1, "cluster").unwrap();
        let mut cluster = None;
        read(dir.path(), &env, 1, &mut cluster).unwrap();
        assert_eq!(cluster.as_deref(), Some("cluster"));
        let node = read(dir.path(), &env, 2, &mut cluster).unwrap_err().to_string();
        assert!(node.contains("belongs to node.id 1, not 2"), "{node}");
        let other = read(dir.path(), &env, 1, &mut Some("other".to_owned()))
            .unwrap_err()
            .to_string();
        assert!(other.contains("belongs to cluster cluster, not other"), "{other}");
    }
}
