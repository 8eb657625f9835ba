//! An officer at a desk: logs in, checks chains, seals, submits, fetches, opens.

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use tonic::transport::Channel;
use waypost_cli::connection;
use waypost_cli::rpc::desk_client::DeskClient;
use waypost_proto::context::Context;
use waypost_proto::directory::VerifiedHead;
use waypost_proto::envelope::Received;
use waypost_proto::header::Header;
use waypost_proto::id::{AgencyId, DeskAddress, Digest, MessageId};
use waypost_proto::openpgp::{Certificate, DeskKey, SigningKey, Suite};
use waypost_proto::party::Party;
use waypost_proto::truthful::Truthful;
use waypost_proto::wire::{self, Outcome, submit_reply};

use crate::letter::{self, Ends, Letter};
use crate::node::Trusted;
use crate::scheme::{self, Agency, DESK, Scheme};
use crate::wait;

/// What an officer has to log in with, as often as the connection breaks.
#[derive(Clone)]
pub struct Badge {
    endpoint: String,
    pin: Digest,
    signing: SigningKey,
    address: DeskAddress,
    desk_key: DeskKey,
    operators: Vec<Trusted>,
    suite: Suite,
}

impl std::fmt::Debug for Badge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Badge")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// An officer who has logged in.
pub struct Officer {
    /// The node's desk service, on the connection of the log-in.
    pub desk: DeskClient<Channel>,
    /// Signs as the officer.
    pub signing: SigningKey,
    address: DeskAddress,
    desk_key: DeskKey,
    operators: Vec<Trusted>,
    suite: Suite,
}

impl std::fmt::Debug for Officer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Officer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What the node answered to a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The message is in the log.
    Logged(wire::Evidence),
    /// It is not taken, for this reason.
    Refused(String),
}

impl Badge {
    /// That of one of the officers of an agency, for its own node.
    ///
    /// # Errors
    /// When there are fewer officers.
    pub fn of(scheme: &Scheme, agency: &Agency, officer: usize) -> Result<Self> {
        let keys = agency.desk_key();
        let subkeys = keys.certificate().encryption_keys();
        Ok(Self {
            endpoint: agency.node.desk_endpoint()?,
            pin: agency.node.pin()?,
            signing: agency.officer(officer)?.signing_key()?,
            address: agency.desk()?,
            desk_key: keys.desk_key(subkeys.last().context("a subkey")?)?,
            operators: scheme.trusted(),
            suite: scheme.suite(),
        })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// What the connection or the node says.
    pub async fn log_in(&self) -> Result<Officer> {
        let connected = connection::connect(&self.endpoint, &[self.pin]).await?;
        let mut desk = connected.desk;
        let agency = self.address.agency.to_string();
        let officer = self.signing.certificate().fingerprint().as_bytes().to_vec();
        let request = wire::ChallengeRequest {
            agency: agency.clone(),
            officer: officer.clone(),
        };
        let challenge = desk.challenge(request).await?.into_inner();
        let content = wire::LogInContent {
            agency,
            node: challenge.node,
            officer,
            node_nonce: challenge.nonce,
            client_nonce: [letter::random()?, letter::random()?].concat(),
            exporter: connected.exporter.to_vec(),
        }
        .encode_to_vec();
        let signature = self.signing.sign(Context::Login, &content, scheme::now())?;
        desk.log_in(wire::LogInRequest { content, signature })
            .await?;
        Ok(Officer {
            desk,
            signing: self.signing.clone(),
            address: self.address.clone(),
            desk_key: self.desk_key.clone(),
            operators: self.operators.clone(),
            suite: self.suite,
        })
    }
}

impl Officer {
    /// Logs in as the first officer of an agency, at its own node.
    ///
    /// # Errors
    /// What the connection or the node says.
    pub async fn of(scheme: &Scheme, agency: &Agency) -> Result<Self> {
        Self::log_in(scheme, agency, 0).await
    }

