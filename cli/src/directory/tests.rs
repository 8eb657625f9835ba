//! From a new agency to an installed directory, in temporary folders.

use std::fs;
use std::path::PathBuf;

use clap::Parser as _;
use prost::Message as _;
use waypost_proto::directory_file::DirectoryDraft;
use waypost_proto::id::Digest;
use waypost_proto::note::NoteSigner;

use super::*;
use crate::args::Arguments;
use crate::clock::Clock;
use crate::home::Home;
use crate::passphrase::Source;

const NOW: Timestamp = Timestamp(1_795_300_000);
const DAY: u64 = 86_400;

/// A machine with an agency's home and an operator's, and the suite of both.
struct Machine {
    folder: tempfile::TempDir,
    suite: &'static str,
}

impl Machine {
    fn new(suite: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            suite,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn context(&self, home: &str, now: Timestamp) -> Context {
        let home = Home::locate(Some(&self.path(home))).unwrap();
        let source = Source::Command("echo five random words in order".into());
        Context::new(home, Clock::Fixed(now), source)
    }

    fn run_at(&self, home: &str, now: Timestamp, line: &[&str]) -> Result<Output, Failure> {
        let arguments = Arguments::try_parse_from([&["waypost"], line].concat()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(crate::run(arguments.command, &self.context(home, now)))
    }

    fn run(&self, home: &str, line: &[&str]) -> Result<Output, Failure> {
        self.run_at(home, NOW, line)
    }

    fn agency(&self, home: &str, id: &str) -> Output {
        self.agency_at(home, id, "GB-EAW", "gb.example-host")
    }

    fn agency_at(&self, home: &str, id: &str, jurisdiction: &str, node: &str) -> Output {
        self.run(
            home,
            &[
                "agency",
                "init",
                id,
                "--name",
                "Example",
                "--role",
                "CPA",
                "--jurisdiction",
                jurisdiction,
                "--endpoint",
                "127.0.0.1:7443",
                "--node",
                node,
                "--suite",
                self.suite,
                "--desk-attest",
                "vetted,child-specialist",
            ],
        )
        .unwrap()
    }

    /// The operator of another State, and a node; signed. Gives the operator's fingerprint and the file.
    fn other_state(&self) -> (String, PathBuf) {
        let line = ["directory", "new", "--country", "fr", "--suite", self.suite];
        let made = self.run("operator-fr", &line).unwrap();
        self.agency_at("agency-fr", "fr.example", "FR", "fr.example-host");
        self.log_key("log-fr.vkey", "fr.example", 2);
        self.node("node-fr.pb", "fr.example-host");
        let [node, registration, vkey] = [
            "node-fr.pb",
            "agency-fr/public/registration.pb",
            "log-fr.vkey",
        ]
        .map(|name| self.path(name).to_str().unwrap().to_owned());
        let line = ["directory", "add", "--node", &node];
        self.run("operator-fr", &line).unwrap();
        let line = [
            "directory",
            "add",
            "--registration",
            &registration,
            "--log-key",
            &vkey,
        ];
        self.run("operator-fr", &line).unwrap();
        self.run("operator-fr", &["directory", "sign"]).unwrap();
        let file = self.path("operator-fr").join("operator/directory.pb");
        let pin = made.json()["fingerprint"].as_str().unwrap().to_owned();
        (pin, file)
    }

    /// The operator, one agency and its node, not yet signed. Gives the operator's fingerprint.
    fn scheme(&self) -> String {
        let made = self.run(
            "operator",
            &["directory", "new", "--country", "gb", "--suite", self.suite],
        );
        self.agency("agency", "gb.example");
        self.log_key("log.vkey", "gb.example", 1);
        self.node("node.pb", "gb.example-host");
        self.add("agency").unwrap();
        let node = self.path("node.pb");
        self.run(
            "operator",
            &["directory", "add", "--node", node.to_str().unwrap()],
        )
        .unwrap();
        made.unwrap().json()["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn add(&self, home: &str) -> Result<Output, Failure> {
        let registration = self.path(home).join("public/registration.pb");
        let vkey = self.path("log.vkey");
        self.run(
            "operator",
            &[
                "directory",
                "add",
                "--registration",
                registration.to_str().unwrap(),
                "--log-key",
                vkey.to_str().unwrap(),
            ],
        )
    }

    fn log_key(&self, file: &str, agency: &str, seed: u8) {
        let name = format!("waypost/{agency}").parse().unwrap();
        let signer = NoteSigner::from_seed(name, zeroize::Zeroizing::new([seed; 32])).unwrap();
        fs::write(self.path(file), format!("{}\n", signer.verifier())).unwrap();
    }

    fn node(&self, file: &str, id: &str) {
        let record = wire::NodeRecord {
            id: id.into(),
            peer_endpoint: "127.0.0.1:7443".into(),
            desk_endpoint: "127.0.0.1:7444".into(),
            tls_key: Digest::of(id.as_bytes()).as_bytes().to_vec(),
            tls_key_next: Vec::new(),
        };
        fs::write(self.path(file), record.encode_to_vec()).unwrap();
    }

    /// Signs, and copies the file out.
    fn sign(&self, name: &str, now: Timestamp) -> PathBuf {
        self.run_at("operator", now, &["directory", "sign"])
            .unwrap();
        let copy = self.path(name);
        fs::copy(self.path("operator").join("operator/directory.pb"), &copy).unwrap();
        copy
    }
}

fn round_trip(suite: &'static str) {
    let machine = Machine::new(suite);
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let file = file.to_str().unwrap();

    let verified = machine
        .run("nowhere", &["directory", "verify", file, "--pin", &pin])
        .unwrap();
    assert_eq!(verified.json()["version"], 1);
    let installed = machine
        .run("agency", &["directory", "install", file, "--pin", &pin])
        .unwrap();
    assert_eq!(installed.json()["own_agency_listed"], true);
    assert_eq!(installed.json()["suite"], suite);

    let context = machine.context("agency", NOW);
    let directory = context.directory().unwrap();
    assert!(directory.agency(&"gb.example".parse().unwrap()).is_some());
    // The keys that `agency init` made do what the directory says of them.
    let officer = context.officer_key().unwrap();
    let roster = crate::roster::registered(&context).unwrap();
    let intake = "intake".parse().unwrap();
    let listed = roster.roster().roster().desks[&intake].encryption_key;
    let desk = context.desk_key(&intake, &listed, &officer).unwrap();
    assert_eq!(desk.desk_certificate().user_id(), "gb.example/intake");
    assert!(officer.certificate().user_id().starts_with("officer-"));
}

#[test]
fn an_agency_is_made_listed_and_installed_with_the_classical_suite() {
    round_trip("classical");
}

#[test]
fn an_agency_is_made_listed_and_installed_with_the_post_quantum_suite() {
    round_trip("post-quantum");
}

#[test]
fn the_first_installation_needs_the_pin_and_the_next_the_same_operator() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let file = file.to_str().unwrap();
    let other = "0".repeat(64);

    let failure = machine
        .run("agency", &["directory", "install", file, "--pin", &other])
        .unwrap_err();
    assert!(failure.to_string().contains(&pin), "{failure}");
    machine
        .run("agency", &["directory", "install", file, "--pin", &pin])
        .unwrap();
    machine
        .run("agency", &["directory", "install", file])
        .unwrap();
    let failure = machine
        .run("agency", &["directory", "install", file, "--pin", &other])
        .unwrap_err();
    assert!(
        failure.to_string().contains("another scheme operator"),
        "{failure}"
    );
}

#[test]
fn a_second_state_is_added_under_a_pin_of_its_own() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let (other_pin, other) = machine.other_state();
    let install = |file: &PathBuf, pin: &[&str]| {
        let line = ["directory", "install", file.to_str().unwrap()];
        machine.run("agency", &[&line, pin].concat())
    };
    install(&file, &["--pin", &pin]).unwrap();
    // Nobody takes the pin of the first State for one of the second, nor the file's own word.
    let failure = install(&other, &["--pin", &pin]).unwrap_err();
    assert!(failure.to_string().contains(&other_pin), "{failure}");
    let failure = install(&other, &[]).unwrap_err();
    assert!(failure.to_string().contains("--pin"), "{failure}");
    let added = install(&other, &["--pin", &other_pin]).unwrap();
    assert_eq!(added.json()["pinned_now"], true);
    assert!(added.json().get("own_agency_listed").is_none());
    assert_eq!(install(&other, &[]).unwrap().json()["pinned_now"], false);

    let shown = machine.run("agency", &["directory", "show"]).unwrap();
    let shown = &shown.json()["directories"];
    assert_eq!(shown[0]["operator"], other_pin);
    assert_eq!(shown[1]["operator"], pin);
    let installed = machine.context("agency", NOW).directory().unwrap();
    assert!(installed.agency(&"gb.example".parse().unwrap()).is_some());
    assert!(
        installed
            .node(&"fr.example-host".parse().unwrap())
            .is_some()
    );
    let found = machine.run("agency", &["doctor", "--offline"]).unwrap();
    let found = found.json().to_string();
    assert!(found.contains("directory of `fr`") && found.contains("directory of `gb`"));
}

#[test]
fn a_directory_of_another_country_signed_by_a_pinned_operator_is_refused() {
    // DIR-14: `gb`'s operator signs a directory of `fr`, before and after `fr` has one of its own.
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let (other_pin, other) = machine.other_state();
    let operator = machine.context("operator", NOW).operator_key().unwrap();
    let forged = DirectoryDraft {
        country: "fr".into(),
        version: 9,
        suite: waypost_proto::openpgp::Suite::Classical,
        records: Vec::new(),
        certificates: Vec::new(),
    };
    let forged = forged
        .sign(&operator.signing_key().unwrap(), NOW, NOW.plus(DAY))
        .unwrap();
    fs::write(machine.path("forged.pb"), forged).unwrap();
    let install = |file: &PathBuf, pin: &[&str]| {
        let line = ["directory", "install", file.to_str().unwrap()];
        machine.run("agency", &[&line, pin].concat())
    };
    install(&file, &["--pin", &pin]).unwrap();
    let forged = machine.path("forged.pb");
    let failure = install(&forged, &["--pin", &pin]).unwrap_err().to_string();
    assert!(failure.contains("DIR-14"), "{failure}");
    install(&other, &["--pin", &other_pin]).unwrap();
    let failure = install(&forged, &["--pin", &pin]).unwrap_err().to_string();
    assert!(failure.contains("another scheme operator"), "{failure}");
    let failure = install(&forged, &[]).unwrap_err().to_string();
    assert!(failure.contains("DIR-02"), "{failure}");
    // Nor does it help to put it there by hand.
    let kept = machine.path("agency").join("directory-fr.pb");
    fs::write(&kept, fs::read(&forged).unwrap()).unwrap();
    let failure = machine.context("agency", NOW).directory().unwrap_err();
    assert!(failure.to_string().contains("DIR-02"), "{failure}");
}

#[test]
fn an_older_directory_is_refused() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let first = machine.sign("first.pb", NOW);
    let second = machine.sign("second.pb", NOW.plus(1));
    let install = |file: &PathBuf| {
        machine.run_at(
            "agency",
            NOW.plus(2),
            &[
                "directory",
                "install",
                file.to_str().unwrap(),
                "--pin",
                &pin,
            ],
        )
    };
    assert_eq!(install(&second).unwrap().json()["version"], 2);
    assert!(install(&first).unwrap_err().to_string().contains("DIR-07"));
    // Nor does it help to put it there by hand.
    let kept = machine.path("agency").join("directory-gb.pb");
    fs::copy(&first, &kept).unwrap();
    let failure = machine
        .context("agency", NOW.plus(2))
        .directory()
        .unwrap_err();
    assert!(
        failure.to_string().contains("not the one last seen"),
        "{failure}"
    );
}

