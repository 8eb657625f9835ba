use super::*;

const WHOLE: &str = r#"
node = "gb.example-host"
data = "data"

[listen]
peers = "127.0.0.1:0"
desks = "[::1]:7444"

[public]
peers = "node.example:7443"
desks = "[2001:db8::1]:7444"

[directory]
operator = "0101010101010101010101010101010101010101010101010101010101010101"
file = "/etc/waypost/directory.pb"

[[agency]]
id = "gb.example-county.school"

[[agency]]
id = "gb.example-county.police"
bundle = "bundles/police"

[log]
level = "debug"
format = "json"

[limits]
call_ms = 5000
"#;

fn parse(text: &str, overrides: &[(&str, &str)]) -> Result<Config, Vec<Fault>> {
    let overrides = overrides
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, Path::new("/srv"), overrides).map_err(|error| match error {
        ConfigError::Faults { faults } => faults,
        ConfigError::File { source } => panic!("{source}"),
    })
}

fn keys(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.key.as_str()).collect()
}

#[test]
fn a_whole_configuration_is_read() {
    let config = parse(WHOLE, &[]).unwrap();
    assert_eq!(config.node.as_str(), "gb.example-host");
    assert_eq!(config.data, Path::new("/srv/data"));
    assert_eq!(
        config.directories[0].file,
        Path::new("/etc/waypost/directory.pb")
    );
    assert_eq!(config.public.desks.as_str(), "[2001:db8::1]:7444");
    assert_eq!(config.agencies.len(), 2);
    assert_eq!(config.agencies[0].bundle, None);
    assert_eq!(
        config.agencies[1].bundle.as_deref(),
        Some(Path::new("/srv/bundles/police"))
    );
    assert_eq!(
        (config.log.level, config.log.format),
        (Level::Debug, Format::Json)
    );
    assert_eq!(config.limits.call, Duration::from_secs(5));
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = r#"
        node = "Example Host"
        colour = "red"
        [listen]
        peers = "everywhere"
        [public]
        peers = "node.example"
        desks = 7444
        [directory]
        operator = "01"
        [[agency]]
        id = "gb.example-county.school"
        [[agency]]
        id = "gb.example-county.school"
        signpost = 1
        [log]
        level = "loud"
        [limits]
        connections = 0
    "#;
    let faults = parse(text, &[]).unwrap_err();
    assert_eq!(
        keys(&faults),
        [
            "node",
            "data",
            "listen.peers",
            "listen.desks",
            "public.peers",
            "public.desks",
            "directory[0].operator",
            "directory[0].file",
            "agency[1].signpost",
            "agency[1].id",
            "log.level",
            "limits.connections",
            "colour",
        ]
    );
}

/// Two directories, the foreign one first, with one line of it changed.
fn two_directories(from: &str, to: &str) -> Result<Config, Vec<Fault>> {
    let foreign = r#"
[[directory]]
country = "fr"
operator = "0202020202020202020202020202020202020202020202020202020202020202"
file = "fr.pb"

[[directory]]"#;
    let text = WHOLE.replacen("[directory]", foreign, 1);
    assert!(text.contains(from));
    parse(&text.replacen(from, to, 1), &[])
}

#[test]
fn a_directory_is_of_the_nodes_own_country_unless_it_says_otherwise() {
    let config = two_directories("", "").unwrap();
    let listed: Vec<_> = config
        .directories
        .iter()
        .map(|d| (d.country.as_str(), d.file.as_path()))
        .collect();
    assert_eq!(
        listed,
        [
            ("gb", Path::new("/etc/waypost/directory.pb")),
            ("fr", Path::new("/srv/fr.pb"))
        ]
    );
}

#[test]
fn one_operator_vouches_for_one_country() {
    let faults = |from, to| two_directories(from, to).unwrap_err();
    let twice = faults("country = \"fr\"", "country = \"gb\"");
    assert_eq!(keys(&twice), ["directory[1].country"]);
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    assert_eq!(keys(&faults(&two, &one)), ["directory[1].operator"]);
    let unknown = faults("country = \"fr\"", "country = \"France\"");
    assert_eq!(unknown[0].key, "directory[0].country");
}

#[test]
fn a_node_needs_the_directory_of_its_own_country() {
    let foreign = WHOLE.replacen("[directory]", "[directory]\ncountry = \"fr\"", 1);
    for text in [
        foreign,
        WHOLE
            .replacen("gb.example-host", "fr.example-host", 1)
            .replacen("[directory]", "[directory]\ncountry = \"gb\"", 1),
    ] {
        assert_eq!(keys(&parse(&text, &[]).unwrap_err()), ["directory"]);
    }
}

#[test]
fn an_unknown_key_is_a_fault() {
    for (line, key) in [
        ("[limits]\ncall_ms", "limits.call_s"),
        ("[listen]\npeers", "listen.peer"),
    ] {
        let last = key.rsplit('.').next().unwrap();
        let text = WHOLE.replacen(
            line,
            &format!("{}\n{last}", line.split('\n').next().unwrap()),
            1,
        );
        assert!(
            keys(&parse(&text, &[]).unwrap_err()).contains(&key),
            "{key}"
        );
    }
}

#[test]
fn the_environment_stands_in_for_the_file() {
    let config = parse(
        WHOLE,
        &[
            ("WAYPOST__NODE", "gb.other-host"),
            ("WAYPOST__LISTEN__PEERS", "127.0.0.1:1"),
            ("WAYPOST__LIMITS__CALL_MS", "7000"),
        ],
    )
    .unwrap();
    assert_eq!(config.node.as_str(), "gb.other-host");
    assert_eq!(config.listen.peers.port(), 1);
    assert_eq!(config.limits.call, Duration::from_secs(7));
}

#[test]
fn an_override_is_judged_like_the_file() {
    let faults = parse(
        WHOLE,
        &[
            ("WAYPOST__LISTEN__PEERS", "nowhere"),
            ("WAYPOST__LISTEN__COLOUR", "red"),
            ("WAYPOST__A__B__C", ""),
            ("WAYPOST__NODE__NAME", ""),
        ],
    )
    .unwrap_err();
    let keys = keys(&faults);
    for key in [
        "listen.peers",
        "listen.colour",
        "WAYPOST__A__B__C",
        "WAYPOST__NODE__NAME",
    ] {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
}

#[test]
fn text_that_is_not_toml_is_one_fault() {
    let faults = parse("node = ", &[]).unwrap_err();
    assert_eq!(faults.len(), 1);
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    for good in ["a.example:1", "127.0.0.1:65535", "[::1]:443"] {
        assert!(is_endpoint(good), "`{good}` was refused");
    }
    for bad in [
        "", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "::1:443", "[x]:1", "a/b:1", "u@h:1",
        "a b:1",
    ] {
        assert!(!is_endpoint(bad), "`{bad}` was accepted");
    }
}

#[test]
fn the_documented_example_is_in_order() {
    let page = include_str!("../../../docs/configuration.md");
    let example = page
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    parse(example, &[]).unwrap();
}
