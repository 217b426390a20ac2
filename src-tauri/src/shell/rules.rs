//! What the window does with the plan of how calls are answered, and the simulator.

use std::time::Duration;

use aftertone_client::RemovedRule;
use aftertone_model::{Greeting, Plan};
use aftertone_rules::{Answering, regions};
use aftertone_sync::PlanView;
use aftertone_view::{Code, Command, ConnectionView, Event, RuleKind, RulesView, SimulatedCall, answering, simulate};

use super::{Input, Shell, greetings::Toast, perform::Reply};
use crate::window;

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
            Command::RemoveRule { version, kind, index } => return self.remove_rule(version, kind, index as usize, reply),
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

    fn remove_rule(&self, version: u64, kind: RuleKind, index: usize, reply: Reply) {
        let mut plan = self.rules.view.plan.clone().unwrap_or_default();
        let rule = match kind {
            _ if version != self.rules.view.version => Err(Code::Conflict),
            RuleKind::Greeting if index < plan.greetings.len() => Ok(RemovedRule::Greeting(index, plan.greetings.remove(index))),
            RuleKind::Answering if index < plan.answering.len() => {
                Ok(RemovedRule::Answering(index, plan.answering.remove(index)))
            }
            RuleKind::Greeting | RuleKind::Answering => Err(Code::Gone),
        };
        match rule {
            Ok(rule) => self.ask_greetings(reply, async move |session| {
                session.set_plan(PlanView { version, plan }).await?;
                Ok(Some(Toast::RuleRemoved(rule)))
            }),
            Err(code) => _ = reply.send(Err(code)),
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

/// The server takes its machine's time zone for whoever named none; most are in the same as this one.
fn with_zone(mut plan: Plan) -> Plan {
    if plan.zone.is_empty() {
        plan.zone = jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
    }
    plan
}