#[test]
fn an_expired_directory_is_not_installed() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let late = NOW.plus(31 * DAY);
    let line = [
        "directory",
        "install",
        file.to_str().unwrap(),
        "--pin",
        &pin,
    ];
    let failure = machine.run_at("agency", late, &line).unwrap_err();
    assert!(failure.to_string().contains("expired"), "{failure}");
    let line = ["directory", "verify", file.to_str().unwrap(), "--pin", &pin];
    assert_eq!(
        machine.run_at("agency", late, &line).unwrap().status(),
        Status::Error
    );
}

#[test]
fn a_tampered_directory_or_registration_is_refused() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let file = machine.sign("directory.pb", NOW);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let line = ["directory", "verify", file.to_str().unwrap(), "--pin", &pin];
    assert!(machine.run("agency", &line).is_err());

    let registration = machine.path("agency").join("public/registration.pb");
    let mut wire = wire::Registration::decode(fs::read(&registration).unwrap().as_slice()).unwrap();
    wire.certificates.pop();
    fs::write(&registration, wire.encode_to_vec()).unwrap();
    assert_eq!(machine.add("agency").unwrap_err().status(), Status::Invalid);
}

#[test]
fn a_known_agency_does_not_change_its_key_unnoticed() {
    let machine = Machine::new("classical");
    machine.scheme();
    machine.agency("imposter", "gb.example");
    let failure = machine.add("imposter").unwrap_err();
    assert!(
        failure.to_string().contains("--accept-new-certificate"),
        "{failure}"
    );
}

