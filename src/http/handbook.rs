//! The handbook as the daemon serves it: the files of `docs/` of its own version, so that a link to a section works wherever
//! the page does.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};
use sha2::{Digest, Sha256};

use super::{TEXT, answer};

const STYLE: &str = include_str!("handbook.css");

const DOCUMENTS: [(&str, &str); 10] = [
    ("operations.md", include_str!("../../docs/operations.md")),
    ("configuration.md", include_str!("../../docs/configuration.md")),
    ("bi.md", include_str!("../../docs/bi.md")),
    ("data-dictionary.md", include_str!("../../docs/data-dictionary.md")),
    ("scaling.md", include_str!("../../docs/scaling.md")),
    ("reliability.md", include_str!("../../docs/reliability.md")),
    ("glossary.md", include_str!("../../docs/glossary.md")),
    ("voicenter-api.md", include_str!("../../docs/voicenter-api.md")),
    ("simulator.md", include_str!("../../docs/simulator.md")),
    ("contract.md", include_str!("../../docs/contract.md")),
];

/// The policy allows the style by its hash, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
});

static PAGES: LazyLock<BTreeMap<&str, String>> =
    LazyLock::new(|| DOCUMENTS.iter().map(|(name, text)| (*name, page(text))).collect());

pub(super) async fn document(Path(name): Path<String>) -> Response {
    let Some(page) = PAGES.get(name.as_str()) else {
        let names = DOCUMENTS.map(|(name, _)| name).join(", ");
        return answer(StatusCode::NOT_FOUND, TEXT, format!("not found: the handbook has {names}\n"));
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        // An upgrade replaces it.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::OK, headers, page.as_str()).into_response()
}

fn page(text: &str) -> String {
    let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let mut body = String::new();
    html::push_html(&mut body, own_links_only(with_anchors(text)).into_iter());
    // What is wide scrolls inside the page, by keyboard too.
    let body = body
        .replace("<pre>", "<pre tabindex=\"0\">")
        .replace("<table>", "<div class=\"scroll\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <nav><a href=\"../\">status page</a> <a href=\"operations.md\">handbook</a> cdr-sync {}</nav>\n\
         <main>\n{body}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Headings get the anchors that links in these files use: those of GitHub.
fn with_anchors(text: &str) -> Vec<Event<'_>> {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let mut seen = BTreeMap::<String, u32>::new();
    let headings: Vec<usize> = (0..events.len())
        .filter(|at| matches!(events.get(*at), Some(Event::Start(Tag::Heading { .. }))))
        .collect();
    for at in headings {
        let of_heading =
            events.iter().skip(at + 1).take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let words: String = of_heading
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        let slug = slug(&words);
        let times = seen.entry(slug.clone()).and_modify(|times| *times += 1).or_insert(0);
        let anchor = if *times == 0 { slug } else { format!("{slug}-{times}") };
        if let Some(Event::Start(Tag::Heading { id, .. })) = events.get_mut(at) {
            *id = Some(anchor.into());
        }
    }
    events
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Links to files that are not served stay as their words.
fn own_links_only(events: Vec<Event<'_>>) -> Vec<Event<'_>> {
    let is_served = |url: &str| {
        let file = url.split('#').next().unwrap_or_default();
        file.is_empty() || file.contains("://") || DOCUMENTS.iter().any(|(name, _)| *name == file)
    };
    let mut drops_end = false;
    events
        .into_iter()
        .filter(|event| match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                drops_end = !is_served(dest_url);
                !drops_end
            }
            Event::End(TagEnd::Link) => !std::mem::take(&mut drops_end),
            _ => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::ProblemKind;

    fn anchors(name: &str) -> Vec<String> {
        let (_, text) = DOCUMENTS.iter().find(|(document, _)| *document == name).unwrap();
        with_anchors(text)
            .into_iter()
            .filter_map(|event| match event {
                Event::Start(Tag::Heading { id, .. }) => id.map(|id| id.to_string()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn every_problem_has_its_section() {
        let sections = anchors("operations.md");
        for kind in ProblemKind::ALL {
            assert!(sections.iter().any(|anchor| anchor == kind.section()), "{kind:?}: {}", kind.section());
        }
    }

    #[test]
    fn every_link_between_the_documents_leads_somewhere() {
        let mut links = 0;
        for (name, text) in DOCUMENTS {
            for event in with_anchors(text) {
                let Event::Start(Tag::Link { dest_url, .. }) = event else { continue };
                let Some((file, anchor)) = dest_url.split_once('#') else { continue };
                let file = if file.is_empty() { name } else { file };
                if DOCUMENTS.iter().any(|(name, _)| *name == file) {
                    links += 1;
                    assert!(anchors(file).iter().any(|known| known == anchor), "{name} links to {dest_url}");
                }
            }
        }
        assert!(links > 20);
    }

    #[test]
    fn what_is_not_served_is_not_linked_and_markdown_becomes_a_page() {
        let links =
            ["../README.md", "bi.md", "https://example.com/"].map(|url| format!("[words]({url})")).join(" ");
        let page = page(&format!("# Title\n\n## A `b` c\n\n{links}\n\n|a|\n|-|\n|<b>|\n"));
        assert!(page.contains("<title>Title</title>") && page.contains("<h2 id=\"a-b-c\">"), "{page}");
        assert!(
            page.contains(
                "<p>words <a href=\"bi.md\">words</a> <a href=\"https://example.com/\">words</a></p>"
            ),
            "{page}"
        );
        assert!(page.contains("<div class=\"scroll\" tabindex=\"0\"><table>"), "{page}");
    }
}
