//! Points at which a test breaks a process: the n-th passing of one aborts it, or panics.
//!
//! `SENDWRIGHT_FAIL=answered:3` aborts at the third passing of `answered`, `answered:3:panic` panics there. A build without
//! debug assertions, as every release is, has neither the variable nor the look: `tests/it/fail_points.rs` reads what this
//! file compiles to.

#[cfg(debug_assertions)]
pub use armed::point;

/// Passes a point: nothing, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn point(_name: &'static str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::process::{abort, exit};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What is to break, and how often its point was passed.
    struct Plan {
        point: String,
        at: u64,
        panics: bool,
        passed: AtomicU64,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    /// Passes a point; it may be the last thing that this process does.
    pub fn point(name: &'static str) {
        let Some(plan) = PLAN.get_or_init(read) else { return };
        if plan.point != name || plan.passed.fetch_add(1, Ordering::SeqCst) + 1 != plan.at {
            return;
        }
        eprintln!("fail point {name}, passing {}", plan.at);
        match plan.panics {
            true => panic!("fail point {name}"),
            false => abort(),
        }
    }

    fn read() -> Option<Plan> {
        let text = std::env::var("SENDWRIGHT_FAIL").ok()?;
        let plan = parse(&text);
        if plan.is_none() {
            eprintln!("SENDWRIGHT_FAIL must be POINT:PASSING or POINT:PASSING:panic");
            exit(78);
        }
        plan
    }

    fn parse(text: &str) -> Option<Plan> {
        let mut words = text.split(':');
        let (point, at) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let panics = match words.next() {
            None => false,
            Some("panic") => true,
            Some(_) => return None,
        };
        let is_whole = at > 0 && words.next().is_none();
        is_whole.then(|| Plan { point, at, panics, passed: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_names_its_point_and_its_passing() {
            let read = |text| parse(text).map(|plan| (plan.point, plan.at, plan.panics));
            assert_eq!(read("dot:3"), Some(("dot".into(), 3, false)));
            assert_eq!(read("dot:1:panic"), Some(("dot".into(), 1, true)));
            for wrong in ["", "dot", "dot:0", "dot:x", "dot:1:stop", "dot:1:panic:2"] {
                assert_eq!(read(wrong), None, "{wrong}");
            }
        }
    }
}
