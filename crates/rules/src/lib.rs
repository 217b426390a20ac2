//! How a call is answered: which greeting its caller hears, whether and how long it rings, each with its explanation; and
//! the coach that says what a greeting lacks.
//!
//! It owns what follows from a [`Plan`](aftertone_model::Plan) at a moment, in the person's time zone, and the public
//! holidays. It keeps nothing, plays nothing and speaks no language: explanations are data, sentences are the
//! interface's. Time zones and holidays are built in; no clock is read.

#![warn(missing_docs)]

mod calendar;
mod check;
mod choose;
mod coach;
mod fit;
mod holidays;
mod numbers;

pub use calendar::{ImportedDays, import_days};
pub use check::{PlanProblem, check, is_zone, zones};
pub use choose::{
    Action, Answering, Because, Chosen, Occasion, Passed, Screened, Shelved, Unmet, expiring, greeting, limit, moment_of,
    screening,
};
pub use coach::{Advice, Draft, Finding, GOOD_LENGTH_S, Point, coach, estimated_length_ms};
pub use fit::Met;
pub use holidays::{Holiday, LAST_YEAR, holiday, regions};
