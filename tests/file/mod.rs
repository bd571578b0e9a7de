//! The file connectors in the running program, each test in both plugin forms.

mod huge_line;
mod lines;
mod pipeline;
mod quickstart;
mod restart_resume;
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
