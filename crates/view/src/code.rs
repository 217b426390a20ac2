use aftertone_model::CallRefusal;
use aftertone_sync::ProblemCode;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Why a command failed: only what the interface has a sentence or a reaction for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "contract.ts")]
pub enum Code {
    /// Nobody is signed in.
    NotSignedIn,
    /// Somebody is signed in already, so an invitation is of no use.
    AlreadySignedIn,
    /// Name or password is wrong.
    WrongCredentials,
    /// The invitation was used, is over, or is no invitation.
    BadInvitation,
    /// The picture holds no QR code of an invitation.
    BadPicture,
    /// The text is no address of a server.
    BadServer,
    /// Plain http to another machine.
    NotEncrypted,
    /// Too many tries; a while later it works again.
    RateLimited,
    /// The server's name was not found.
    Dns,
    /// The server can't be reached.
    Connect,
    /// The server's certificate is not trusted.
    Tls,
    /// The server failed.
    Server,
    /// The server has no room left.
    StorageFull,
    /// The name of the provider's server was not found.
    ProviderDns,
    /// The provider's server can't be reached, or doesn't answer.
    ProviderConnect,
    /// The certificate of the provider's server is not trusted.
    ProviderTls,
    /// The provider doesn't take name and password.
    ProviderCredentials,
    /// The provider refuses the registration.
    ProviderRefused,
    /// The account on this device can't be served.
    OwnFailed,
    /// This device's token is gone from where it is kept.
    TokenMissing,
    /// What is stored on this device can't be read.
    StorageBroken,
    /// What is stored on this device was written by a newer version of the app.
    StorageTooNew,
    /// The keyring is locked.
    SecretsLocked,
    /// There is no keyring.
    SecretsMissing,
    /// The administrator does not allow it.
    NotAllowed,
    /// The number can't be called.
    BadNumber,
    /// The person may not call that far.
    NumberNotAllowed,
    /// Nobody of the account may call the number.
    NumberBarred,
    /// Somebody earns at calls to the number: it is only called by whoever dials it.
    NumberCostsExtra,
    /// The call is over already.
    NoSuchCall,
    /// The message was expunged.
    Gone,
    /// A forward names somebody who doesn't exist.
    UnknownRecipient,
    /// The caller marked the message private: it can't be forwarded.
    PrivateMessage,
    /// The sound is not on this device yet, and can't be fetched now.
    SoundMissing,
    /// It is no sound file that is known, or nothing can be heard in it.
    UnsupportedSound,
    /// The sound is too long, or its file too large.
    SoundTooLong,
    /// It was changed on another device meanwhile.
    Conflict,
    /// A PIN of the wrong length, or one that others guess.
    WeakPin,
    /// The file can't be written.
    FileFailed,
    /// No device to play on or to speak into.
    AudioDevice,
    /// A test call is under way.
    TestCallRunning,
    /// The desktop did not show a notification.
    NotificationNotShown,
    /// Anything else; the log says what.
    Internal,
}

impl From<CallRefusal> for Code {
    fn from(refusal: CallRefusal) -> Self {
        match refusal {
            CallRefusal::Rights => Self::NumberNotAllowed,
            CallRefusal::Barred => Self::NumberBarred,
            CallRefusal::CostsExtra => Self::NumberCostsExtra,
        }
    }
}

impl From<ProblemCode> for Code {
    fn from(code: ProblemCode) -> Self {
        match code {
            ProblemCode::Unauthorized => Self::NotSignedIn,
            ProblemCode::WrongCredentials => Self::WrongCredentials,
            ProblemCode::RateLimited => Self::RateLimited,
            ProblemCode::NotFound | ProblemCode::Gone => Self::Gone,
            ProblemCode::UnknownRecipient => Self::UnknownRecipient,
            ProblemCode::PrivateMessage => Self::PrivateMessage,
            ProblemCode::StorageFull => Self::StorageFull,
            ProblemCode::Internal | ProblemCode::Unknown => Self::Server,
            ProblemCode::UnsupportedSound => Self::UnsupportedSound,
            ProblemCode::SoundTooLong | ProblemCode::TooLarge => Self::SoundTooLong,
            ProblemCode::Conflict => Self::Conflict,
            ProblemCode::WeakPin => Self::WeakPin,
            ProblemCode::BadRequest | ProblemCode::CursorReset => Self::Internal,
        }
    }
}
