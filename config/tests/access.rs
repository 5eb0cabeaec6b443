//! Who may do what: users, the older keys of paths, and what is wrong with them.

use std::net::IpAddr;
use std::path::Path;

use shardcast_config::{
    Action, AuthMethod, Config, ConfigError, Credential, Loaded, PATTERNS_MAX, UserName, parse,
};

const SHA256: &str = "sha256:j1tsRqDEw9xvq/D7/9tMx6Jh/jMhk3UfjwIB2f1zgMo=";
const ARGON2: &str =
    "argon2:$argon2id$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$OGGO0eCMN0ievb4YGSzvS/H+Vajx1pcbUmtLp2tRqRU";

fn with_env(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    parse(Some(Path::new("mediamtx.yml")), text, variables)
}

fn parsed(text: &str) -> Loaded {
    with_env(text, &[]).unwrap()
}

fn refusal(text: &str) -> String {
    with_env(text, &[]).unwrap_err().to_string()
}

/// The names of those who may do `action` on `path`, or on none if that is empty, from `address`; `*` is everybody.
fn who_may(config: &Config, action: Action, path: &str, address: &str) -> Vec<String> {
    let address: IpAddr = address.parse().unwrap();
    let place = (!path.is_empty()).then(|| {
        let entry = config.paths.find(path).map(|(entry, _)| entry);
        (path, entry)
    });
    let users = config.access.users.iter();
    let may = users.filter(|user| user.may(action, place, address));
    may.map(|user| match &user.name {
        UserName::Any => "*".to_owned(),
        UserName::Named(Credential::Plain(name)) => name.clone(),
        UserName::Named(_) => "hashed".to_owned(),
    })
    .collect()
}

#[test]
fn without_a_word_everybody_publishes_and_reads_and_this_machine_controls() {
    for config in [Config::default(), parsed("paths: {all_others: }").config] {
        for action in [Action::Publish, Action::Read, Action::Playback] {
            assert_eq!(who_may(&config, action, "cam", "10.0.0.1"), ["*"]);
        }
        for action in [Action::Api, Action::Metrics, Action::Pprof] {
            assert_eq!(who_may(&config, action, "", "10.0.0.1"), [""; 0]);
            assert_eq!(who_may(&config, action, "", "127.0.0.1"), ["*"]);
            assert_eq!(who_may(&config, action, "", "::1"), ["*"]);
        }
    }
}

#[test]
fn a_path_beside_an_action_that_is_about_none_restricts_nothing() {
    let text = "authInternalUsers:\n\
                - {user: bob, permissions: [{action: api, path: cam1}, {action: metrics, path: '~^b'}]}\n\
                paths: {all_others: }\n";
    let config = parsed(text).config;
    assert_eq!(who_may(&config, Action::Api, "", "10.0.0.1"), ["bob"]);
    assert_eq!(who_may(&config, Action::Metrics, "", "10.0.0.1"), ["bob"]);
    assert_eq!(who_may(&config, Action::Pprof, "", "10.0.0.1"), [""; 0]);
}

#[test]
fn users_have_credentials_networks_and_permissions() {
    let text = format!(
        "authInternalUsers:\n\
         - {{user: alice, pass: secret, permissions: [{{action: publish, path: cam1}}]}}\n\
         - {{user: bob, pass: '{ARGON2}', ips: [10.0.0.0/8, 'fd00::/8'],\n   \
              permissions: [{{action: read, path: '~^cam'}}, {{action: playback}}]}}\n\
         - {{user: '{SHA256}', permissions: [{{action: read}}]}}\n\
         paths: {{all_others: }}\n"
    );
    let loaded = parsed(&text);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let who = |action, path, address| who_may(&loaded.config, action, path, address);
    assert_eq!(who(Action::Publish, "cam1", "1.2.3.4"), ["alice"]);
    assert_eq!(who(Action::Publish, "cam2", "1.2.3.4"), [""; 0]);
    assert_eq!(who(Action::Read, "cam2", "10.2.3.4"), ["bob", "hashed"]);
    assert_eq!(
        who(Action::Read, "cam2", "::ffff:10.2.3.4"),
        ["bob", "hashed"]
    );
    assert_eq!(who(Action::Read, "cam2", "fd00::1"), ["bob", "hashed"]);
    assert_eq!(who(Action::Read, "other", "10.2.3.4"), ["hashed"]);
    assert_eq!(who(Action::Read, "cam2", "11.0.0.1"), ["hashed"]);
    assert_eq!(who(Action::Playback, "x", "10.2.3.4"), ["bob"]);
    let mut passwords = loaded.config.access.users.iter().map(|user| &user.pass);
    assert!(passwords.any(|pass| matches!(pass, Some(Credential::Argon2(_)))));
}

