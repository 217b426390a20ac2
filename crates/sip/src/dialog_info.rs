//! The body of the `dialog` event package (RFC 4235): who is on the phone, for busy lamps and call pick-up.

use std::fmt::Write as _;

use roxmltree::{Document, Node};

/// The value of Event.
pub const EVENT: &str = "dialog";

/// The value of Content-Type.
pub const CONTENT_TYPE: &str = "application/dialog-info+xml";

const NAMESPACE: &str = "urn:ietf:params:xml:ns:dialog-info";

/// Bodies beyond this are not read: no phone has so many calls.
const LARGEST: usize = 64 * 1024;

/// The dialogs of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialogInfo {
    /// Grows with each NOTIFY of a subscription.
    pub version: u32,
    /// Whose.
    pub entity: String,
    /// Whether all dialogs are listed, not only those that changed.
    pub is_full: bool,
    /// The dialogs.
    pub dialogs: Vec<DialogEntry>,
}

/// One dialog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialogEntry {
    /// Unique within the document, and the same in later ones.
    pub id: String,
    /// Call-ID and tags, as the watched one sees them; what somebody needs who wants to pick the call up.
    pub call_id: Option<String>,
    /// The tag of the watched one.
    pub local_tag: Option<String>,
    /// The tag of the other.
    pub remote_tag: Option<String>,
    /// Whether the watched one called; `None` if it is not told.
    pub is_initiator: Option<bool>,
    /// How far it is.
    pub state: DialogState,
    /// Who the watched one is in it.
    pub local: Option<Participant>,
    /// The other.
    pub remote: Option<Participant>,
}

/// One side of a dialog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participant {
    /// The name.
    pub display: Option<String>,
    /// The address.
    pub identity: String,
    /// Where requests of the dialog go.
    pub target: Option<String>,
}

/// RFC 4235 3.7.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialogState {
    /// INVITE is sent.
    Trying,
    /// A provisional response without a tag came.
    Proceeding,
    /// It rings.
    Early,
    /// They talk.
    Confirmed,
    /// It is over.
    #[default]
    Terminated,
}

impl DialogState {
    /// The name in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Proceeding => "proceeding",
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            Self::Terminated => "terminated",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Trying, Self::Proceeding, Self::Early, Self::Confirmed, Self::Terminated];
        all.into_iter().find(|state| state.as_str() == name.trim())
    }
}

impl DialogInfo {
    /// The body of a NOTIFY.
    #[must_use]
    pub fn to_body(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
        let state = if self.is_full { "full" } else { "partial" };
        let entity = escaped(&self.entity);
        // Writing to a string can't fail.
        let _ = write!(
            xml,
            "<dialog-info xmlns=\"{NAMESPACE}\" version=\"{}\" state=\"{state}\" entity=\"{entity}\">\r\n",
            self.version
        );
        for dialog in &self.dialogs {
            dialog.write(&mut xml);
        }
        xml.push_str("</dialog-info>\r\n");
        xml
    }

    /// Reads a body; `None` if it is no dialog-info. Dialogs without an id or a known state are skipped.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        if body.len() > LARGEST {
            return None;
        }
        let document = Document::parse(body.trim_start_matches('\u{feff}').trim()).ok()?;
        let root = Some(document.root_element()).filter(|root| root.tag_name().name() == "dialog-info")?;
        let dialogs = root.children().filter(|node| node.tag_name().name() == "dialog").filter_map(DialogEntry::read).collect();
        Some(Self {
            version: root.attribute("version").and_then(|version| version.trim().parse().ok()).unwrap_or_default(),
            entity: root.attribute("entity").unwrap_or_default().to_owned(),
            is_full: root.attribute("state") != Some("partial"),
            dialogs,
        })
    }
}

impl DialogEntry {
    fn write(&self, xml: &mut String) {
        let _ = write!(xml, "<dialog id=\"{}\"", escaped(&self.id));
        let direction = self.is_initiator.map(|is_initiator| if is_initiator { "initiator" } else { "recipient" });
        let attributes = [
            ("call-id", self.call_id.as_deref()),
            ("local-tag", self.local_tag.as_deref()),
            ("remote-tag", self.remote_tag.as_deref()),
            ("direction", direction),
        ];
        for (name, value) in attributes.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            let _ = write!(xml, " {name}=\"{}\"", escaped(value));
        }
        let _ = write!(xml, "><state>{}</state>", self.state.as_str());
        for (name, side) in [("local", &self.local), ("remote", &self.remote)] {
            if let Some(side) = side {
                side.write(name, xml);
            }
        }
        xml.push_str("</dialog>\r\n");
    }

    fn read(node: Node<'_, '_>) -> Option<Self> {
        let text = |name: &str| node.attribute(name).map(str::to_owned);
        let child = |name: &str| node.children().find(|child| child.tag_name().name() == name);
        Some(Self {
            id: text("id")?,
            call_id: text("call-id"),
            local_tag: text("local-tag"),
            remote_tag: text("remote-tag"),
            is_initiator: node.attribute("direction").map(|direction| direction == "initiator"),
            state: DialogState::from_name(child("state")?.text()?)?,
            local: child("local").and_then(Participant::read),
            remote: child("remote").and_then(Participant::read),
        })
    }
}

impl Participant {
    fn write(&self, name: &str, xml: &mut String) {
        let display = self.display.as_deref().map(|display| format!(" display=\"{}\"", escaped(display))).unwrap_or_default();
        let target = self.target.as_deref().map(|target| format!("<target uri=\"{}\"/>", escaped(target))).unwrap_or_default();
        let _ = write!(xml, "<{name}><identity{display}>{}</identity>{target}</{name}>", escaped(&self.identity));
    }

    fn read(node: Node<'_, '_>) -> Option<Self> {
        let child = |name: &str| node.children().find(|child| child.tag_name().name() == name);
        let identity = child("identity")?;
        Some(Self {
            display: identity.attribute("display").map(str::to_owned),
            identity: identity.text().unwrap_or_default().trim().to_owned(),
            target: child("target").and_then(|target| target.attribute("uri")).map(str::to_owned),
        })
    }
}

/// For text and attributes alike. Control characters that XML does not know become blanks.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