#[test]
fn the_log_key_of_another_agency_is_refused() {
    let machine = Machine::new("classical");
    machine.scheme();
    machine.log_key("log.vkey", "gb.another", 2);
    let failure = machine.add("agency").unwrap_err();
    assert!(failure.to_string().contains("another log"), "{failure}");
}

#[test]
fn an_id_of_another_country_is_refused() {
    let machine = Machine::new("classical");
    machine.scheme();
    machine.node("foreign.pb", "fr.example-host");
    let path = machine.path("foreign.pb");
    let line = ["directory", "add", "--node", path.to_str().unwrap()];
    let failure = machine.run("operator", &line).unwrap_err();
    assert_eq!(failure.status(), Status::Invalid);
    assert!(failure.to_string().contains("country"), "{failure}");
}

#[test]
fn a_directory_that_names_another_key_for_the_own_agency_is_not_installed() {
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    machine.agency("imposter", "gb.example");
    let registration = machine.path("imposter").join("public/registration.pb");
    let line = [
        "directory",
        "add",
        "--accept-new-certificate",
        "--registration",
        registration.to_str().unwrap(),
    ];
    machine.run("operator", &line).unwrap();
    let file = machine.sign("directory.pb", NOW);
    let line = [
        "directory",
        "install",
        file.to_str().unwrap(),
        "--pin",
        &pin,
    ];
    let failure = machine.run("agency", &line).unwrap_err();
    assert!(
        failure.to_string().contains("posing as your agency"),
        "{failure}"
    );
}

