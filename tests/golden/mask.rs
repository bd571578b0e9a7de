//! Masks of what differs from run to run: times of the run, and ids known by value.

use super::expected::hex;
use crate::harness::batches::ReadRecord;

/// Times between the creation of this mask and its use, and given ids, are replaced by letters of the same length.
#[derive(Debug)]
pub(crate) struct Mask {
    from_ms: i64,
    ids: Vec<Vec<u8>>,
}

impl Mask {
    pub(crate) fn new() -> Self {
        Self {
            from_ms: now_ms(),
            ids: Vec::new(),
        }
    }

    /// Masks this id from now on.
    pub(crate) fn id(&mut self, id: &[u8]) {
        assert!(!id.is_empty(), "an empty id would mask everything");
        self.ids.push(id.to_vec());
    }

    /// Bytes as hexadecimal text, times as `time-of-the-run`, ids as `m` of the same length.
    pub(crate) fn binary(&self, data: &[u8]) -> String {
        let mut data = data.to_vec();
        for id in &self.ids {
            while let Some(at) = data.windows(id.len()).position(|window| window == id) {
                data[at..at + id.len()].fill(b'm');
            }
        }
        let until_ms = now_ms();
        let mut out = String::new();
        let mut at = 0;
        while at < data.len() {
            let number = data
                .get(at..at + 8)
                .map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
            if number.is_some_and(|number| (self.from_ms..=until_ms).contains(&number)) {
                out.push_str("[time-of-the-run]");
                at += 8;
            } else {
                out.push_str(&hex(&data[at..=at]));
                at += 1;
            }
        }
        out
    }

    /// `key => value`, both binary.
    pub(crate) fn record(&self, record: &ReadRecord) -> String {
        let show = |data: &Option<Vec<u8>>| data.as_ref().map_or("null".to_owned(), |data| self.binary(data));
        format!("{} => {}", show(&record.key), show(&record.value))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the wall clock of the run is what is masked"
)]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[test]
fn only_what_varies_is_masked() {
    let mut mask = Mask::new();
    mask.id(b"abc");
    let mut data = vec![1];
    data.extend(now_ms().to_be_bytes());
    data.extend(b"abcd");
    data.extend((now_ms() + 3_600_000).to_be_bytes());
    let shown = mask.binary(&data);
    assert!(shown.starts_with("01[time-of-the-run]6d6d6d64"), "{shown}");
    assert_eq!(shown.matches("time").count(), 1);
}