#[test]
fn nobody_may_anything_when_the_list_is_empty() {
    let config = parsed("authInternalUsers: []\npaths: {all_others: }").config;
    assert!(config.access.users.is_empty());
    let empty = with_env("paths: {a: }", &[("MTX_AUTHINTERNALUSERS", "")]);
    assert!(empty.unwrap().config.access.users.is_empty());
}

#[test]
fn a_list_of_users_that_was_left_out_is_refused() {
    assert_eq!(
        refusal("authInternalUsers:\npaths: {a: }\n"),
        "mediamtx.yml:1:18: authInternalUsers: expected a list of maps, found nothing"
    );
}

/// A wrong list of users, and how the error about it begins.
const WRONG_USERS: &[(&str, &str)] = &[
    (
        "{user: a b}",
        "1:28: authInternalUsers.user: expected letters, digits and",
    ),
    (
        "{user: alice, pass: 'x y'}",
        "1:41: authInternalUsers.pass: expected letters",
    ),
    (
        "{user: alice, pass: 'sha256:nobase64'}",
        "1:41: authInternalUsers.pass: expected a SHA-256 hash in base64",
    ),
    (
        "{user: alice, pass: 'argon2:$argon2id$v=19$m=4096'}",
        "1:41: authInternalUsers.pass: expected an encoded Argon2 hash",
    ),
    (
        "{pass: secret}",
        "1:21: authInternalUsers.user: expected a name",
    ),
    (
        "{user: '', pass: secret}",
        "1:21: authInternalUsers.user: expected a name",
    ),
    (
        "{user: any, pass: secret}",
        "1:39: authInternalUsers.pass: expected nothing",
    ),
    (
        "{user: any, permissions: [{path: a}]}",
        "1:47: authInternalUsers.permissions: expected an action",
    ),
    (
        "{user: any, permissions: [{action: watch}]}",
        "1:56: authInternalUsers.permissions.action: expected one of publish, read",
    ),
    (
        "{user: any, permissions: [{action: read, path: '~('}]}",
        "1:68: authInternalUsers.permissions.path: expected a regular expression",
    ),
    (
        "{user: any, ips: [10.0.0.0/33]}",
        "1:38: authInternalUsers.ips: expected a list of IP addresses",
    ),
];

#[test]
fn a_wrong_user_names_its_place() {
    for (user, expected) in WRONG_USERS {
        let error = refusal(&format!("authInternalUsers: [{user}]"));
        let expected = format!("mediamtx.yml:{expected}");
        assert!(error.starts_with(&expected), "{user}: {error}");
    }
}

#[test]
fn no_credential_is_told_again() {
    let secrets = [
        "s3cr3t wrong",
        "sha256:s3cr3t",
        "argon2:s3cr3t",
        "any\u{7}s3cr3t",
    ];
    for secret in secrets {
        let error = refusal(&format!(
            "authInternalUsers: [{{user: a, pass: \"{secret}\"}}]"
        ));
        assert!(!error.contains("s3cr3t"), "{error}");
        let error = refusal(&format!("paths: {{a: {{readUser: \"{secret}\"}}}}"));
        assert!(!error.contains("s3cr3t"), "{error}");
        let variables = [("MTX_AUTHINTERNALUSERS_0_PASS", secret)];
        let error = with_env("paths: {a: }", &variables)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let text = "authInternalUsers: [{user: n4m3, pass: s3cr3t}]\npaths: {a: }\n";
    let loaded = parsed(text);
    let shown = format!("{loaded:?} {:?} {}", loaded.config, loaded.summary());
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("n4m3"),
        "{shown}"
    );
}

