//! What the window does with the plan of how calls are answered, and the simulator.

use std::time::Duration;

use aftertone_client::RemovedPart;
use aftertone_model::{Greeting, Plan, Timestamp};
use aftertone_rules::{Answering, expiring, regions};
use aftertone_sync::PlanView;
use aftertone_view::{Code, Command, ConnectionView, Event, PlanPart, RulesView, SimulatedCall, answering, simulate};

use super::{Input, Shell, greetings::Toast, perform::Reply};
use crate::window;

/// So long before a greeting is out of date its owner is reminded.
const REMIND: Duration = Duration::from_secs(2 * 24 * 3600);
const LOOK_FOR_REMINDERS: Duration = Duration::from_secs(3600);

/// How calls are answered, as the window shows it and as the simulator takes it.
#[derive(Default)]
pub(super) struct Rules {
    view: RulesView,
    answering: Answering,
}

impl Shell {
    /// Performs a command that is about the plan.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others were performed elsewhere")]
    pub(super) fn perform_rules(&self, command: Command, reply: Reply) {
        let result = match command {
            Command::ChangePlan { version, plan } => {
                return self.ask_greetings(reply, async move |session| {
                    session.set_plan(PlanView { version, plan }).await?;
                    Ok(Some(Toast::Nothing))
                });
            }
            Command::RemoveFromPlan { version, part, index } => {
                return self.remove_from_plan(version, part, index as usize, reply);
            }
            Command::SetRingTime { seconds } => {
                let inputs = self.inputs.clone();
                return self.ask_greetings(reply, async move |session| {
                    session.set_ring_time(seconds).await?;
                    inputs.send(Input::RingTime(seconds));
                    Ok(None)
                });
            }
            Command::Simulate { call } => {
                self.simulate(call);
                Ok(())
            }
            _ => Err(Code::Internal),
        };
        let _window_gone = reply.send(result);
    }

    fn remove_from_plan(&self, version: u64, part: PlanPart, index: usize, reply: Reply) {
        if version != self.rules.view.version {
            let _window_gone = reply.send(Err(Code::Conflict));
            return;
        }
        let mut plan = self.rules.view.plan.clone().unwrap_or_default();
        let removed = match part {
            PlanPart::Greeting => take(&mut plan.greetings, index).map(|rule| RemovedPart::Greeting(index, rule)),
            PlanPart::Answering => take(&mut plan.answering, index).map(|rule| RemovedPart::Answering(index, rule)),
            PlanPart::Group => take(&mut plan.groups, index).map(|group| RemovedPart::Group(index, group)),
            PlanPart::OwnDay => take(&mut plan.own_days, index).map(|day| RemovedPart::OwnDay(index, day)),
            PlanPart::Key => take(&mut plan.keys, index).map(|key| RemovedPart::Key(index, key)),
        };
        match removed {
            Some(removed) => self.ask_greetings(reply, async move |session| {
                session.set_plan(PlanView { version, plan }).await?;
                Ok(Some(Toast::RemovedFromPlan(part, removed)))
            }),
            None => _ = reply.send(Err(Code::Gone)),
        }
    }

    fn simulate(&self, call: SimulatedCall) {
        let ring = Duration::from_secs(self.rules.view.ring_s.into());
        window::tell(&self.app, &Event::Simulation(simulate(&self.rules.answering, ring, call)));
    }

    /// What was read of the plan, and of the greetings that it speaks of.
    pub(super) fn show_rules(&mut self, stored: &[Greeting], plan: Option<PlanView>) {
        let (version, plan) = plan.map_or((0, None), |PlanView { version, plan }| (version, Some(plan)));
        self.rules.answering = answering(with_zone(plan.clone().unwrap_or_default()), stored);
        let reachable = self.connection() == Some(ConnectionView::Connected);
        let regions = regions().map(str::to_owned).collect();
        self.rules.view = RulesView { plan, version, ring_s: self.rules.view.ring_s, regions, reachable };
        self.tell_rules();
        self.remind();
    }

    /// Reminds once of each greeting in use that is out of date soon, but not in quiet hours.
    pub(super) fn remind(&mut self) {
        let now = Timestamp::now();
        let soon = expiring(&self.rules.answering, now.checked_add(REMIND).unwrap_or(now));
        if soon == self.settings.reminded || self.phone.is_none() || self.settings.quiet_now() {
            return;
        }
        for (greeting, at) in &soon {
            let title = self.rules.answering.greetings.get(greeting).map(|shelved| shelved.title.clone());
            if let Some(title) = title.filter(|_| self.settings.reminded.get(greeting) != Some(at)) {
                self.notifications.expiry(*greeting, &title, days_until(*at), self.settings.language());
            }
        }
        self.settings.reminded = soon;
        self.settings.save(&self.folder);
    }

    pub(super) fn remind_every_hour(&self) {
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_FOR_REMINDERS).await;
                inputs.send(Input::Remind);
            }
        });
    }

    pub(super) fn tell_rules(&self) {
        window::tell(&self.app, &Event::Rules(self.rules.view.clone()));
    }

    /// The server says how long it rings; it is asked whenever it can be reached anew.
    pub(super) fn ask_ring_time(&self) {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let Some(session) = session else { return };
            match session.ring_time().await {
                Ok(seconds) => inputs.send(Input::RingTime(seconds)),
                Err(error) => tracing::debug!(%error, "the ring time isn't known"),
            }
        });
    }

    pub(super) fn ring_time(&mut self, seconds: u16) {
        self.rules.view.ring_s = seconds;
        self.tell_rules();
    }
}

/// In days of this machine's calendar, below zero where it is over.
fn days_until(at: Timestamp) -> i32 {
    let zone = jiff::tz::TimeZone::system();
    let here = |at: Timestamp| zone.to_datetime(at).date();
    let days = here(at).since(here(Timestamp::now())).map_or(0, |span| span.get_days());
    if at <= Timestamp::now() { -1 } else { days }
}

fn take<T>(list: &mut Vec<T>, index: usize) -> Option<T> {
    (index < list.len()).then(|| list.remove(index))
}

/// The server takes its machine's time zone for whoever named none; most are in the same as this one.
fn with_zone(mut plan: Plan) -> Plan {
    if plan.zone.is_empty() {
        plan.zone = jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
    }
    plan
}
