use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn found(findings: &Findings, level: Level) -> Vec<&str> {
    let of_level = findings.findings.iter().filter(|f| f.level == level);
    of_level.map(|f| f.what.as_str()).collect()
}

#[test]
fn a_node_whose_keys_others_can_look_at_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    fs::create_dir_all(data.join("store/blobs")).unwrap();
    for name in ["tls.key", "tls.crt"] {
        fs::write(data.join(name), b"x").unwrap();
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let mut findings = Findings::default();
    node::look(&data, &mut findings);
    let problems = found(&findings, Level::Problem);
    assert!(
        problems.iter().any(|p| p.contains("tls.key")),
        "{problems:?}"
    );
    assert!(
        !problems.iter().any(|p| p.contains("tls.crt")),
        "{problems:?}"
    );

    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let mut findings = Findings::default();
    node::look(&data, &mut findings);
    assert_eq!(found(&findings, Level::Problem), Vec::<&str>::new());
}

#[test]
fn files_that_are_never_synced_are_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("store/blobs")).unwrap();
    fs::write(folder.path().join("tls.key"), b"x").unwrap();
    fs::write(folder.path().join("store/blobs/1"), b"x").unwrap();
    let mut findings = Findings::default();
    node::look(folder.path(), &mut findings);
    assert!(
        found(&findings, Level::Problem)
            .iter()
            .any(|p| p.contains("never synced"))
    );
}

#[test]
fn one_problem_is_exit_code_1() {
    let mut findings = Findings::default();
    findings.good("a");
    findings.note("b", "c");
    assert_eq!(findings.status().code(), 0);
    findings.problem("d", "e");
    assert_eq!(findings.status().code(), 1);
}
