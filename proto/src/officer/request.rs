//! The request: an officer's own certificate, and what they ask for.

use std::collections::BTreeSet;

use prost::Message;

use super::Code;
use crate::context::Context;
use crate::id::{AgencyId, DeskName, IdError, Timestamp};
use crate::limit;
use crate::openpgp::{Certificate, CertificateError, SignError, SigningKey, VerifyError};
use crate::roster;
use crate::strict::{self, StrictError};
use crate::wire;

/// What an officer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficerRequest {
    /// Of which agency.
    pub agency: AgencyId,
    /// A role title, never a name.
    pub title: String,
    /// For which desks.
    pub desks: BTreeSet<DeskName>,
    /// When.
    pub created: Timestamp,
}

/// A request that is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// OFF-01: too long, malformed, unknown fields.
    #[error("OFF-01: {0}")]
    Encoding(#[from] StrictError),
    /// OFF-02: the certificate is not accepted, or its key is not valid now.
    #[error("OFF-02: {0}")]
    Certificate(#[from] CertificateError),
    /// OFF-02: not a certificate as an officer has.
    #[error(
        "OFF-02: an officer's certificate has one encryption key, and a user id like `officer-1a2b3c4d`"
    )]
    NotAnOfficers,
    /// OFF-03: the officer's own signature does not verify.
    #[error("OFF-03: the officer's signature on the request does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// OFF-04: an id does not parse.
    #[error("OFF-04: {0}")]
    Id(#[from] IdError),
    /// OFF-04: a title that could hold a name or control characters.
    #[error("OFF-04: a title is 1 to 64 plain characters")]
    Title,
    /// OFF-04: no desk, too many, not sorted, or one twice.
    #[error(
        "OFF-04: the desks are not 1 to {}, sorted, each once",
        limit::ROSTER_DESKS
    )]
    Desks,
    /// OFF-05: made in the future.
    #[error("OFF-05: the request is from the future: one of the two clocks is wrong")]
    Future,
}

/// A request that its own certificate signed. Who holds that key, only the code can tell.
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    request: OfficerRequest,
    certificate: Certificate,
    code: Code,
}

impl OfficerRequest {
    /// Signs it with the key that it asks for. Gives the file.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, officer: &SigningKey) -> Result<Vec<u8>, SignError> {
        let content = wire::OfficerRequest {
            agency: self.agency.to_string(),
            title: self.title.clone(),
            desks: self.desks.iter().map(ToString::to_string).collect(),
            created: self.created.0,
            certificate: officer.certificate().as_bytes().to_vec(),
        }
        .encode_to_vec();
        let signature = officer.sign(Context::OfficerRequest, &content, self.created)?;
        Ok(wire::Signed { content, signature }.encode_to_vec())
    }
}

impl VerifiedRequest {
    /// Verifies a request file, judged at `at`.
    ///
    /// # Errors
    /// OFF-01 to OFF-05 of proto/spec/officer.md.
    pub fn verify(bytes: &[u8], at: Timestamp) -> Result<Self, RequestError> {
        let signed: wire::Signed = strict::decode(bytes, limit::OFFICER_REQUEST_BYTES)?;
        let wire: wire::OfficerRequest =
            strict::decode(&signed.content, limit::OFFICER_REQUEST_BYTES)?;
        let certificate = Certificate::parse(&wire.certificate)?;
        check_officers(&certificate, at)?;
        certificate.verify(
            Context::OfficerRequest,
            &signed.content,
            &signed.signature,
            at,
        )?;
        let request = parse(&wire)?;
        if request.created.since(at) > limit::CLOCK_SKEW_SECONDS {
            return Err(RequestError::Future);
        }
        Ok(Self {
            request,
            certificate,
            code: Code::of(Context::OfficerRequest, &signed.content),
        })
    }

    /// What is asked for.
    #[must_use]
    pub const fn request(&self) -> &OfficerRequest {
        &self.request
    }

    /// The officer's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What the officer reads out.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }
}

/// OFF-02: one key to hand desk keys over to, and a name that says nothing of who it is.
fn check_officers(certificate: &Certificate, at: Timestamp) -> Result<(), RequestError> {
    let id = certificate.user_id().strip_prefix("officer-");
    let opaque = id.is_some_and(|id| {
        id.len() == 8
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    let keys = certificate.encryption_keys();
    match keys.as_slice() {
        [key] if opaque => Ok(certificate.recipient(key, at).map(|_| ())?),
        _ => Err(RequestError::NotAnOfficers),
    }
}

fn parse(wire: &wire::OfficerRequest) -> Result<OfficerRequest, RequestError> {
    if !roster::is_title(&wire.title) {
        return Err(RequestError::Title);
    }
    if !(1..=limit::ROSTER_DESKS).contains(&wire.desks.len())
        || !wire.desks.is_sorted_by(|a, b| a < b)
    {
        return Err(RequestError::Desks);
    }
    let desks = wire.desks.iter().map(|desk| desk.parse());
    Ok(OfficerRequest {
        agency: wire.agency.parse()?,
        title: wire.title.clone(),
        desks: desks.collect::<Result<_, _>>()?,
        created: Timestamp(wire.created),
    })
}
