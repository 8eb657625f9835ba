//! `message export`: the sealed body as a plain OpenPGP message file. Nothing is decrypted.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::fetch;
use super::mail;
use super::session::Session;
use crate::args::{IdStart, MessageCommand};
use crate::context::Context;
use crate::home::write_new_file;
use crate::output::{Failure, Output, Page, Report};

/// Files that were written.
#[derive(Debug, Serialize)]
struct Exported {
    message: String,
    file: PathBuf,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_certificate: Option<PathBuf>,
    signed_by: String,
}

impl Report for Exported {
    const COMMAND: &'static str = "message export";

    fn page(&self, page: &mut Page) {
        page.good("written: still sealed; any OpenPGP tool with the desk's key opens it (RFC 9580, RFC 9980)");
        page.field("message", &self.message);
        page.field("file", &self.file.display());
        page.field("bytes", &self.bytes);
        page.field("signed by", &self.signed_by);
        if let Some(file) = &self.sender_certificate {
            page.field("certificate", &file.display());
        }
    }
}

/// `message ..`.
pub(crate) async fn run(command: &MessageCommand, context: &Context) -> Result<Output, Failure> {
    let MessageCommand::Export {
        message,
        out,
        sender_cert,
    } = command;
    export(message, out, sender_cert.as_deref(), context).await
}

async fn export(
    wanted: &IdStart,
    out: &Path,
    sender_cert: Option<&Path>,
    context: &Context,
) -> Result<Output, Failure> {
    let mut session = Session::open(context).await?;
    let items = mail::list(&mut session.client, None).await?;
    let item = mail::find(&items, wanted.as_str())?;
    let fetched = fetch::fetch(&mut session, item).await?;
    let header = fetched.message.header();
    let body = &fetched.message.envelope().body;
    write_new_file(out, body)?;
    if let Some(file) = sender_cert {
        // `authenticate` found it in the roster.
        let (_, certificate) = fetched
            .sender
            .officer(&header.officer, &header.sender.desk)
            .map_err(|e| Failure::error("the sender's certificate is missing").caused_by(&e))?;
        write_new_file(file, certificate.as_bytes())?;
    }
    Ok(Output::of(&Exported {
        message: header.message_id.to_string(),
        file: out.to_owned(),
        bytes: body.len(),
        sender_certificate: sender_cert.map(Path::to_owned),
        signed_by: header.officer.to_string(),
    }))
}
