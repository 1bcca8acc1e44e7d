//! Reply codes, and the error a peer is told about when it breaks a rule.
//!
//! Values only: turning a [`ReplyError`] into `channel.close` or `connection.close` is done by the
//! connection. The scope follows from the code alone ([`ReplyCode::is_hard`]), as RabbitMQ has it.

/// Longest reply text the wire can carry, a short string, in bytes.
const MAX_REPLY_TEXT: usize = 255;
/// Where a longer text is cut, so that `...` still fits (RabbitMQ up to 3.13).
const REPLY_TEXT_CUT: usize = 252;

/// The reply codes of AMQP 0-9-1 as RabbitMQ uses them. The discriminant is the code on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum ReplyCode {
    /// A normal close.
    Success = 200,
    /// Defined by the protocol; a message too large is answered with 406 instead.
    ContentTooLarge = 311,
    /// In `basic.return`: a mandatory message matched no queue.
    NoRoute = 312,
    /// In `basic.return`: never sent, `immediate` is not supported.
    NoConsumers = 313,
    /// An operator, or the node's stop, closed the connection.
    ConnectionForced = 320,
    /// Not used.
    InvalidPath = 402,
    /// The user may not do that, or the name is reserved.
    AccessRefused = 403,
    /// No such queue, exchange or virtual host.
    NotFound = 404,
    /// An exclusive queue of another connection.
    ResourceLocked = 405,
    /// The request contradicts the state of things.
    PreconditionFailed = 406,
    /// Bytes that cannot be decoded.
    FrameError = 501,
    /// A field with a value that cannot be.
    SyntaxError = 502,
    /// A method that is not for this place.
    CommandInvalid = 503,
    /// A channel that is not open, or is open already.
    ChannelError = 504,
    /// A frame out of order.
    UnexpectedFrame = 505,
    /// The broker could not do its part.
    ResourceError = 506,
    /// Refused by limits or configuration.
    NotAllowed = 530,
    /// A part of the protocol the broker does not have.
    NotImplemented = 540,
    /// Anything unexpected.
    InternalError = 541,
}

impl ReplyCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The name that begins the reply text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "REPLY_SUCCESS",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether the error closes the whole connection; the others close their channel.
    pub fn is_hard(self) -> bool {
        match self {
            Self::ConnectionForced
            | Self::InvalidPath
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => true,
            Self::Success
            | Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => false,
        }
    }
}

/// A rule the peer broke: what to put into the close method.
///
/// Displays as its reply text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.reply_text())]
pub struct ReplyError {
    /// The reply code, which also says what is closed.
    pub code: ReplyCode,
    /// What follows `NAME - ` in the reply text.
    pub explanation: String,
    /// Class and method id to report; `None` = the method being processed.
    pub method: Option<(u16, u16)>,
}

impl ReplyError {
    /// An error of the method being processed.
    pub fn new(code: ReplyCode, explanation: impl Into<String>) -> Self {
        Self {
            code,
            explanation: explanation.into(),
            method: None,
        }
    }

    /// Reports class and method (0, 0): the error belongs to no method.
    pub fn without_method(self) -> Self {
        self.at(0, 0)
    }

    /// Reports this class and method id.
    pub fn at(self, class: u16, method: u16) -> Self {
        Self {
            method: Some((class, method)),
            ..self
        }
    }

    /// `NAME - explanation`, at most 255 bytes: a longer text is cut at 252 bytes, or just before
    /// on a character boundary, and ends in `...`. Without an explanation only the name.
    pub fn reply_text(&self) -> String {
        let name = self.code.name();
        if self.explanation.is_empty() {
            return name.to_owned();
        }
        let text = format!("{name} - {}", self.explanation);
        if text.len() <= MAX_REPLY_TEXT {
            return text;
        }
        let mut cut = REPLY_TEXT_CUT;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        format!("{}...", &text[..cut])
    }

