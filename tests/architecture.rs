//! The walls: who may import whom, what sans-IO crates may reach, and which packages may come in from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Who may import whom, as docs/ARCHITECTURE.md draws it. A crate that isn't here may not exist.
const WALLS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sip", &[]),
    ("media", &[]),
    ("rules", &["model"]),
    ("call", &["model", "sip", "media"]),
    ("exchange", &["model", "rules", "sip", "media"]),
    ("voicemail", &["model", "media"]),
    ("sync", &["model"]),
    ("view", &["model", "rules", "sync"]),
    ("net", &[]),
    ("audio", &["media"]),
    ("client-store", &["model", "sync"]),
    ("server-store", &["model", "sync"]),
    ("client", &["model", "rules", "sip", "media", "call", "sync", "net", "client-store"]),
    ("server", &["model", "rules", "sip", "media", "exchange", "voicemail", "sync", "net", "server-store"]),
    ("aftertone", &["audio", "client", "media", "model", "rules", "server", "sync", "view"]),
];

/// Tiers 0 to 2: no sockets, no clock, no random numbers of their own, no files, no runtime.
const SANS_IO: &[&str] = &["model", "rules", "sip", "media", "call", "exchange", "voicemail", "sync", "view"];

/// What no sans-IO crate may depend on.
const IO: &[&str] = &["async-std", "cpal", "hyper", "mio", "reqwest", "socket2", "sqlx", "tokio", "tokio-tungstenite"];

/// What a sans-IO crate's clippy.toml must ban.
const BANNED_METHODS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::net::UdpSocket::bind",
    "std::net::TcpStream::connect",
    "std::net::TcpListener::bind",
    "std::fs::File::open",
    "std::fs::File::create",
    "std::thread::spawn",
];

fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec()?)
}

fn root() -> PathBuf {
    PathBuf::from("..")
}

fn short(name: &str) -> &str {
    name.strip_prefix("aftertone-").unwrap_or(name)
}

fn imports(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development).map(|d| d.name.as_str())
}

#[test]
fn crates_import_only_what_the_drawing_allows() -> Result<()> {
    let metadata = metadata()?;
    let walls: BTreeMap<_, _> = WALLS.iter().copied().collect();
    let ours: BTreeSet<String> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = short(&package.name);
        if matches!(name, "tests" | "xtask") {
            continue;
        }
        let Some(allowed) = walls.get(name) else {
            wrong.push(format!("{name} is not in the drawing"));
            continue;
        };
        let strays = imports(package).filter(|import| ours.contains(*import) && !allowed.contains(&short(import)));
        wrong.extend(strays.map(|import| format!("{name} imports {import}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn xtask_imports_nothing_of_ours() -> Result<()> {
    let metadata = metadata()?;
    let xtask = metadata.packages.iter().find(|package| package.name.as_str() == "xtask").context("no xtask")?;
    let ours: Vec<_> = imports(xtask).filter(|import| import.starts_with("aftertone")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    Ok(())
}

#[test]
fn sans_io_crates_reach_nothing() -> Result<()> {
    let metadata = metadata()?;
    let mut wrong = Vec::new();
    for name in SANS_IO {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == format!("aftertone-{name}"));
        let package = package.with_context(|| format!("no crate {name}"))?;
        wrong.extend(imports(package).filter(|import| IO.contains(import)).map(|import| format!("{name} depends on {import}")));
        let bans = fs::read_to_string(root().join("crates").join(name).join("clippy.toml")).unwrap_or_default();
        wrong
            .extend(BANNED_METHODS.iter().filter(|m| !bans.contains(**m)).map(|m| format!("{name}/clippy.toml doesn't ban {m}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[derive(serde::Deserialize)]
struct Deny {
    bans: Bans,
    licenses: Licenses,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    wrappers: Vec<String>,
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(serde::Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

fn deny() -> Result<Deny> {
    Ok(toml::from_str(&fs::read_to_string(root().join("deny.toml"))?)?)
}

/// What deny.toml bans is not there; what it allows to some is with them alone; what must be single is single.
#[test]
fn banned_packages_stay_out() -> Result<()> {
    let (metadata, deny) = (metadata()?, deny()?);
    let resolved = metadata.resolve.as_ref().context("nothing was resolved")?;
    let name_of = |id| metadata.packages.iter().find(|package| &package.id == id).map_or("?", |package| package.name.as_str());
    let mut wrong = Vec::new();
    for Ban { name, wrappers, deny_multiple_versions } in &deny.bans.deny {
        let versions: Vec<_> = metadata.packages.iter().filter(|package| package.name.as_str() == name).collect();
        if *deny_multiple_versions {
            if versions.len() > 1 {
                wrong.push(format!("{name} is there {} times", versions.len()));
            }
            continue;
        }
        for version in versions {
            let users =
                resolved.nodes.iter().filter(|node| node.dependencies.contains(&version.id)).map(|node| name_of(&node.id));
            wrong
                .extend(users.filter(|user| !wrappers.iter().any(|w| w == user)).map(|user| format!("{user} depends on {name}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn every_licence_is_allowed() -> Result<()> {
    let (metadata, deny) = (metadata()?, deny()?);
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(licence) = &package.license else {
            wrong.push(format!("{} {} has no licence", package.name, package.version));
            continue;
        };
        let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
            .with_context(|| format!("{}: {licence}", package.name))?;
        let allowed = expression.evaluate(|requirement| deny.licenses.allow.contains(&requirement.to_string()));
        if !allowed {
            wrong.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
