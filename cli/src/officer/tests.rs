//! Officers who come and go, in temporary homes, and every point at which a removal may be cut off.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use waypost_proto::id::{DeskName, Fingerprint, Timestamp};
use waypost_proto::openpgp::SecretKey;

use super::*;
use crate::args::Arguments;
use crate::clock::Clock;
use crate::home::fault::{self, When};
use crate::home::{Home, HomeFile};
use crate::output::Status;
use crate::passphrase::Source;
use crate::roster::registered;

const NOW: Timestamp = Timestamp(1_795_300_000);
const OPERATOR: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A machine with the homes of an agency's officers; `admin` is the administrator's.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// An agency with its first officer.
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        machine.agency("admin", "gb.example", &["--operator", OPERATOR]);
        machine
    }

    fn agency(&self, home: &str, id: &str, more: &[&str]) {
        let line = [
            "agency",
            "init",
            id,
            "--name",
            "Example",
            "--role",
            "NGO",
            "--jurisdiction",
            "GB-EAW",
            "--endpoint",
            "127.0.0.1:7443",
            "--suite",
            "classical",
        ];
        self.run(home, &[&line[..], more].concat()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn context(&self, home: &str) -> Context {
        let home = Home::locate(Some(&self.path(home))).unwrap();
        let source = Source::Command("echo five random words in order".into());
        Context::new(home, Clock::Fixed(NOW), source)
    }

    fn run(&self, home: &str, line: &[&str]) -> Result<Output, Failure> {
        let arguments = Arguments::try_parse_from([&["waypost"], line].concat()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(crate::run(arguments.command, &self.context(home)))
    }

    /// A new officer's request. Gives the file and its code.
    fn request(&self, home: &str, more: &[&str]) -> (String, String) {
        let line = [
            "officer",
            "request",
            "gb.example",
            "--title",
            "Caseworker",
            "--suite",
            "classical",
        ];
        let desk = if more.is_empty() {
            &["--desk", "intake"]
        } else {
            more
        };
        let made = self.run(home, &[&line[..], desk].concat()).unwrap();
        (text(&made, "/file"), text(&made, "/code"))
    }

    /// Asks, is admitted, joins.
    fn officer(&self, home: &str) {
        let (file, code) = self.request(home, &[]);
        let admit = ["officer", "admit", &file, "--code", &code];
        let admitted = self.run("admin", &admit).unwrap();
        self.join(home, &admitted).unwrap();
    }

    /// Joins by what `officer admit` said.
    fn join(&self, home: &str, admitted: &Output) -> Result<Output, Failure> {
        let file = text(admitted, "/admission/file");
        let code = text(admitted, "/admission/code");
        self.run(home, &["officer", "join", &file, "--code", &code])
    }

    fn id(&self, home: &str) -> String {
        let certificate = self
            .context(home)
            .certificate(&HomeFile::OfficerCertificate);
        certificate.unwrap().user_id().to_owned()
    }

    /// The key of a desk that the administrator's roster has in use.
    fn in_use(&self, desk: &str) -> Fingerprint {
        let registered = registered(&self.context("admin")).unwrap();
        registered.roster().roster().desks[&name(desk)].encryption_key
    }

    /// Whether the officer of a home can open what is sealed to a desk's key.
    fn holds(&self, home: &str, desk: &str, key: &Fingerprint) -> bool {
        let (context, officer) = (self.context(home), unlocked(self, home));
        context.desk_key(&name(desk), key, &officer).is_ok()
    }

    fn admission_of(&self, home: &str) -> String {
        let officer = self.context(home).home.agency().unwrap().officer;
        let file = self
            .context("admin")
            .home
            .path_of(&HomeFile::Admission(officer));
        file.to_str().unwrap().to_owned()
    }
}

fn name(desk: &str) -> DeskName {
    desk.parse().unwrap()
}

fn text(output: &Output, pointer: &str) -> String {
    let value = output.json().pointer(pointer);
    value.unwrap().as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(ended: Result<Output, Failure>, words: &str) {
    let failure = ended.unwrap_err();
    assert_eq!(failure.status(), Status::Invalid, "{failure}");
    assert!(failure.to_string().contains(words), "{failure}");
    assert!(failure.to_string().contains("next: "), "{failure}");
}

#[test]
fn an_officer_who_asks_is_admitted_and_joins_with_the_keys_of_both_desks() {
    let machine = Machine::new();
    let added = machine.run("admin", &["desk", "add", "liaison", "--role", "LIAI"]);
    assert!(added.unwrap().text().contains("The role is new"));
    let desks = ["--desk", "liaison,intake"];
    let (file, code) = machine.request("second", &desks);
    let admit = ["officer", "admit", &file, "--code", &code];
    let admitted = machine.run("admin", &admit).unwrap();
    assert_eq!(admitted.json()["roster_version"], 3);
    let joined = machine.join("second", &admitted).unwrap();
    assert_eq!(joined.json()["new_keys"], 2);
    assert_eq!(text(&joined, "/operator"), OPERATOR);
    for desk in ["intake", "liaison"] {
        let key = machine.in_use(desk);
        assert!(machine.holds("second", desk, &key) && machine.holds("admin", desk, &key));
    }
    let settings = machine.context("second").home.agency().unwrap();
    assert_eq!(settings.desk, name("liaison"), "the usual desk");
    let listed = machine.run("second", &["officer", "list"]).unwrap();
    assert_eq!(listed.json()["officers"].as_array().unwrap().len(), 2);
    assert!(listed.text().contains(&machine.id("second")));

    // Typed again: the same roster, and a new admission. It needs no code where the agency is known.
    let again = machine.run("admin", &admit).unwrap();
    assert_eq!(again.json()["roster_version"], 3);
    let file = text(&again, "/admission/file");
    let joined = machine.run("second", &["officer", "join", &file]).unwrap();
    assert_eq!(joined.json()["new_keys"], 0);
    refused(
        machine.run("admin", &["desk", "add", "liaison"]),
        "there is a desk `liaison` already",
    );
}

// OFF-06, OFF-07
#[test]
fn a_request_with_another_code_or_to_another_agency_or_suite_or_desk_admits_nobody() {
    let machine = Machine::new();
    let (file, code) = machine.request("second", &[]);
    let admit = |home: &str, file: &str, code: &str| {
        machine.run(home, &["officer", "admit", file, "--code", code])
    };
    let other_code = "0000 0000 0000 0000 0000";
    refused(admit("admin", &file, other_code), "OFF-07");
    machine.agency("other", "gb.other", &[]);
    refused(admit("other", &file, &code), "OFF-06");
    let desk = ["--desk", "liaison"];
    let unknown = machine.run(
        "admin",
        &[&["officer", "admit", &file, "--code", &code], &desk[..]].concat(),
    );
    refused(unknown, "it has `intake`");
    let line = [
        "officer",
        "request",
        "gb.example",
        "--title",
        "x",
        "--desk",
        "intake",
    ];
    let strong = machine.run("strong", &line).unwrap();
    let (file, code) = (text(&strong, "/file"), text(&strong, "/code"));
    refused(admit("admin", &file, &code), "--suite classical");
    fs::write(machine.path("forged"), b"nothing").unwrap();
    let forged = machine.path("forged");
    refused(admit("admin", forged.to_str().unwrap(), &code), "OFF-01");
    assert_eq!(
        registered(&machine.context("admin"))
            .unwrap()
            .roster()
            .roster()
            .version,
        1
    );
}

// OFF-17
#[test]
fn an_admission_that_is_forged_older_or_for_somebody_else_is_not_taken_in() {
    let machine = Machine::new();
    let (file, code) = machine.request("second", &[]);
    let admit = ["officer", "admit", &file, "--code", &code];
    let admitted = machine.run("admin", &admit).unwrap();
    let (file, code) = (
        text(&admitted, "/admission/file"),
        text(&admitted, "/admission/code"),
    );
    machine.request("third", &[]);
    let join = |home: &str, file: &str, code: &str| {
        machine.run(home, &["officer", "join", file, "--code", code])
    };
    refused(join("third", &file, &code), "OFF-14");
    refused(join("second", &file, "0000 0000 0000 0000 0000"), "OFF-11");
    // Another agency that calls itself the same.
    machine.agency("forger", "gb.example", &["--operator", OPERATOR]);
    let request = machine
        .context("second")
        .home
        .path_of(&HomeFile::OfficerRequest);
    let request = request.to_str().unwrap();
    let asked = text(
        &machine
            .run(
                "forger",
                &["officer", "admit", request, "--code", &admit_code(&machine)],
            )
            .unwrap(),
        "/admission/file",
    );
    refused(join("second", &asked, &code), "OFF-11");
    assert!(
        !machine
            .context("second")
            .home
            .holds(&HomeFile::AgencyCertificate)
    );

    join("second", &file, &code).unwrap();
    refused(
        machine.run("second", &["officer", "join", &asked]),
        "OFF-11",
    );
    let old = machine.path("old.pb");
    fs::copy(&file, &old).unwrap();
    machine.run("admin", &["roster", "sign"]).unwrap();
    let newer = machine.run("admin", &admit).unwrap();
    machine.join("second", &newer).unwrap();
    let old = old.to_str().unwrap();
    refused(machine.run("second", &["officer", "join", old]), "OFF-17");
}

/// The code of the second officer's request.
fn admit_code(machine: &Machine) -> String {
    let bytes = fs::read(
        machine
            .context("second")
            .home
            .path_of(&HomeFile::OfficerRequest),
    );
    let request = waypost_proto::officer::VerifiedRequest::verify(&bytes.unwrap(), NOW);
    request.unwrap().code().to_string()
}

// OFF-17
#[test]
fn an_admission_of_another_agency_or_operator_than_expected_is_not_taken_in() {
    let machine = Machine::new();
    let (file, code) = machine.request("second", &[]);
    let admit = ["officer", "admit", &file, "--code", &code];
    let admitted = machine.run("admin", &admit).unwrap();
    let change = |from: &str, to: &str| {
        let path = machine.context("second").home.path_of(&HomeFile::Settings);
        let settings = fs::read_to_string(&path).unwrap();
        assert!(settings.contains(from), "{settings}");
        fs::write(&path, settings.replace(from, to)).unwrap();
    };
    change("gb.example", "gb.elsewhere");
    refused(
        machine.join("second", &admitted),
        "you asked `gb.elsewhere`",
    );
    change("gb.elsewhere", "gb.example");
    let pinned = format!("[operators]\ngb = \"{}\"", "8".repeat(64));
    change("[operators]", &pinned);
    refused(machine.join("second", &admitted), "is pinned in this home");
}

#[test]
fn whoever_is_removed_holds_no_key_in_use_and_those_who_remain_hold_old_and_new() {
    let machine = Machine::new();
    machine.officer("second");
    machine.officer("third");
    let old = machine.in_use("intake");
    let third = machine.id("third");
    let removed = machine
        .run("admin", &["officer", "remove", &third, "--yes"])
        .unwrap();
    assert_eq!(removed.json()["desks"][0], "intake");
    assert_eq!(removed.json()["again"], false);
    assert!(removed.text().contains("the officer can still log in"));
    assert_eq!(
        text(&removed, "/admissions/0/officer"),
        machine.id("second")
    );
    assert_eq!(removed.json()["admissions"].as_array().unwrap().len(), 1);
    let new = machine.in_use("intake");
    assert_ne!(old, new);
    let admission = machine.admission_of("second");
    let joined = machine
        .run("second", &["officer", "join", &admission])
        .unwrap();
    assert_eq!(joined.json()["new_keys"], 1);
    for home in ["admin", "second"] {
        assert!(machine.holds(home, "intake", &old) && machine.holds(home, "intake", &new));
    }
    // The file for somebody else is of no use to the one who left.
    refused(
        machine.run("third", &["officer", "join", &admission]),
        "OFF-14",
    );
    assert!(machine.holds("third", "intake", &old) && !machine.holds("third", "intake", &new));
    let roster = registered(&machine.context("admin")).unwrap();
    let revoked = &roster.roster().roster().revoked;
    assert!(revoked.contains(&old) && revoked.len() == 2);
    // OFF-06: nor does the request of before open the door again.
    let request = machine
        .context("third")
        .home
        .path_of(&HomeFile::OfficerRequest);
    let code = fs::read(&request).unwrap();
    let code = waypost_proto::officer::VerifiedRequest::verify(&code, NOW)
        .unwrap()
        .code();
    let admit = [
        "officer",
        "admit",
        request.to_str().unwrap(),
        "--code",
        &code.to_string(),
    ];
    refused(machine.run("admin", &admit), "was revoked");
    // A new officer reads what came before, too.
    machine.officer("fourth");
    assert!(machine.holds("fourth", "intake", &old) && machine.holds("fourth", "intake", &new));
}

#[test]
fn an_officer_who_is_not_there_or_the_last_one_is_not_removed() {
    let machine = Machine::new();
    let first = machine.id("admin");
    let remove = |officer: &str| machine.run("admin", &["officer", "remove", officer, "--yes"]);
    refused(remove("officer-00000000"), "no such officer");
    refused(remove(&first), "last officer");
    let fingerprint = machine
        .context("admin")
        .home
        .agency()
        .unwrap()
        .officer
        .to_string();
    let start = |digits: usize| fingerprint.get(..digits).unwrap();
    refused(remove(start(8)), "last officer");
    refused(remove(start(7)), "no such officer");
}

/// Copies a folder with its modes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// An officer's key, unlocked once: that takes time by intent.
fn unlocked(machine: &Machine, home: &str) -> SecretKey {
    machine.context(home).officer_key().unwrap()
}

// OFF-22
#[test]
fn a_removal_that_is_cut_off_at_any_write_leaves_a_usable_home_and_is_done_when_typed_again() {
    let machine = Machine::new();
    machine.officer("second");
    machine.officer("third");
    let (third, old) = (machine.id("third"), machine.in_use("intake"));
    let remove = ["officer", "remove", &third, "--yes"];
    let officers = ["admin", "second"].map(|home| (home, unlocked(&machine, home)));
    let opens = |(home, officer): &(&str, SecretKey), key: &Fingerprint| {
        let context = machine.context(home);
        context.desk_key(&name("intake"), key, officer).is_ok()
    };
    for (home, _) in &officers {
        copy(&machine.path(home), &machine.path(&format!("{home}.kept")));
    }
    let restore = || {
        for (home, _) in &officers {
            fs::remove_dir_all(machine.path(home)).unwrap();
            copy(&machine.path(&format!("{home}.kept")), &machine.path(home));
        }
    };
    fault::plan(None);
    machine.run("admin", &remove).unwrap();
    let writes = fault::writes();
    assert!(writes >= 7, "{writes} writes");
    // A write that is done, and reported failed, leaves what the next one leaves when it is not done.
    let before = (1..=writes).map(|write| (write, When::Before));
    for (write, when) in before.chain([(writes, When::After)]) {
        restore();
        fault::plan(Some((write, when)));
        machine.run("admin", &remove).unwrap_err();
        fault::plan(None);
        // Usable as it stands: the roster verifies, and its key is there.
        assert!(
            opens(&officers[0], &machine.in_use("intake")),
            "{write} {when:?}"
        );

        let removed = machine.run("admin", &remove).unwrap();
        let new = machine.in_use("intake");
        assert_ne!(old, new, "{write} {when:?}");
        let admission = machine.admission_of("second");
        let joined = machine.run("second", &["officer", "join", &admission]);
        assert_eq!(joined.unwrap().json()["new_keys"], 1, "{write} {when:?}");
        for officer in &officers {
            assert!(
                opens(officer, &old) && opens(officer, &new),
                "{write} {when:?}"
            );
        }
        let home = &machine.context("admin").home;
        let desk = machine
            .context("admin")
            .certificate(&HomeFile::DeskCertificate(name("intake")));
        assert_eq!(
            desk.unwrap().encryption_keys(),
            [old, new],
            "{write} {when:?}"
        );
        let roster = registered(&machine.context("admin")).unwrap();
        let seen = home.state().unwrap().rosters[&"gb.example".parse().unwrap()];
        assert_eq!(seen.digest, roster.roster().digest());
        assert_eq!(removed.json()["roster_version"], seen.version);
        let kept = fs::read(home.path_of(&HomeFile::Roster)).unwrap();
        assert_eq!(kept, roster.roster().as_bytes());
    }
}
