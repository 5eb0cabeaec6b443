//! The style that a test can check: what every file, function, manifest and import of the repository keeps to.
//!
//! Each test lists all places that break its rule. An exception stands in a list beside the rule, with its reason. Not
//! caught here: what only a reader can judge, and what a macro hides.

use shardcast_tests::tidy::lexer::{Source, is_word};
use shardcast_tests::tidy::manifest::{dependencies, has_line};
use shardcast_tests::tidy::workspace::{File, root, rust_files, text_files, top_level};

/// Longest function.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest file.
const FILE_LINES_MAX: usize = 900;

/// Functions that may be longer, each with its reason: none.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Files that may put a thread to sleep, each with its reason.
const SLEEPERS: [(&str, &str); 13] = [
    (
        "tests/src/wait.rs",
        "asks again until a condition holds that nobody announces, and sends frames when they are due",
    ),
    (
        "runtime/src/last_words.rs",
        "is the deadline of a process that ends, on a thread of its own",
    ),
    (
        "engine/bench/src/publishers/conductor.rs",
        "sends each packet when it is due, more exactly than an event loop's timers are",
    ),
    (
        "engine/bench/src/readers/tests/server.rs",
        "sends frames when they are due, as a server does",
    ),
    (
        "engine/client/src/events.rs",
        "connects again only after a pause",
    ),
    (
        "engine/bench/src/run.rs",
        "looks so often whether a run is to be broken off",
    ),
    (
        "engine/bench/src/soak/stage.rs",
        "looks so often how far those who misbehave have come",
    ),
    (
        "engine/bench/src/soak/companions.rs",
        "says a word on each connection now and then",
    ),
    (
        "benches/src/beside.rs",
        "sends each request when it is due, as a script does",
    ),
    (
        "benches/src/broadcast.rs",
        "sends each packet when it is due, as a publisher does",
    ),
    (
        "benches/src/bin/idle.rs",
        "sends each keep-alive when it is due, as a player does",
    ),
    (
        "benches/src/readers.rs",
        "leaves the sender alone with its work",
    ),
    (
        "benches/src/server.rs",
        "tries to connect to a relay that does not say when it listens",
    ),
];

/// What lies in the top folder, apart from hidden files and what is built.
const TOP_LEVEL: [&str; 12] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "benches",
    "config",
    "engine",
    "platform",
    "runtime",
];

/// Folder of each package, and the packages of this repository that it may depend on.
const DIRECTION: [(&str, &[&str]); 7] = [
    ("config", &[]),
    ("platform", &[]),
    ("runtime", &["shardcast-platform"]),
    ("engine/protocol", &[]),
    (
        "engine/bench",
        &["shardcast-platform", "shardcast-protocol"],
    ),
    ("engine/client", &[]),
    (
        "engine",
        &[
            "shardcast-bench",
            "shardcast-client",
            "shardcast-config",
            "shardcast-platform",
            "shardcast-protocol",
            "shardcast-runtime",
        ],
    ),
];

/// Crates that only `platform` may name; tests may also use `libc`.
const PLATFORM_CRATES: [&str; 5] = ["monoio", "compio", "glommio", "libc", "windows_sys"];

/// Files of the tests that may use `unsafe`, each with its reason.
const UNSAFE_TESTS: [(&str, &str); 1] = [(
    "tests/src/netlab/sys.rs",
    "calls what makes namespaces and TUN devices, which std does not have",
)];

/// The engine's rooms, lowest first: a room imports its own level and those below. `shard` ties the rooms together and
/// stands below `session`, which is driven by it.
const ROOMS: [&[&str]; 7] = [
    &["path"],
    &["stream"],
    &["fanout"],
    &["admit", "limits", "ingest", "egress"],
    &["shard"],
    &["control"],
    &["session"],
];
/// The files outside `session` that may name it: the crate's root, and what starts listeners.
const SESSION_IMPORTERS: [&str; 4] = [
    "engine/src/doors.rs",
    "engine/src/main.rs",
    "engine/src/lib.rs",
    "engine/src/server.rs",
];

#[test]
fn every_file_says_first_what_it_is() {
    let silent = rust_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//!"));
    assert_none(silent.map(|file| file.path));
}

#[test]
fn no_file_is_too_long() {
    let long = rust_files()
        .into_iter()
        .filter(|file| file.text.lines().count() > FILE_LINES_MAX);
    assert_none(long.map(|file| file.path));
}

#[test]
fn no_function_is_too_long() {
    assert_none(rust_files().iter().flat_map(|file| {
        let functions = Source::read(&file.text).functions();
        let long = functions
            .into_iter()
            .filter(|function| function.lines > FUNCTION_LINES_MAX);
        let long = long.filter(|function| {
            !LONG_FUNCTIONS
                .iter()
                .any(|(path, name, _)| *path == file.path && *name == function.name)
        });
        long.map(|function| {
            format!(
                "{}:{}: {} has {} lines",
                file.path, function.line, function.name, function.lines
            )
        })
    }));
}

#[test]
fn nothing_is_left_for_later() {
    assert_none(rust_files().iter().flat_map(|file| {
        let source = Source::read(&file.text);
        let mut found = places(file, &source.comments, &["TODO", "FIXME", "XXX"]);
        found.extend(places(
            file,
            &source.code,
            &["todo!", "unimplemented!", "#[ignore"],
        ));
        found
    }));
}

#[test]
fn nobody_sleeps_to_wait() {
    let files = rust_files();
    let files = files
        .iter()
        .filter(|file| !SLEEPERS.iter().any(|(path, _)| *path == file.path));
    assert_none(files.flat_map(|file| {
        places(
            file,
            &Source::read(&file.text).code,
            &["thread::sleep", "tokio::time::sleep"],
        )
    }));
}

