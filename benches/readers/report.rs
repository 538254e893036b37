//! The table that is printed: what was measured, its goal, and the result.

use sqlx::PgConnection;

pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        println!("{:<52}  {:>8}  {:>10}", "what", "goal", "result");
        Self { missed: Vec::new() }
    }

    /// A figure without a goal.
    pub(crate) fn note(&mut self, what: &str, result: f64, unit: &str) {
        println!("{what:<52}  {:>8}  {result:>10.1} {unit}", "");
    }

    /// Returns `true` if the goal was met.
    pub(crate) fn goal(&mut self, what: &str, most: f64, result: f64, unit: &str) -> bool {
        let is_met = result <= most;
        println!("{what:<52}  {most:>8.1}  {result:>10.1} {unit}{}", if is_met { "" } else { "  MISSED" });
        if !is_met {
            self.missed.push(what.to_owned());
        }
        is_met
    }

    /// Sizes on disk with indexes.
    pub(crate) async fn sizes(&mut self, sql: &mut PgConnection) {
        let sizes: Vec<(String, i64, i64)> = sqlx::query_as(
            "select c.oid::regclass::text, pg_total_relation_size(c.oid), c.reltuples::bigint
             from pg_class c
             where c.relnamespace in ('voicenter'::regnamespace, 'cdr_sync'::regnamespace) and c.relkind = 'r'
               and c.reltuples > 1000
             order by 2 desc",
        )
        .fetch_all(sql)
        .await
        .unwrap();
        for (table, bytes, rows) in sizes {
            self.note(&format!("size of {table}"), bytes as f64 / 1e6, &format!("MB, {rows} rows"));
        }
    }

    /// Returns `true` if every goal was met.
    pub(crate) fn end(self) -> bool {
        match self.missed.as_slice() {
            [] => println!("\nevery goal is met"),
            missed => println!("\nnot met: {}", missed.join("; ")),
        }
        self.missed.is_empty()
    }
}

/// The figure that a share of `figures` does not exceed: 0.5 is the median.
pub(crate) fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    sorted[((last as f64 * share).ceil() as usize).min(last)]
}