#[test]
fn a_roster_is_renewed_with_a_higher_version() {
    let machine = Machine::new("classical");
    machine.agency("agency", "gb.example");
    let later = NOW.plus(40 * DAY);
    let shown = machine
        .run_at("agency", later, &["roster", "show"])
        .unwrap();
    assert_eq!(
        (shown.status().code(), &shown.json()["fresh"]),
        (1, &false.into())
    );
    let signed = machine
        .run_at("agency", later, &["roster", "sign"])
        .unwrap();
    assert_eq!(signed.json()["version"], 2);
    let shown = machine
        .run_at("agency", later, &["roster", "show"])
        .unwrap();
    assert_eq!(
        (shown.status().code(), &shown.json()["days_left"]),
        (0, &30.into())
    );
}

#[test]
fn an_agency_that_would_not_verify_is_refused_before_anything_is_written() {
    let machine = Machine::new("classical");
    for wrong in [
        ["--jurisdiction", "FR", "--endpoint", "a.example:1"],
        ["--jurisdiction", "GB-EAW", "--endpoint", "a.example"],
        ["--jurisdiction", "GB-EAW", "--endpoint", ":1"],
    ] {
        let line = [
            &[
                "agency",
                "init",
                "gb.example",
                "--name",
                "Example",
                "--role",
                "CPA",
                "--suite",
                "classical",
            ],
            wrong.as_slice(),
        ]
        .concat();
        let failure = machine.run("wrong", &line).unwrap_err();
        assert_eq!(failure.status().code(), 3, "{failure}");
        assert!(!machine.path("wrong").exists());
    }
}

#[test]
fn the_desk_key_is_exported_only_after_a_confirmation_and_never_over_a_file() {
    let machine = Machine::new("classical");
    machine.agency("agency", "gb.example");
    let out = machine.path("desk.pgp");
    let line = [
        "desk",
        "export-key",
        "--out",
        out.to_str().unwrap(),
        "--yes-export-secret-key",
    ];
    let output = machine.run("agency", &line).unwrap();
    assert!(output.text().contains("can read every message"));
    assert!(fs::read(&out).unwrap().len() > 100);
    let failure = machine.run("agency", &line).unwrap_err();
    assert!(failure.to_string().contains("exists already"), "{failure}");
}

#[test]
fn a_wrong_passphrase_unlocks_nothing() {
    let machine = Machine::new("classical");
    machine.agency("agency", "gb.example");
    let home = Home::locate(Some(&machine.path("agency"))).unwrap();
    let source = Source::Command("echo another passphrase".into());
    let context = Context::new(home, Clock::Fixed(NOW), source);
    let failure = context.officer_key().err().unwrap();
    assert!(
        failure.to_string().contains("passphrase is wrong"),
        "{failure}"
    );
}

#[test]
fn the_doctor_finds_what_is_missing_and_what_is_exposed() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new("classical");
    let pin = machine.scheme();
    let doctor = || machine.run("agency", &["doctor", "--offline"]).unwrap();
    let before = doctor();
    assert_eq!(before.status().code(), 1);
    assert!(before.text().contains("no scheme operator is pinned"));
    let file = machine.sign("directory.pb", NOW);
    let line = [
        "directory",
        "install",
        file.to_str().unwrap(),
        "--pin",
        &pin,
    ];
    machine.run("agency", &line).unwrap();
    assert_eq!(doctor().status().code(), 0, "{}", doctor().text());
    let key = machine.path("agency").join("officer/officer.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let after = doctor();
    assert_eq!(after.status().code(), 1);
    assert!(after.text().contains("officer.key"));
    let operator = machine.run("operator", &["doctor"]).unwrap();
    assert_eq!(operator.status().code(), 0, "{}", operator.text());
}