    /// 404: no such thing.
    pub fn not_found(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotFound, explanation)
    }

    /// 403: not permitted.
    pub fn access_refused(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::AccessRefused, explanation)
    }

    /// 406: contradicts the state of things.
    pub fn precondition_failed(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::PreconditionFailed, explanation)
    }

    /// 405: exclusive to someone else.
    pub fn resource_locked(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::ResourceLocked, explanation)
    }

    /// 530: refused by limits or configuration.
    pub fn not_allowed(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotAllowed, explanation)
    }

    /// 540: a part of the protocol the broker does not have.
    pub fn not_implemented(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotImplemented, explanation)
    }

    /// 501: bytes that cannot be decoded.
    pub fn frame_error(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::FrameError, explanation)
    }

    /// 505: a frame out of order.
    pub fn unexpected_frame(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::UnexpectedFrame, explanation)
    }

    /// 504: the channel is not open, or is open already.
    pub fn channel_error(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::ChannelError, explanation)
    }

    /// 503: a method that is not for this place.
    pub fn command_invalid(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::CommandInvalid, explanation)
    }

    /// 502: a value that cannot be.
    pub fn syntax_error(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::SyntaxError, explanation)
    }

    /// 506: the broker could not do its part.
    pub fn resource_error(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::ResourceError, explanation)
    }

    /// 320: an operator closed the connection. Belongs to no method.
    pub fn connection_forced(explanation: impl Into<String>) -> Self {
        Self::new(ReplyCode::ConnectionForced, explanation).without_method()
    }

    /// 541, with the bare name as text and no method: the cause is ours, not the peer's.
    pub fn internal() -> Self {
        Self::new(ReplyCode::InternalError, "").without_method()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amq_protocol::protocol::{AMQPHardError, AMQPSoftError};

    const ALL: [ReplyCode; 19] = [
        ReplyCode::Success,
        ReplyCode::ContentTooLarge,
        ReplyCode::NoRoute,
        ReplyCode::NoConsumers,
        ReplyCode::ConnectionForced,
        ReplyCode::InvalidPath,
        ReplyCode::AccessRefused,
        ReplyCode::NotFound,
        ReplyCode::ResourceLocked,
        ReplyCode::PreconditionFailed,
        ReplyCode::FrameError,
        ReplyCode::SyntaxError,
        ReplyCode::CommandInvalid,
        ReplyCode::ChannelError,
        ReplyCode::UnexpectedFrame,
        ReplyCode::ResourceError,
        ReplyCode::NotAllowed,
        ReplyCode::NotImplemented,
        ReplyCode::InternalError,
    ];

    #[test]
    fn codes_names_and_scopes_agree_with_amq_protocol() {
        for code in ALL {
            let hard = AMQPHardError::from_id(code.code());
            let soft = AMQPSoftError::from_id(code.code());
            assert_eq!(code.is_hard(), hard.is_some(), "{code:?}");
            let name = hard.map(|e| e.to_string()).or(soft.map(|e| e.to_string()));
            if let Some(name) = name {
                assert_eq!(code.name(), name.replace('-', "_"));
            }
        }
    }

    #[test]
    fn reply_text_is_name_and_explanation() {
        let error = ReplyError::not_found("no queue 'q' in vhost '/'");
        assert_eq!(error.reply_text(), "NOT_FOUND - no queue 'q' in vhost '/'");
        assert_eq!(error.to_string(), error.reply_text());
        assert_eq!(error.method, None);
        assert_eq!(error.clone().at(50, 10).method, Some((50, 10)));
        assert_eq!(error.without_method().method, Some((0, 0)));
        assert_eq!(ReplyError::internal().reply_text(), "INTERNAL_ERROR");
    }

    #[test]
    fn row_e_2_long_texts_are_cut_at_252_bytes() {
        let fits = ReplyError::not_found("x".repeat(255 - "NOT_FOUND - ".len()));
        assert_eq!(fits.reply_text().len(), 255);
        assert!(fits.reply_text().ends_with('x'));
        let long = ReplyError::not_found("x".repeat(256 - "NOT_FOUND - ".len()));
        assert_eq!(long.reply_text().len(), 255);
        assert!(long.reply_text().ends_with("x..."));
    }

    #[test]
    fn the_cut_respects_characters() {
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(shift), "\u{1F407}".repeat(100));
            let reply = ReplyError::not_found(text).reply_text();
            assert!(reply.len() <= 255 && reply.len() > 248, "{}", reply.len());
            assert!(reply.ends_with("\u{1F407}..."));
        }
    }
}
