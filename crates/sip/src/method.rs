use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

macro_rules! methods {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// A request method. Names are case-sensitive (RFC 3261 7.1); an unknown one is kept as it came.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $(#[doc = $doc] $variant,)*
            /// Any other token.
            Other(String),
        }

        impl Method {
            /// The name on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for Method {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other(name.to_owned()),
                }
            }
        }
    };
}

methods! {
    Invite = "INVITE", "RFC 3261";
    Ack = "ACK", "RFC 3261";
    Cancel = "CANCEL", "RFC 3261";
    Bye = "BYE", "RFC 3261";
    Register = "REGISTER", "RFC 3261";
    Options = "OPTIONS", "RFC 3261";
    Subscribe = "SUBSCRIBE", "RFC 6665";
    Notify = "NOTIFY", "RFC 6665";
    Message = "MESSAGE", "RFC 3428";
    Info = "INFO", "RFC 6086";
    Update = "UPDATE", "RFC 3311";
    Prack = "PRACK", "RFC 3262";
    Refer = "REFER", "RFC 3515";
    Publish = "PUBLISH", "RFC 3903";
}

impl FromStr for Method {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(name))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
