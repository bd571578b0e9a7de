//! The requests, as `requests.txt` has them.

const SOURCE: &str =
    r#"{"connector.class":"FileStreamSource","topic":"t","file":"test.txt","tasks.max":"1"}"#;
const SINK: &str =
    r#"{"connector.class":"FileStreamSink","topics":"sunk","file":"test.sink.txt","tasks.max":"1"}"#;

/// Everything that is done, in order.
pub(super) struct Script(pub(super) Vec<Step>);

/// One line.
pub(super) enum Step {
    File { name: String, lines: String },
    Ask(Request),
    WaitForState { connector: String, state: String },
    WaitForText { path: String, text: String },
}

/// A request, and how far its answers may differ.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// As it stands in the file.
    pub(super) line: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) differs: Option<Differs>,
}

/// A deliberate difference.
#[derive(Debug)]
pub(super) struct Differs {
    pub(super) what: What,
    pub(super) why: String,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The words of an error.
    Message,
    /// The body.
    Body,
    /// Status and everything else.
    All,
}

impl Script {
    /// Reads the file.
    pub(super) fn read() -> Self {
        let mut differs = None;
        let lines = include_str!("requests.txt").lines().map(str::trim);
        let mut steps = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            steps.push(match words[..] {
                ["@touch", name, lines] => Step::File {
                    name: name.to_owned(),
                    lines: lines.replace(',', "\n") + "\n",
                },
                ["@wait", connector, state] => Step::WaitForState {
                    connector: connector.to_owned(),
                    state: state.to_owned(),
                },
                ["@until", path, text] => Step::WaitForText {
                    path: path.to_owned(),
                    text: text.to_owned(),
                },
                ["@differs", what, why] => {
                    let what = match what {
                        "message:" => What::Message,
                        "body:" => What::Body,
                        "all:" => What::All,
                        other => panic!("{other} in: {line}"),
                    };
                    let why = why.to_owned();
                    differs = Some(Differs { what, why });
                    continue;
                }
                _ => Step::Ask(Request::parse(line, differs.take())),
            });
        }
        Self(steps)
    }

    /// The requests alone.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.0.iter().filter_map(|step| match step {
            Step::Ask(request) => Some(request),
            _ => None,
        })
    }
}

impl Request {
    /// A plain GET.
    pub(super) fn get(path: &str) -> Self {
        Self::parse(&format!("GET {path}"), None)
    }

    fn parse(line: &str, differs: Option<Differs>) -> Self {
        let (method, rest) = line.split_once(' ').expect("a method and a path");
        let (path, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut headers = Vec::new();
        // A header and nothing else begins like this; a body may be an array.
        while let Some((header, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let Some((name, value)) = header.split_once(": ") else {
                break;
            };
            headers.push((name.to_owned(), value.to_owned()));
            rest = behind.trim_start();
        }
        Self {
            line: line.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body: rest.replace("SOURCE", SOURCE).replace("SINK", SINK),
            differs,
        }
    }
}
