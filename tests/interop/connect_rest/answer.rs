//! An answer as it came over the wire, and how two of them are compared.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use super::script::{Differs, Request, What};

/// Headers that are compared where Kafka sends them, beside those that begin with `access-control-`.
const HEADERS: [&str; 5] = [
    "location",
    "vary",
    "content-type",
    "cache-control",
    "x-frame-options",
];

/// See the file's header.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    /// As it came, chunks put together.
    pub(super) body: String,
}

impl Answer {
    /// Asks over a connection of its own.
    pub(super) fn get(port: u16, request: &Request) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n",
            request.method, request.path
        );
        let names_kind = |(name, _): &(String, String)| name == "Content-Type";
        if !request.body.is_empty() && !request.headers.iter().any(names_kind) {
            head.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in &request.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(
            head,
            "Content-Length: {}\r\n\r\n{}",
            request.body.len(),
            request.body
        )
        .unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Jetty resets the connection where it has not read the body.
        stream.read_to_end(&mut answer).ok();
        Self::parse(&answer, port).unwrap_or_else(|| {
            panic!(
                "no answer to {}: {}",
                request.line,
                String::from_utf8_lossy(&answer)
            )
        })
    }

    fn parse(answer: &[u8], port: u16) -> Option<Self> {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).replace(&port.to_string(), "PORT");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            headers
                .entry(name.to_ascii_lowercase())
                .and_modify(|known| *known = format!("{known}, {value}"))
                .or_insert_with(|| value.to_owned());
        }
        let body = &answer[end + 4..];
        let body = match headers.get("transfer-encoding") {
            Some(coding) if coding == "chunked" => unchunked(body)?,
            _ => body.to_vec(),
        };
        let body = String::from_utf8_lossy(&body).replace(&port.to_string(), "PORT");
        Some(Self {
            status,
            headers,
            body,
        })
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn unchunked(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|bytes| bytes == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        chunks = &chunks[end + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(..length)?);
        chunks = chunks.get(length + 2..)?;
    }
}

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Difference {
    status: Option<String>,
    headers: Vec<String>,
    body: Option<String>,
    /// Nothing in the bodies but the words of an error.
    only_message: bool,
}

impl Difference {
    /// Whether the script allows it.
    pub(super) fn is_covered_by(&self, differs: Option<&Differs>) -> bool {
        match differs.map(|differs| differs.what) {
            None => false,
            Some(What::All) => true,
            Some(What::Body) => self.status.is_none() && self.headers.is_empty(),
            Some(What::Message) => self.status.is_none() && self.headers.is_empty() && self.only_message,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.status.iter().chain(&self.headers).chain(&self.body);
        let lines: Vec<_> = lines.map(|line| format!("  {line}")).collect();
        out.write_str(&lines.join("\n"))
    }
}

/// What is not the same, once everything that must differ is masked.
pub(super) fn compare(theirs: Answer, ours: Answer) -> Option<Difference> {
    let mut found = Difference::default();
    if theirs.status != ours.status {
        found.status = Some(format!(
            "status: Kafka {}, Jackfield {} {}",
            theirs.status, ours.status, ours.body
        ));
    }
    if ours.header("date").is_empty() {
        found.headers.push("no date".to_owned());
    }
    // A page of Jetty's comes before everything that Connect itself adds.
    let page = theirs.header("content-type").starts_with("text/html") || is_bare_refusal(&theirs);
    if !page {
        compare_headers(&theirs, &ours, &mut found);
        compare_bodies(&theirs, &ours, &mut found);
    }
    let any = found.status.is_some() || found.body.is_some() || !found.headers.is_empty();
    any.then_some(found)
}

/// Jetty's page without the page, as it answers methods other than GET and POST.
fn is_bare_refusal(answer: &Answer) -> bool {
    answer.status == 400 && answer.body.is_empty()
}

fn compare_headers(theirs: &Answer, ours: &Answer, found: &mut Difference) {
    let cors = theirs.headers.keys().chain(ours.headers.keys());
    let cors = cors.filter(|name| name.starts_with("access-control-"));
    let mut names: Vec<&str> = HEADERS.into_iter().chain(cors.map(String::as_str)).collect();
    if theirs.status == 200 {
        names.push("allow");
    }
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (theirs, ours) = (theirs.header(name), ours.header(name));
        if name == "content-type" && theirs.is_empty() {
            continue;
        }
        let listed = matches!(name, "allow" | "access-control-allow-methods");
        let same = if listed {
            sorted(theirs) == sorted(ours)
        } else {
            theirs == ours
        };
        if !same {
            found
                .headers
                .push(format!("{name}: Kafka '{theirs}', Jackfield '{ours}'"));
        }
    }
}

fn sorted(list: &str) -> Vec<&str> {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items
}

fn compare_bodies(theirs: &Answer, ours: &Answer, found: &mut Difference) {
    let (Some(mut their_json), Some(mut our_json)) = (theirs.json(), ours.json()) else {
        if sorted(&theirs.body) != sorted(&ours.body) {
            found.body = Some(format!(
                "body: Kafka '{}', Jackfield '{}'",
                theirs.body, ours.body
            ));
        }
        return;
    };
    mask(&mut their_json);
    mask(&mut our_json);
    keep_common(&mut their_json, &mut our_json);
    if their_json == our_json {
        return;
    }
    found.body = Some(first_difference(&their_json, &our_json, "body"));
    for json in [&mut their_json, &mut our_json] {
        if let Some(message) = json.get_mut("message") {
            *message = Value::Null;
        }
    }
    found.only_message = their_json == our_json;
}

