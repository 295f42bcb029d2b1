//! What holds for the repository as a whole: who may use whom, and that documents point somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::step::{cargo, root};

/// Packages of outside bytes and terminals that the machine must never pull in.
const NOT_IN_EVM: &[&str] =
    &["redb", "rocksdb", "clap", "indicatif", "ureq", "reqwest", "hyper", "tokio", "rustls"];

/// Other engines: yardsticks and oracles, never parts.
const PEERS: &[&str] =
    &["revm", "revm-interpreter", "revm-precompile", "alloy-trie", "alloy-consensus"];

/// Every package in the normal dependency tree of `package`.
fn tree(package: &str) -> BTreeSet<String> {
    let args = [
        "tree",
        "--quiet",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{lib}",
        "--package",
        package,
    ];
    let output = cargo(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|name| name.trim().replace('_', "-")).collect()
}

/// The rooms that ship, each with the rooms it uses, as the manifests have them.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let args = ["metadata", "--no-deps", "--format-version", "1"];
    let output = cargo(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_room = |name: &str| name == "zvm" || name.starts_with("zvm-");
    let mut arrows = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if !is_room(name) || ["zvm-tests", "zvm-benches"].contains(&name) {
            continue;
        }
        let dependencies = package["dependencies"].as_array().unwrap();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        let names = normal.filter_map(|dependency| dependency["name"].as_str());
        let used = names.filter(|name| is_room(name)).map(str::to_owned).collect();
        arrows.insert(name.to_owned(), used);
    }
    arrows
}

/// The `room -> room room` lines of ARCHITECTURE.md, in the order of the page.
fn map() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("zvm"));
    let lines = lines.filter_map(|line| line.split_once(" ->"));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    lines.map(|(room, used)| (room.trim().to_owned(), words(used))).collect()
}

#[test]
fn the_map_shows_every_arrow_between_rooms() {
    let drawn = BTreeMap::from_iter(map());
    let arrows = arrows();
    let line = |(room, used): (&String, &BTreeSet<String>)| {
        used.iter().fold(format!("{room} ->"), |line, name| line + " " + name)
    };
    let missing: Vec<_> =
        arrows.iter().filter(|(room, used)| drawn.get(*room) != Some(used)).map(line).collect();
    assert!(
        missing.is_empty(),
        "a new arrow is a design change; with it, the map in ARCHITECTURE.md would read\n{}",
        missing.join("\n")
    );
    assert_eq!(drawn.len(), arrows.len(), "the map shows rooms that do not exist");
}

#[test]
fn lower_rooms_use_upper_rooms_only() {
    let mut above = BTreeSet::from(["(none)".to_owned()]);
    for (room, used) in map() {
        let wrong: Vec<_> = used.difference(&above).collect();
        assert!(wrong.is_empty(), "{room} uses rooms that are not above it: {wrong:?}");
        above.insert(room);
    }
}

#[test]
fn the_machine_pulls_in_no_store_no_wire_and_no_terminal() {
    let tree = tree("zvm-evm");
    assert!(tree.contains("zvm-core"), "the tree was not read: {tree:?}");
    let found: Vec<_> = NOT_IN_EVM.iter().filter(|&&name| tree.contains(name)).collect();
    assert!(found.is_empty(), "zvm-evm depends on {found:?}");
}

#[test]
fn peers_are_only_yardsticks() {
    for room in arrows().into_keys() {
        let tree = tree(&room);
        let found: Vec<_> = PEERS.iter().filter(|&&name| tree.contains(name)).collect();
        assert!(found.is_empty(), "{room} ships {found:?}");
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    let book = root().join("docs/src");
    let pages = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|page| root().join(page));
    let chapters = fs::read_dir(&book).unwrap().map(|entry| entry.unwrap().path());
    for page in
        pages.into_iter().chain(chapters).filter(|path| path.extension().is_some_and(|e| e == "md"))
    {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let target: PathBuf = page.parent().unwrap().join(link);
            assert!(
                link.contains("://") || target.exists(),
                "{}: nothing at {link:?}",
                page.display()
            );
        }
    }
}
