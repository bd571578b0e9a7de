//! The C ABI in safe terms: what comes over it is owned or copied at once, errors keep their kind.

use std::{collections::BTreeMap, mem::MaybeUninit};

use bytes::Bytes;
use jackfield_api::{
    ErrorKind,
    abi::{Buf, ERROR_PANIC, Error, FAILED, KeyValue, OK, Slice},
};

use crate::PluginError;

/// Bytes of a plugin, freed through the plugin's own function.
#[derive(Debug)]
pub(super) struct PluginBytes(Buf);

// SAFETY: the ABI says that a buffer is owned by the receiver, and that `free` may be called on any thread.
unsafe impl Send for PluginBytes {}
// SAFETY: the bytes are only read.
unsafe impl Sync for PluginBytes {}

impl PluginBytes {
    /// Takes over what a plugin wrote.
    ///
    /// # Safety
    /// `buf` was filled in by a plugin according to the ABI (or is [`Buf::EMPTY`]) and is not used elsewhere.
    pub(super) unsafe fn new(buf: Buf) -> Self {
        Self(buf)
    }

    /// The bytes without a copy.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PluginBytes {
    fn as_ref(&self) -> &[u8] {
        if self.0.ptr.is_null() || self.0.len == 0 {
            return &[];
        }
        // SAFETY: the ABI says that `ptr` points to `len` bytes until `free` is called, which only `drop` does.
        unsafe { std::slice::from_raw_parts(self.0.ptr, self.0.len) }
    }
}

impl Drop for PluginBytes {
    fn drop(&mut self) {
        if let Some(free) = self.0.free {
            // SAFETY: called once, with the three parts as they came.
            unsafe { free(self.0.ptr, self.0.len, self.0.cap) };
        }
    }
}

/// The bytes of a slice that is valid as long as `'a`.
///
/// # Safety
/// The slice follows the ABI and lives as long as the caller says.
pub(super) unsafe fn bytes_of<'a>(slice: Slice) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { array_of(slice.ptr, slice.len) }
}

/// The values of an array that is valid as long as `'a`.
///
/// # Safety
/// `first` points to `len` values that live as long as the caller says, or is null.
pub(super) unsafe fn array_of<'a, T>(first: *const T, len: usize) -> &'a [T] {
    if first.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first, len) }
}

/// The text of a slice, copied; what is not UTF-8 is replaced.
///
/// # Safety
/// As for [`bytes_of`], during this call.
pub(super) unsafe fn text_of(slice: Slice) -> String {
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { bytes_of(slice) }).into_owned()
}

/// A call that only says whether it worked.
pub(super) fn call(function: impl FnOnce(*mut Error) -> i32) -> Result<(), PluginError> {
    let mut error = Error::EMPTY;
    let code = function(&raw mut error);
    // SAFETY: the plugin filled the message in, or left it empty.
    let message = unsafe { PluginBytes::new(error.message) };
    if code == OK {
        return Ok(());
    }
    if code != FAILED {
        return Err(PluginError::fatal(format!(
            "plugin returned {code}, which the plugin ABI does not know"
        )));
    }
    let message = String::from_utf8_lossy(message.as_ref()).into_owned();
    Err(match error.kind {
        ERROR_PANIC => PluginError::fault(format!("plugin panicked: {message}")),
        kind => PluginError {
            kind: ErrorKind::from_abi_code(kind),
            message,
            is_fault: false,
        },
    })
}

/// A call that hands bytes over.
pub(super) fn call_for_bytes(
    function: impl FnOnce(*mut Buf, *mut Error) -> i32,
) -> Result<PluginBytes, PluginError> {
    let mut out = Buf::EMPTY;
    let result = call(|error| function(&raw mut out, error));
    // Also after an error, so that it is freed.
    // SAFETY: the plugin filled the buffer in, or left it empty.
    let bytes = unsafe { PluginBytes::new(out) };
    result.map(|()| bytes)
}

/// A call that hands a small list over as JSON; no bytes = the empty list.
pub(super) fn call_for_json<T: serde::de::DeserializeOwned + Default>(
    what: &str,
    function: impl FnOnce(*mut Buf, *mut Error) -> i32,
) -> Result<T, PluginError> {
    let bytes = call_for_bytes(function)?;
    if bytes.as_ref().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(bytes.as_ref())
        .map_err(|cause| PluginError::fatal(format!("plugin returned an invalid answer to {what}: {cause}")))
}

/// A config as the ABI wants it, borrowed.
pub(super) fn key_values(config: &BTreeMap<String, String>) -> Vec<KeyValue> {
    config
        .iter()
        .map(|(key, value)| KeyValue::of(key, value))
        .collect()
}

/// Reads a table of the plugin, which starts with its size in four bytes: the part this host knows.
///
/// # Safety
/// `table` is null or points to a table of the ABI, readable for its `struct_size` bytes, alive and unchanged as long as
/// the process.
pub(super) unsafe fn table<T: Copy>(what: &str, table: *const T) -> Result<T, String> {
    if table.is_null() {
        return Err(format!("{what} is missing"));
    }
    if !table.is_aligned() {
        return Err(format!("{what} is not aligned"));
    }
    // SAFETY: every table starts with its size.
    let size = unsafe { table.cast::<u32>().read() } as usize;
    if size < size_of::<T>() {
        return Err(format!("{what} has {size} bytes, {} are needed", size_of::<T>()));
    }
    let mut copy = MaybeUninit::<T>::uninit();
    // SAFETY: the source has at least that many bytes.
    unsafe { copy.as_mut_ptr().copy_from_nonoverlapping(table, 1) };
    // Function pointers must not be null in Rust, so look at the words before they become some.
    for word in (size_of::<u64>()..size_of::<T>()).step_by(size_of::<usize>()) {
        // SAFETY: inside the copy, which is initialized; all members after the first eight bytes are words.
        let value = unsafe { copy.as_ptr().byte_add(word).cast::<usize>().read() };
        if value == 0 {
            return Err(format!("{what} lacks the function at byte {word}"));
        }
    }
    // SAFETY: initialized by the copy, and no function pointer in it is null.
    Ok(unsafe { copy.assume_init() })
}