#[test]
fn expressions_of_permissions_are_bounded_in_all() {
    let text = |count: usize| {
        let permission = "    - {action: read, path: '~^a'}\n";
        let permissions = permission.repeat(count);
        format!("authInternalUsers:\n- user: any\n  permissions:\n{permissions}paths: {{a: }}\n")
    };
    assert!(with_env(&text(PATTERNS_MAX), &[]).is_ok());
    let error = refusal(&text(PATTERNS_MAX + 7));
    assert_eq!(
        error,
        "mediamtx.yml:1028:28: authInternalUsers: expected at most 1024 regular expressions in all"
    );
}

#[test]
fn digest_is_an_error_with_any_hash() {
    let file = |user: &str| {
        format!("rtspAuthMethods: [basic, digest]\nauthInternalUsers: [{user}]\npaths: {{a: }}\n")
    };
    for user in [
        format!("{{user: alice, pass: '{SHA256}'}}"),
        format!("{{user: alice, pass: '{ARGON2}'}}"),
    ] {
        let error = refusal(&file(&user));
        assert_eq!(
            error,
            "mediamtx.yml:2:41: pass: expected a plain credential, because rtspAuthMethods \
             (line 1) has digest, which no hash can serve"
        );
    }
    assert!(refusal(&file(&format!("{{user: '{SHA256}'}}"))).contains("2:28: user: expected"));
    let error = refusal(&format!(
        "authMethods: [digest]\npaths: {{a: {{readUser: bob, readPass: '{SHA256}'}}}}\n"
    ));
    assert!(
        error.contains("2:38: readPass: expected a plain credential"),
        "{error}"
    );
    let plain = parsed(&file("{user: alice, pass: secret}")).config;
    assert_eq!(
        plain.rtsp.auth_methods,
        [AuthMethod::Basic, AuthMethod::Digest]
    );
    // A server without RTSP asks nobody for digests.
    let off = format!(
        "rtsp: no\n{}",
        file(&format!("{{user: alice, pass: '{SHA256}'}}"))
    );
    assert!(with_env(&off, &[]).is_ok());
}

#[test]
fn without_any_method_nobody_could_prove_anything() {
    assert_eq!(
        refusal("rtspAuthMethods: []\npaths: {a: }\n"),
        "mediamtx.yml:1:1: rtspAuthMethods: expected basic, digest or both"
    );
    let loaded = parsed("authMethods: [digest]\npaths: {a: }\n");
    assert_eq!(loaded.config.rtsp.auth_methods, [AuthMethod::Digest]);
    assert_eq!(
        loaded.warnings,
        ["deprecated keys: authMethods (line 1) is now rtspAuthMethods"]
    );
}

#[test]
fn variables_change_and_add_users() {
    let variables = [
        ("MTX_AUTHINTERNALUSERS_0_USER", "alice"),
        ("MTX_AUTHINTERNALUSERS_0_PASS", "secret"),
        ("MTX_AUTHINTERNALUSERS_0_PERMISSIONS_1_PATH", "mine"),
        ("MTX_AUTHINTERNALUSERS_1_IPS", "10.0.0.0/8,192.168.0.0/16"),
        ("MTX_AUTHINTERNALUSERS_2_USER", "bob"),
        ("MTX_AUTHINTERNALUSERS_2_PERMISSIONS_0_ACTION", "read"),
    ];
    let config = with_env("paths: {all_others: }", &variables)
        .unwrap()
        .config;
    assert_eq!(
        who_may(&config, Action::Publish, "cam", "1.1.1.1"),
        ["alice"]
    );
    assert_eq!(who_may(&config, Action::Read, "cam", "1.1.1.1"), ["bob"]);
    assert_eq!(
        who_may(&config, Action::Read, "mine", "1.1.1.1"),
        ["alice", "bob"]
    );
    assert_eq!(who_may(&config, Action::Api, "", "192.168.1.1"), ["*"]);
    assert_eq!(who_may(&config, Action::Api, "", "127.0.0.1"), [""; 0]);
}

