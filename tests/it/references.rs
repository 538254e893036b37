//! What a comment or a page refers to inside this repository exists: files, and headings in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files that a reader finds references in.
fn files() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from(".")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "venv", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if ["rs", "md", "sql", "py", "toml", "yml", "yaml"].iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found
}

/// The pages of this repository that a line names, with the heading where it names one.
fn references(line: &str) -> Vec<(String, Option<String>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let mut found = Vec::new();
    for (at, _) in line.match_indices(".md") {
        let (before, after) = (&line[..at], &line[at + 3..]);
        let start = before
            .rfind(|c| !is_part(c))
            .map_or(0, |at| at + before[at..].chars().next().unwrap().len_utf8());
        let name = before[start..].to_owned() + ".md";
        let heading = after.strip_prefix('#').map(|heading| {
            heading
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                .next()
                .unwrap()
                .to_owned()
        });
        if !before[..start].ends_with("://") && !name.starts_with('.')
            || name.starts_with("./")
            || name.starts_with("..")
        {
            found.push((name, heading.filter(|heading| !heading.is_empty())));
        }
    }
    found
}

/// What of a line is a comment: code names files of its own.
fn comment(line: &str) -> &str {
    let signs = ["//", "--", "#"];
    signs.iter().filter_map(|sign| line.find(sign)).min().map_or("", |at| &line[at..])
}

/// The anchors that a Markdown page offers, as GitHub makes them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let explicit = text
        .match_indices("<a id=\"")
        .map(|(at, start)| text[at + start.len()..].split('"').next().unwrap_or_default().to_owned());
    headings.map(slug).chain(explicit).collect()
}

#[test]
fn what_is_referred_to_exists() {
    let (mut broken, mut checked) = (Vec::new(), 0);
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let is_page = path.extension().is_some_and(|end| end == "md");
        for (number, line) in text.lines().enumerate() {
            let line = if is_page { line } else { comment(line) };
            for (name, heading) in references(line) {
                // The daemon serves the same files.
                let name =
                    name.split_once("/docs/").map_or(name.clone(), |(_, served)| format!("docs/{served}"));
                // Pages link relative to themselves, everything else names pages from the root.
                let beside = path.parent().unwrap().join(&name);
                let page = if is_page && beside.exists() { beside } else { PathBuf::from(&name) };
                checked += 1;
                let place = format!("{}:{}", path.display(), number + 1);
                if !page.exists() {
                    broken.push(format!("{place}: there is no {name}"));
                } else if let Some(heading) = heading
                    && !anchors(&page).contains(&heading)
                {
                    broken.push(format!("{place}: {name} has no heading #{heading}"));
                }
            }
        }
    }
    assert!(checked > 100, "the test looks in the wrong place: {checked} references");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_comment_cites_what_is_not_in_the_tree() {
    let vague = ["(contract", "the contract", "API document", "first design", "(design"];
    for path in files().iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        if path.ends_with("references.rs") {
            continue;
        }
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let Some((_, comment)) = line.split_once("//") else { continue };
            let found = vague.iter().find(|phrase| comment.contains(**phrase));
            let place = || format!("{}:{}", path.display(), number + 1);
            assert!(
                found.is_none(),
                "{}: \"{}\": name the page and its heading",
                place(),
                found.unwrap_or(&"")
            );
        }
    }
}