    /// Logs in as one of the officers of an agency, at its own node.
    ///
    /// # Errors
    /// What the connection or the node says.
    pub async fn log_in(scheme: &Scheme, agency: &Agency, officer: usize) -> Result<Self> {
        Badge::of(scheme, agency, officer)?.log_in().await
    }

    /// The officer's agency.
    #[must_use]
    pub const fn agency(&self) -> &AgencyId {
        &self.address.agency
    }

    /// Looks an agency up and checks its chain from the pinned operator down.
    ///
    /// # Errors
    /// What the node says, or what does not verify.
    pub async fn look_up(&mut self, agency: &AgencyId) -> Result<Party> {
        let request = wire::LookUpRequest {
            agency: agency.to_string(),
        };
        let reply = self.desk.look_up(request).await?.into_inner();
        let operator = Certificate::parse(&reply.operator)?;
        let pinned = self
            .operators
            .iter()
            .find(|trusted| trusted.country == agency.country())
            .context("an operator of its country")?;
        ensure!(
            operator.fingerprint() == pinned.operator,
            "another operator"
        );
        let at = scheme::now();
        let head = VerifiedHead::verify(&reply.head.context("a head")?, &operator, at)?;
        let record = head.agency(agency, &reply.agency.context("a record")?)?;
        let certificate = Certificate::parse(&reply.agency_certificate)?;
        let roster = reply.roster.context("a roster")?.encode_to_vec();
        let certificates = parse(&reply.certificates)?;
        let party = Party::assemble(record, &certificate, &roster, certificates, at)?;
        party.check_fresh(at)?;
        Ok(party)
    }

    /// Both ends of a message from this officer's desk to that of `recipient`.
    ///
    /// # Errors
    /// As [`Self::look_up`].
    pub async fn ends(&mut self, recipient: &AgencyId) -> Result<Ends> {
        let own = self.agency().clone();
        Ok(Ends {
            sender: self.look_up(&own).await?,
            from: self.address.clone(),
            recipient: self.look_up(recipient).await?,
            to: DeskAddress {
                agency: recipient.clone(),
                desk: DESK.parse()?,
            },
        })
    }

    /// Submits a sealed message.
    ///
    /// # Errors
    /// What the connection or the node says; a refusal is an answer.
    pub async fn submit(&mut self, envelope: wire::Envelope) -> Result<Submitted> {
        let request = wire::SubmitRequest {
            envelope: Some(envelope),
            subject_ref: letter::random()?.to_vec(),
        };
        let reply = self.desk.submit(request).await?.into_inner();
        match reply.result {
            Some(submit_reply::Result::Receipt(evidence)) => Ok(Submitted::Logged(evidence)),
            Some(submit_reply::Result::Refusal(refusal)) => Ok(Submitted::Refused(refusal.reason)),
            None => bail!("an empty answer"),
        }
    }

    /// Seals and submits a letter that must be taken.
    ///
    /// # Errors
    /// As [`Self::submit`]; a refusal is one.
    pub async fn send(&mut self, recipient: &AgencyId, letter: &Letter) -> Result<wire::Evidence> {
        let ends = self.ends(recipient).await?;
        let sealed = ends.seal(letter, &self.signing)?;
        self.send_sealed(sealed.into_wire()).await
    }

    /// Submits a sealed message that must be taken.
    ///
    /// # Errors
    /// As [`Self::submit`]; a refusal is one.
    pub async fn send_sealed(&mut self, envelope: wire::Envelope) -> Result<wire::Evidence> {
        match self.submit(envelope).await? {
            Submitted::Logged(evidence) => Ok(evidence),
            Submitted::Refused(reason) => bail!("refused: {reason}"),
        }
    }

    /// Sends a letter and waits until this agency's log says that it is delivered.
    ///
    /// # Errors
    /// As [`Self::send`]; when it is not delivered in time.
    pub async fn deliver(&mut self, recipient: &AgencyId, letter: &Letter) -> Result<()> {
        self.send(recipient, letter).await?;
        self.outcome(&letter.id, Outcome::Delivered).await?;
        Ok(())
    }