#[test]
fn unsafe_code_is_in_platform_alone() {
    let files = rust_files();
    let others = files.iter().filter(|file| {
        !file.path.starts_with("platform/")
            && !UNSAFE_TESTS.iter().any(|(path, _)| *path == file.path)
    });
    assert_none(others.flat_map(|file| places(file, &Source::read(&file.text).code, &["unsafe"])));
}

#[test]
fn packages_without_unsafe_code_forbid_it() {
    let roots = [
        "config/src/lib.rs",
        "engine/protocol/src/lib.rs",
        "engine/bench/src/lib.rs",
        "engine/client/src/lib.rs",
        "engine/src/lib.rs",
        "engine/src/main.rs",
    ];
    let files = rust_files();
    assert_none(roots.into_iter().filter(|path| {
        let file = files.iter().find(|file| file.path == *path);
        !file.is_some_and(|file| file.text.contains("#![forbid(unsafe_code)]"))
    }));
}

#[test]
fn only_platform_names_what_serves_sockets() {
    assert_none(
        rust_files()
            .iter()
            .filter(|file| !file.path.starts_with("platform/"))
            .flat_map(|file| {
                let in_tests = file.path.starts_with("tests/");
                let names = PLATFORM_CRATES
                    .iter()
                    .filter(|name| !(in_tests && **name == "libc"));
                let names: Vec<String> = names.map(|name| format!("{name}::")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                places(file, &Source::read(&file.text).code, &names)
            }),
    );
}

#[test]
fn packages_depend_in_one_direction() {
    let mut wrong = Vec::new();
    for (folder, allowed) in DIRECTION {
        for dependency in dependencies(&manifest(folder)) {
            let ours = dependency.name.starts_with("shardcast");
            let sockets = PLATFORM_CRATES.contains(&dependency.name.replace('-', "_").as_str())
                && folder != "platform";
            if sockets || (ours && !allowed.contains(&dependency.name.as_str())) {
                wrong.push(format!("{folder} depends on {}", dependency.name));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn versions_and_lints_come_from_the_workspace() {
    let mut wrong = Vec::new();
    for folder in [
        "config",
        "platform",
        "runtime",
        "engine",
        "engine/protocol",
        "engine/bench",
        "engine/client",
        "tests",
        "tests/fuzz",
        "benches",
    ] {
        let manifest = manifest(folder);
        if !has_line(&manifest, "[lints]", "workspace = true") {
            wrong.push(format!("{folder} has its own lints"));
        }
        let own = dependencies(&manifest)
            .into_iter()
            .filter(|dependency| !dependency.inherited);
        wrong.extend(
            own.map(|dependency| format!("{folder} has its own version of {}", dependency.name)),
        );
    }
    assert_none(wrong);
}

#[test]
fn the_engines_rooms_import_downwards() {
    assert_none(rust_files().iter().flat_map(|file| {
        let room = file
            .path
            .strip_prefix("engine/src/")
            .and_then(|path| path.split('/').next());
        let level = room.and_then(level_of);
        let imports = imports(&Source::read(&file.text).code);
        let upwards = imports
            .into_iter()
            .filter(move |import| level < level_of(import) && level.is_some());
        upwards.map(|import| format!("{} imports {import}", file.path))
    }));
}

#[test]
fn only_the_root_names_sessions() {
    let files = rust_files();
    let outside = files.iter().filter(|file| {
        file.path.starts_with("engine/src/")
            && !file.path.starts_with("engine/src/session/")
            && !SESSION_IMPORTERS.contains(&file.path.as_str())
    });
    let importers = outside.filter(|file| {
        imports(&Source::read(&file.text).code)
            .iter()
            .any(|import| import == "session")
    });
    assert_none(importers.map(|file| &file.path));
}

#[test]
fn the_top_folder_keeps_its_form() {
    let unknown = |name: &String| !TOP_LEVEL.contains(&name.as_str()) && name != "tests";
    assert_none(top_level().into_iter().filter(unknown));
}

#[test]
fn no_file_names_somebodys_machine() {
    // Put together here, so that this file does not name them itself.
    let folders = ["home", "root", "Users", "work"].map(|folder| format!("/{folder}/"));
    let words: Vec<&str> = folders.iter().map(String::as_str).collect();
    assert_none(
        text_files()
            .iter()
            .flat_map(|file| places(file, &file.text, &words)),
    );
}

/// Level of an engine's room; `None` for what is no room.
fn level_of(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

/// What a file names behind `crate::`, in groups too.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = code.get(at + prefix.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.push(rest.chars().take_while(|next| is_word(*next)).collect()),
        }
    }
    found
}

/// First names of a group's members, up to its closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut heads = vec![String::new()];
    let mut at_head = true;
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(String::new());
                at_head = true;
            }
            ':' => at_head = false,
            _ if at_head && is_word(character) => {
                heads.last_mut().expect("one at least").push(character);
            }
            _ => {}
        }
    }
    heads
}

/// Where `view`, of the same lines as the file, has one of `words` standing alone.
fn places(file: &File, view: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (line, number) in view.lines().zip(1..) {
        for word in words.iter().filter(|word| has_word(line, word)) {
            found.push(format!("{}:{number}: {word}", file.path));
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        let starts = !word.starts_with(is_word) || !before.ends_with(is_word);
        let ends = !word.ends_with(is_word) || !after.starts_with(is_word);
        starts && ends
    })
}

fn manifest(folder: &str) -> String {
    let file = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(file).expect("a package has a manifest")
}

fn assert_none(found: impl IntoIterator<Item = impl ToString>) {
    let found: Vec<String> = found.into_iter().map(|place| place.to_string()).collect();
    assert!(
        found.is_empty(),
        "{} places:\n{}",
        found.len(),
        found.join("\n")
    );
}
