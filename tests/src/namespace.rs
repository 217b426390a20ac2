//! Network namespaces: machines of their own, as far as addresses go, with a cable to this one or to each other.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::peers::is_root;

/// A machine. It and its cables are gone with this handle.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// One without any cable; its loopback interface is up. `name` has at most five letters.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn new(name: &str) -> Result<Self> {
        let name = format!("{name}{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Lays a cable from here, with this address (such as `10.1.0.1/24`), to `to` with that one. The interfaces are called
    /// `wire` and `wire` with a `p`.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn connect(&self, wire: &str, address: &str, to: Option<&Self>, their: &str) -> Result<()> {
        let peer = format!("{wire}p");
        // `name` and `dev`, for `ip` takes the beginning of any of its words for that word.
        let cable = ["link", "add", "name", wire, "netns", &self.name, "type", "veth", "peer", "name", &peer];
        // Each end comes to life where it belongs: here, the same name may be another test's for a moment.
        let there = to.map(|to| ["netns", &to.name]);
        ip(&[&cable[..], there.as_ref().map_or(&[], |there| &there[..])].concat())?;
        let theirs = |arguments: &[&str]| to.map_or_else(|| ip(arguments), |to| to.ip(arguments));
        self.ip(&["addr", "add", address, "dev", wire])?;
        self.ip(&["link", "set", "dev", wire, "up"])?;
        theirs(&["addr", "add", their, "dev", &peer])?;
        theirs(&["link", "set", "dev", &peer, "up"])
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// Where that fails.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.name][..], arguments].concat())
    }

    /// Makes it a router that hides what is behind it: everything that leaves by the interface `outside` has its address,
    /// and nothing comes in but answers. What nobody used for `forgets_s` seconds is forgotten.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn masquerade(&self, outside: &str, forgets_s: u32) -> Result<()> {
        self.forward()?;
        self.filter(&format!(
            "table ip hides {{ chain leaving {{ type nat hook postrouting priority srcnat; oifname \"{outside}\" masquerade; }}; \
             chain passing {{ type filter hook forward priority filter; \
             iifname \"{outside}\" ct state != {{ established, related }} drop; }}; }}"
        ))?;
        self.set("net/netfilter/nf_conntrack_udp_timeout", forgets_s)?;
        self.set("net/netfilter/nf_conntrack_udp_timeout_stream", forgets_s)
    }

    /// Makes it a router that hides nothing.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn forward(&self) -> Result<()> {
        self.set("net/ipv4/ip_forward", 1)
    }

    fn set(&self, name: &str, value: u32) -> Result<()> {
        let mut command = as_root("ip");
        command.args(["netns", "exec", &self.name, "sh", "-c", &format!("echo {value} > /proc/sys/{name}")]);
        run(command)
    }

    /// Loads rules for its packet filter.
    ///
    /// # Errors
    /// Where they are refused.
    pub fn filter(&self, rules: &str) -> Result<()> {
        let mut command = as_root("ip");
        command.args(["netns", "exec", &self.name, "nft", rules]);
        run(command)
    }

    /// A command that runs in it; give it its program and arguments.
    #[must_use]
    pub fn enter(&self, command: &Command) -> Command {
        let inner = command.as_std();
        let mut outer = Command::new(if is_root() { "ip" } else { "sudo" });
        if !is_root() {
            outer.args(["-n", "--preserve-env", "ip"]);
        }
        outer.args(["netns", "exec", &self.name]).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                outer.env(name, value);
            }
        }
        outer
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left is seen by whoever looks for it: nothing of the test depends on it.
        let _left = ip(&["netns", "del", &self.name]);
    }
}

/// Runs `ip` on this machine.
///
/// # Errors
/// Where that fails.
pub fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = as_root("ip");
    command.args(arguments);
    run(command)
}

fn as_root(program: &str) -> std::process::Command {
    if is_root() {
        return std::process::Command::new(program);
    }
    let mut command = std::process::Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn run(mut command: std::process::Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("starting ip")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