    /// Waits for a message, fetches it and opens it.
    ///
    /// # Errors
    /// When it does not come in time, or does not verify.
    pub async fn receive(&mut self, id: &MessageId) -> Result<(Header, Truthful)> {
        self.outcome(id, Outcome::Received).await?;
        let fetched = self.fetch(id).await?;
        self.open(&fetched).await
    }

    /// Every message of the agency.
    ///
    /// # Errors
    /// What the node says.
    pub async fn list(&mut self) -> Result<Vec<wire::ListItem>> {
        let mut items: Vec<wire::ListItem> = Vec::new();
        loop {
            let request = wire::ListRequest {
                after: items.last().map_or(0, |item| item.position),
                limit: 1000,
                ..Default::default()
            };
            let reply = self.desk.list(request).await?.into_inner();
            items.extend(reply.items);
            if !reply.more {
                return Ok(items);
            }
        }
    }

    /// The list's item of a message, if it is there.
    ///
    /// # Errors
    /// What the node says.
    pub async fn item(&mut self, id: &MessageId) -> Result<Option<wire::ListItem>> {
        let items = self.list().await?;
        Ok(items
            .into_iter()
            .find(|item| Header::decode(&item.header).is_ok_and(|header| header.message_id == *id)))
    }

    /// Waits until the agency holds a message with this outcome.
    ///
    /// # Errors
    /// When that does not come to pass.
    pub async fn outcome(&mut self, id: &MessageId, outcome: Outcome) -> Result<wire::ListItem> {
        let what = format!("{} has {id} as {}", self.address, outcome.as_str_name());
        wait::until(&what, async || {
            Ok(self
                .item(id)
                .await?
                .filter(|item| item.outcome() == outcome))
        })
        .await
    }

    /// Fetches a message.
    ///
    /// # Errors
    /// What the node says.
    pub async fn fetch(&mut self, id: &MessageId) -> Result<wire::FetchReply> {
        let request = wire::FetchRequest {
            message_id: id.as_bytes().to_vec(),
        };
        Ok(self.desk.fetch(request).await?.into_inner())
    }

    /// Authenticates a fetched message along both chains, opens it, checks its manifest, and reports
    /// it opened.
    ///
    /// # Errors
    /// What does not verify.
    pub async fn open(&mut self, fetched: &wire::FetchReply) -> Result<(Header, Truthful)> {
        let envelope = fetched.envelope.clone().context("an envelope")?;
        let received = Received::decode(envelope)?;
        let header = received.header().clone();
        let sender = self
            .chain(
                &header.sender.agency,
                fetched.sender_roster.as_ref(),
                fetched,
            )
            .await?;
        let recipient = self
            .chain(
                &header.recipient.agency,
                fetched.recipient_roster.as_ref(),
                fetched,
            )
            .await?;
        let authenticated =
            received.authenticate(&sender, &recipient, self.suite, scheme::now())?;
        let opened = authenticated.open(&self.desk_key, &sender, &recipient)?;
        let truthful = opened.truthful()?;
        let request = wire::ReportOpenedRequest {
            message_id: header.message_id.as_bytes().to_vec(),
        };
        self.desk.report_opened(request).await?;
        Ok((header, truthful))
    }

    /// The chain of an agency with the roster that came with a message.
    async fn chain(
        &mut self,
        agency: &AgencyId,
        roster: Option<&wire::Signed>,
        fetched: &wire::FetchReply,
    ) -> Result<Party> {
        let now = self.look_up(agency).await?;
        let roster = roster.context("a roster")?.encode_to_vec();
        let certificates = parse(&fetched.certificates)?;
        let certificate = certificates
            .iter()
            .find(|c| now.record().certificate.names(c))
            .cloned()
            .context("the agency's certificate")?;
        Ok(Party::assemble(
            now.record().clone(),
            &certificate,
            &roster,
            certificates,
            scheme::now(),
        )?)
    }
}

fn parse(certificates: &[Vec<u8>]) -> Result<Vec<Certificate>> {
    let parsed = certificates.iter().map(|bytes| Certificate::parse(bytes));
    Ok(parsed.collect::<Result<_, _>>()?)
}