/// Where two values differ, and how.
fn first_difference(theirs: &Value, ours: &Value, at: &str) -> String {
    match (theirs, ours) {
        (Value::Object(one), Value::Object(other))
            if one.keys().all(|key| other.contains_key(key)) && one.len() == other.len() =>
        {
            let differs = one.iter().find(|(key, value)| other.get(*key) != Some(value));
            let (key, value) = differs.expect("they differ");
            first_difference(value, &other[key], &format!("{at}.{key}"))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let differs = one.iter().zip(other).position(|(one, other)| one != other);
            let index = differs.expect("they differ");
            first_difference(&one[index], &other[index], &format!("{at}[{index}]"))
        }
        _ => format!("{at}: Kafka     {theirs}\n  {at}: Jackfield {ours}"),
    }
}

/// Takes out what cannot be the same: versions, ids, times, documentation; and sorts what comes out of a Java set.
fn mask(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.contains_key("worker_id") {
                // Not Kafka's: how far a source task is behind, when it says so.
                object.remove("lag");
            }
            let of_version = |object: &serde_json::Map<String, Value>| {
                let name = object.get("name").and_then(Value::as_str);
                name.is_some_and(|name| name.ends_with("plugin.version"))
            };
            if of_version(object) {
                for key in ["default_value", "value", "recommended_values"] {
                    object.entry(key).and_modify(|value| *value = masked(value));
                }
            }
            for (key, value) in object.iter_mut() {
                match key.as_str() {
                    "version" | "commit" | "kafka_cluster_id" | "documentation" | "last_modified" => {
                        *value = masked(value);
                    }
                    // In an order that counts, up to those of converters.
                    "groups" => sort_behind(value, "Predicates"),
                    "topics" | "offsets" => {
                        mask(value);
                        sort(value);
                    }
                    _ => mask(value),
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(mask);
            if items.iter().all(Value::is_string) {
                sort(value);
            }
        }
        _ => {}
    }
}

fn masked(value: &Value) -> Value {
    if value.is_null() {
        Value::Null
    } else {
        Value::from("MASKED")
    }
}

/// Sorts what comes behind an item.
fn sort_behind(value: &mut Value, item: &str) {
    if let Value::Array(items) = value {
        let last = items
            .iter()
            .position(|known| known == item)
            .map_or(0, |last| last + 1);
        items[last..].sort_by_key(Value::to_string);
    }
}

fn sort(value: &mut Value) {
    if let Value::Array(items) = value {
        items.sort_by_key(Value::to_string);
    }
}

/// What tells plugins, config keys and their values from each other.
fn identity(item: &Value) -> Option<String> {
    if let (Some(class), Some(kind)) = (item.get("class"), item.get("type")) {
        return Some(format!("{class} {kind}"));
    }
    let named = item.get("value").filter(|value| value.get("errors").is_some());
    let named = named.or_else(|| Some(item).filter(|item| item.get("order_in_group").is_some()));
    Some(named?.get("name")?.to_string())
}

/// Of plugins, config keys, loggers and recommended values, leaves those that both have. Options of converters come
/// out of a Java map, so their order is left out.
fn keep_common(theirs: &mut Value, ours: &mut Value) {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) => {
            let known = |items: &[Value]| -> Option<Vec<String>> { items.iter().map(identity).collect() };
            if let (Some(one), Some(other)) = (known(theirs), known(ours)) {
                theirs.retain(|item| identity(item).is_some_and(|name| other.contains(&name)));
                ours.retain(|item| identity(item).is_some_and(|name| one.contains(&name)));
                for items in [&mut *theirs, &mut *ours] {
                    let last = items.iter().position(is_converters).unwrap_or(items.len());
                    items[last..].sort_by_key(identity);
                }
            }
            for (theirs, ours) in theirs.iter_mut().zip(ours) {
                keep_common(theirs, ours);
            }
        }
        (Value::Object(theirs), Value::Object(ours)) => {
            let is_logger = |value: &Value| value.get("last_modified").is_some();
            if !theirs.is_empty() && theirs.values().chain(ours.values()).all(is_logger) {
                theirs.retain(|name, _| name == "root");
                ours.retain(|name, _| name == "root");
                // The two are started with different levels.
                theirs
                    .values_mut()
                    .chain(ours.values_mut())
                    .for_each(|level| *level = Value::Null);
            }
            let recommended = "recommended_values";
            if let (Some(Value::Array(theirs)), Some(Value::Array(ours))) =
                (theirs.get_mut(recommended), ours.get_mut(recommended))
            {
                theirs.retain(|value| ours.contains(value));
                ours.retain(|value| theirs.contains(value));
            }
            for (key, theirs) in theirs.iter_mut() {
                if let Some(ours) = ours.get_mut(key) {
                    keep_common(theirs, ours);
                }
            }
        }
        _ => {}
    }
}

/// Whether this is an option of a converter.
fn is_converters(item: &Value) -> bool {
    let name = item.get("value").and_then(|value| value["name"].as_str());
    name.is_some_and(|name| name.contains(".converter.") && !name.ends_with(".plugin.version"))
}
