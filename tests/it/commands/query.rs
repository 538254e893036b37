//! `query` in every format.

use crate::commands::scene::{printed, program, simulator, steady};
use crate::support::dates::instant;

async fn asked(more: &[&str], code: &str) -> String {
    let simulator = simulator(instant("2026-11-18T12:00:00Z"), |_| {}).await;
    let arguments =
        [&["query", "--from", "2026-11-18T08:00:00Z", "--to", "2026-11-18T08:04:00Z"], more].concat();
    let url = simulator.url();
    let environment = [("VOICENTER_URL", url.as_str()), ("VOICENTER_CODE", code)];
    printed(program(&arguments, &environment)).await
}

#[tokio::test]
async fn as_a_table() {
    insta::assert_snapshot!(asked(&[], "simulated-code").await);
}

#[tokio::test]
async fn as_json() {
    insta::assert_snapshot!(asked(&["--format", "json"], "simulated-code").await);
}

#[tokio::test]
async fn as_csv() {
    insta::assert_snapshot!(asked(&["--format", "csv", "--method", "get"], "simulated-code").await);
}

#[tokio::test]
async fn as_the_apis_own_page() {
    insta::assert_snapshot!(asked(&["--format", "html"], "simulated-code").await);
}

#[tokio::test]
async fn fields_alone_are_shown_as_they_came_though_no_record_could_be_a_row() {
    for fields in [&["--field", "CallID"] as &[_], &["--field", "callid", "--field", "Duration"]] {
        let table = asked(fields, "simulated-code").await;
        assert!(table.ends_with("5 records\n--- exit status 0\n"), "{table}");
        assert!(table.contains("202611181000058ea7eaa58881f28b5c"), "{table}");
        let csv = asked(&[fields, &["--format", "csv"]].concat(), "simulated-code").await;
        assert_eq!(csv.lines().count(), 7, "{csv}");
        let json = asked(&[fields, &["--format", "json"]].concat(), "simulated-code").await;
        let json = json.strip_suffix("--- exit status 0\n").unwrap();
        let records: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(json).unwrap();
        let asked_for = fields.iter().filter(|word| **word != "--field").count();
        assert!(records.len() == 5 && records.iter().all(|record| record.len() == asked_for), "{json}");
    }
}

#[tokio::test]
async fn refused_or_wrong() {
    let mut all = steady(&asked(&[], "another-code").await);
    all.push_str(&asked(&["--format", "html"], "another-code").await);
    all.push_str(&asked(&["--account", "sales"], "simulated-code").await);
    all.push_str(&asked(&["--format", "xml"], "simulated-code").await);
    assert!(!all.contains("another-code"));
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn csv_for_spreadsheets_keeps_zeros_and_calculates_nothing() {
    let plain = asked(&["--format", "csv"], "simulated-code").await;
    let guarded = asked(&["--format", "csv", "--bom"], "simulated-code").await;
    let (mark, guarded) = guarded.split_at(3);
    assert_eq!(mark.as_bytes(), b"\xef\xbb\xbf");
    assert_eq!(plain.lines().count(), guarded.lines().count());
    let number = plain.split([',', '\n']).find(|cell| cell.len() > 8 && cell.starts_with("05")).unwrap();
    assert!(guarded.contains(&format!("\"=\"\"{number}\"\"\"")), "{number}: {guarded}");
    let fields = ["--field", "CallerNumber", "--format", "csv", "--bom"];
    let fields = asked(&fields, "simulated-code").await;
    assert!(fields.contains("\"=\"\""), "{fields}");
    let refused = asked(&["--bom"], "simulated-code").await;
    assert!(
        refused.contains("--bom is for --format csv") && refused.ends_with("exit status 2\n"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_workbook_holds_the_records() {
    let simulator = simulator(instant("2026-11-18T12:00:00Z"), |_| {}).await;
    let url = simulator.url();
    let arguments =
        ["query", "--from", "2026-11-18T08:00:00Z", "--to", "2026-11-18T08:04:00Z", "--format", "xlsx"];
    let mut command =
        program(&arguments, &[("VOICENTER_URL", url.as_str()), ("VOICENTER_CODE", "simulated-code")]);
    let output = command.output().await.unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"PK"), "{output:?}");
    // What a reader of such files finds in it: Python's own, which is on every machine that runs the tests.
    let folder = crate::support::folder::Folder::new();
    let path = folder.path().join("calls.xlsx");
    std::fs::write(&path, &output.stdout).unwrap();
    let read = "import sys, zipfile, re
book = zipfile.ZipFile(sys.argv[1])
assert book.testzip() is None
sheet = book.read('xl/worksheets/sheet1.xml').decode()
texts = book.read('xl/sharedStrings.xml').decode()
print(len(re.findall('<row ', sheet)), '202611181000058ea7eaa58881f28b5c' in texts, '<f>' in sheet)";
    let read = std::process::Command::new("python3").args(["-c", read]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout), "6 True False\n", "{read:?}");
}
