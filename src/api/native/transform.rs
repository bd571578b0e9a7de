//! Transforms behind the C ABI.

use std::ffi::c_void;

use super::{
    host::NativeHost,
    raw::{bytes, class_of, end, guarded, guarded_task, handle, read_config, running, write_json},
    size_u32,
};
use crate::{
    ConnectError, TaskContext, TransformOutput,
    abi::{self, Buf, ClassDesc, Error, KeyValue, Slice},
    batch::{Batch, BatchBuilder},
    export::{Start, TransformTask},
};

pub(super) static TRANSFORM: abi::TransformVTable = abi::TransformVTable {
    struct_size: size_u32::<abi::TransformVTable>(),
    reserved: 0,
    start,
    apply,
    stop,
};

struct RunningTransform {
    transform: Box<dyn TransformTask>,
    builder: BatchBuilder,
}

unsafe extern "C" fn start(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    context: *const abi::TaskContext,
    transform: *mut *mut c_void,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library, and a config and context valid during the call.
        let (class, config, host) = unsafe {
            (
                class_of(class),
                read_config(config, config_len)?,
                NativeHost::read(context)?,
            )
        };
        let Start::Transform(start) = class.start else {
            return Err(ConnectError::fatal(format!("{} is not a transform", class.name)));
        };
        let running = RunningTransform {
            transform: start(&class.resolve(config)?, TaskContext::new(host))?,
            builder: BatchBuilder::new(),
        };
        // SAFETY: the host passes a place for the handle.
        unsafe { transform.write(handle(running)) };
        Ok(())
    })
}

unsafe extern "C" fn apply(
    transform: *mut c_void,
    batch: Slice,
    out: *mut Buf,
    rejected: *mut Buf,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host passes the handle of a transform, one call at a time.
    let running = unsafe { running::<RunningTransform>(transform) };
    guarded_task(running, error, |running| {
        // SAFETY: the host passes a batch that is valid during the call.
        let batch = Batch::parse(unsafe { bytes(&batch) })?;
        let mut output = TransformOutput::new(&mut running.builder);
        let applied = running.transform.apply(&batch, &mut output);
        let records = output.into_rejected();
        applied.inspect_err(|_| running.builder.clear())?;
        if !records.is_empty() {
            // SAFETY: the host passes a place for the result.
            unsafe { write_json(rejected, &records)? };
        }
        if !running.builder.is_empty() {
            // SAFETY: the host passes a place for the result.
            unsafe { out.write(Buf::from_vec(running.builder.finish())) };
        }
        Ok(())
    })
}

unsafe extern "C" fn stop(transform: *mut c_void) {
    // SAFETY: the host passes the handle of a transform for the last time.
    unsafe { end::<RunningTransform>(transform, |running| running.transform.stop()) };
}