#[test]
fn the_older_keys_of_paths_become_users() {
    let loaded = parsed(
        "pathDefaults: {publishUser: admin, publishPass: secret}\npaths:\n  \
         cam1: {readUser: alice, readIPs: [10.0.0.0/8]}\n  open: {publishUser: '', publishPass: ''}\n  \
         '~^team':\n  all:\n",
    );
    assert_eq!(
        loaded.warnings,
        [
            "deprecated keys: pathDefaults.publishPass (line 1) is now authInternalUsers, \
          pathDefaults.publishUser (line 1) is now authInternalUsers, paths.cam1.readIPs (line 3) is \
          now authInternalUsers, paths.cam1.readUser (line 3) is now authInternalUsers"
        ]
    );
    let who = |action, path, address| who_may(&loaded.config, action, path, address);
    for path in ["cam1", "team7", "other"] {
        assert_eq!(who(Action::Publish, path, "1.1.1.1"), ["admin"], "{path}");
    }
    assert_eq!(who(Action::Publish, "open", "1.1.1.1"), ["*"]);
    // What all_others opens does not open cam1.
    assert_eq!(who(Action::Read, "cam1", "10.1.1.1"), ["alice"]);
    assert_eq!(who(Action::Read, "cam1", "1.1.1.1"), [""; 0]);
    assert_eq!(who(Action::Read, "team7", "1.1.1.1"), ["*"]);
    // As in MediaMTX, no networks are those of IPv4.
    assert_eq!(who(Action::Read, "team7", "2001:db8::1"), [""; 0]);
    assert_eq!(who(Action::Playback, "cam1", "2001:db8::1"), ["*"]);
    assert_eq!(who(Action::Api, "", "127.0.0.1"), ["*"]);
    assert_eq!(who(Action::Api, "", "1.1.1.1"), [""; 0]);
}

#[test]
fn the_older_keys_of_the_environment_count_without_a_file() {
    let variables = [("MTX_PATHDEFAULTS_READUSER".to_owned(), "bob".to_owned())];
    let config = parse(None, "", variables.into_iter()).unwrap().config;
    assert_eq!(who_may(&config, Action::Read, "x", "1.1.1.1"), ["bob"]);
    assert_eq!(who_may(&config, Action::Publish, "x", "1.1.1.1"), ["*"]);
}

#[test]
fn older_keys_beside_users_or_without_a_user_are_refused() {
    assert_eq!(
        refusal("authInternalUsers: [{user: a}]\npaths:\n  cam1: {readUser: b}\n"),
        "mediamtx.yml:3:10: readUser and authInternalUsers cannot be used together"
    );
    // The default list says nothing of its own.
    let default = "authInternalUsers: [{user: any, permissions: [{action: read}, {action: publish}, \
                   {action: playback}]}, {user: any, ips: ['::1', 127.0.0.1], permissions: [{action: \
                   api}, {action: metrics}, {action: pprof}]}]\npaths: {a: {readUser: b}}\n";
    let config = parsed(default).config;
    assert_eq!(who_may(&config, Action::Read, "a", "1.1.1.1"), ["b"]);
    for (keys, key) in [
        ("{publishPass: secret}", "publishPass"),
        ("{readPass: secret}", "readPass"),
        ("{readUser: any, readPass: secret}", "readPass"),
    ] {
        assert_eq!(
            refusal(&format!("paths:\n  cam1: {keys}\n")),
            format!("mediamtx.yml:2:3: {key}: a password without the name of a user locks nothing")
        );
    }
}
