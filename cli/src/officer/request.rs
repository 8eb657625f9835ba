//! `officer request`: a new officer's key, made on their own machine, and what they ask for.

use std::collections::BTreeMap;

use serde::Serialize;
use waypost_proto::officer::{OfficerRequest as Content, VerifiedRequest};
use waypost_proto::openpgp::{KeyRole, SecretKey};

use crate::agency::{key_failure, officer_name, suite_name};
use crate::args::OfficerRequest;
use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Settings};
use crate::output::{Failure, Output, Page, Report};

#[derive(Debug, Serialize)]
struct Requested {
    agency: String,
    officer: String,
    title: String,
    desks: Vec<String>,
    suite: &'static str,
    fingerprint: String,
    file: String,
    code: String,
    next: Vec<String>,
}

impl Report for Requested {
    const COMMAND: &'static str = "officer request";

    fn page(&self, page: &mut Page) {
        page.good(&format!(
            "Your key is made. You ask {} to admit you.",
            self.agency
        ));
        page.field("officer", &self.officer);
        page.field("title", &self.title);
        page.field("desks", &self.desks.join(", "));
        page.field("request", &self.file);
        page.field("code", &self.code);
        page.next_steps(&self.next);
    }
}

/// Makes it.
pub(super) fn run(wanted: &OfficerRequest, context: &Context) -> Result<Output, Failure> {
    context.home.check_unused()?;
    let usual = wanted
        .desk
        .first()
        .cloned()
        .ok_or_else(|| Failure::invalid("no desk is named").next("add `--desk NAME`"))?;
    let now = context.now();
    let content = Content {
        agency: wanted.agency.clone(),
        title: wanted.title.clone(),
        desks: wanted.desk.iter().cloned().collect(),
        created: now,
    };
    let name = officer_name()?;
    let key = SecretKey::generate(KeyRole::Officer, wanted.suite.into(), &name, now)
        .map_err(key_failure)?;
    let bytes = key
        .signing_key()
        .and_then(|signer| content.sign(&signer))
        .map_err(|e| Failure::error("the new key does not sign").caused_by(&e))?;
    // As the administrator will, and before a passphrase is asked for.
    let verified = VerifiedRequest::verify(&bytes, now).map_err(|e| {
        Failure::invalid("this cannot be asked for")
            .caused_by(&e)
            .next("correct the options and type the command again: nothing was written")
    })?;
    let passphrase = context.new_passphrase("your new key")?;
    let home = &context.home;
    home.write(
        &HomeFile::OfficerKey,
        &key.lock(&passphrase).map_err(key_failure)?,
    )?;
    home.write(&HomeFile::OfficerCertificate, key.certificate().as_bytes())?;
    home.write(&HomeFile::OfficerRequest, &bytes)?;
    // Last: without it the folder is no home, and the command can be typed again.
    home.write_settings(&Settings::Agency(AgencySettings {
        agency: wanted.agency.clone(),
        officer: key.certificate().fingerprint(),
        desk: usual,
        operators: BTreeMap::new(),
    }))?;
    let file = home
        .path_of(&HomeFile::OfficerRequest)
        .display()
        .to_string();
    Ok(Output::of(&Requested {
        agency: wanted.agency.to_string(),
        officer: name,
        title: wanted.title.clone(),
        desks: content.desks.iter().map(ToString::to_string).collect(),
        suite: suite_name(wanted.suite.into()),
        fingerprint: key.certificate().fingerprint().to_string(),
        code: verified.code().to_string(),
        next: vec![
            format!(
                "Send `{file}` to the administrator of {}. It holds no secret.",
                wanted.agency
            ),
            format!(
                "When they telephone, read them this code: {}",
                verified.code()
            ),
            "When they send your admission: waypost officer join FILE".to_owned(),
        ],
        file,
    }))
}
