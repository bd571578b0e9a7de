//! The file connectors in the running program, each test in both plugin forms.

mod bind_mount;
mod huge_line;
mod lines;
mod logrotate;
mod numbered;
mod pipeline;
mod quickstart;
mod restart_resume;
mod rotated_log;
mod rotation;
mod rotation_kills;
mod sink_kills;

/// Makes one test per form out of a function that takes the form.
macro_rules! in_both_forms {
    ($($function:ident),+ $(,)?) => {
        mod native {
            $(#[test] fn $function() { super::$function("native"); })+
        }
        mod wasm {
            $(#[test] fn $function() { super::$function("wasm"); })+
        }
    };
}
pub(crate) use in_both_forms;
