//! What a run found: counts that add up, failures, skips with their reasons.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::Serialize;

use crate::{Shape, Suite};

/// The outcome of a run. What its units are, its [`Suite`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was run.
    pub suite: Suite,
    /// Units that came out as expected.
    pub passed: u64,
    /// Units that did not, and files or cases that cannot be read; ordered by file.
    pub failures: Vec<Failure>,
    /// Units that were not run, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Units that the filter of the run left out.
    pub deselected: u64,
    /// Files (and single cases) that hold nothing for this suite, by archive or folder and shape.
    pub passed_over: BTreeMap<(String, Shape), u64>,
    /// Every unit run, only if [`Options::keep_units`](crate::Options::keep_units) asked for them.
    pub units: Vec<Unit>,
}

/// Something that is not as the fixture says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// Path of the file; inside an archive, the archive's path and the one inside.
    pub file: String,
    /// Name of the case; `None` where the file as a whole is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Label of the hard fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork: Option<String>,
    /// Position in the lists of the transaction, such as `d0 g1 v0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indexes: Option<String>,
    /// What was found and what was expected, on one line.
    pub what: String,
    /// The difference in detail, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// One unit and its verdict, for reports that list everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// As in [`Failure::file`].
    pub file: String,
    /// Name of the case, hard fork and indexes.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
}

/// How a unit went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected; the text says what.
    Failed(String),
    /// Not run; the text says why.
    Skipped(String),
}

impl Report {
    /// Units that failed, unreadable files included.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.len() as u64
    }

    /// Units that were skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Every unit in the files: what was run and what was not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.passed + self.failed() + self.skipped() + self.deselected
    }

    /// Whether something was run and nothing failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        // A run that meets only skips has checked nothing, but has said so unit by unit.
        self.failures.is_empty() && self.passed + self.skipped() > 0
    }

    /// Adds what another worker found.
    pub(crate) fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.deselected += other.deselected;
        self.units.extend(other.units);
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        for (shape, count) in other.passed_over {
            *self.passed_over.entry(shape).or_default() += count;
        }
    }

    /// Lists independent of which worker did what.
    pub(crate) fn sort(&mut self) {
        self.failures.sort_unstable();
        self.units.sort_unstable();
    }

    /// One JSON object per line: failures, skips, files passed over, and last the totals, exactly
    /// `{"suite":"state","passed":N,"failed":N,"skipped":N}` with the name of the suite.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let mut lines = String::new();
        let mut push = |line: serde_json::Value| {
            lines.push_str(&line.to_string());
            lines.push('\n');
        };
        for failure in &self.failures {
            push(serde_json::json!({ "failure": failure }));
        }
        for (reason, count) in &self.skipped {
            push(serde_json::json!({ "skipped": count, "reason": reason }));
        }
        for ((source, shape), files) in &self.passed_over {
            let shape = shape.name();
            push(serde_json::json!({ "passed_over": source, "shape": shape, "files": files }));
        }
        if self.deselected > 0 {
            push(serde_json::json!({ "deselected": self.deselected }));
        }
        let (suite, passed) = (self.suite.name(), self.passed);
        let (failed, skipped) = (self.failed(), self.skipped());
        // Written by hand: readers rely on the order of the fields.
        let _ = writeln!(
            lines,
            r#"{{"suite":"{suite}","passed":{passed},"failed":{failed},"skipped":{skipped}}}"#
        );
        lines
    }

    /// JUnit's XML: a test suite per file, a test case per unit. Needs the units.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
            self.suite.name(),
            self.passed + self.failed() + self.skipped(),
            self.failed(),
            self.skipped()
        );
        for units in self.units.chunk_by(|a, b| a.file == b.file) {
            let count = |is: fn(&Verdict) -> bool| units.iter().filter(|u| is(&u.verdict)).count();
            let failures = count(|verdict| matches!(verdict, Verdict::Failed(_)));
            let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
            let (file, tests) = (Escaped(&units[0].file), units.len());
            let _ = writeln!(
                xml,
                "<testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">"
            );
            for unit in units {
                let _ = write!(xml, "<testcase name=\"{}\"", Escaped(&unit.name));
                let _ = match &unit.verdict {
                    Verdict::Passed => writeln!(xml, "/>"),
                    Verdict::Failed(what) => {
                        writeln!(xml, "><failure message=\"{}\"/></testcase>", Escaped(what))
                    }
                    Verdict::Skipped(why) => {
                        writeln!(xml, "><skipped message=\"{}\"/></testcase>", Escaped(why))
                    }
                };
            }
            xml.push_str("</testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

impl fmt::Display for Report {
    /// For people: failures with their details, then what was left out and why, then the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        for (reason, count) in &self.skipped {
            writeln!(f, "skipped {count}: {reason}")?;
        }
        for ((source, shape), files) in &self.passed_over {
            writeln!(f, "passed over {source}: {files} files of shape {}", shape.name())?;
        }
        let (passed, failed, skipped) = (self.passed, self.failed(), self.skipped());
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        if self.deselected > 0 {
            write!(f, ", {} not selected", self.deselected)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED {}", self.file)?;
        let place = [&self.test, &self.fork, &self.indexes];
        for part in place.into_iter().flatten() {
            write!(f, " {part}")?;
        }
        write!(f, ": {}", self.what)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Text inside an XML attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_str("&#10;")?,
                // XML 1.0 has no way to write other control characters.
                control if control.is_control() => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let failure = Failure {
            file: "a.json".to_owned(),
            test: Some("t<1>".to_owned()),
            fork: Some("Cancun".to_owned()),
            indexes: Some("d0 g0 v0".to_owned()),
            what: "state root 1, expected 2".to_owned(),
            details: vec!["slot".to_owned()],
        };
        let unit = |name: &str, verdict| Unit {
            file: "a.json".to_owned(),
            name: name.to_owned(),
            verdict,
        };
        Report {
            passed: 2,
            failures: vec![failure],
            skipped: [("because".to_owned(), 3)].into(),
            units: vec![
                unit("t<1>", Verdict::Failed("1 & 2".to_owned())),
                unit("t2", Verdict::Passed),
            ],
            ..Report::default()
        }
    }

    #[test]
    fn the_last_json_line_is_the_totals() {
        let lines = report().to_json_lines();
        let last = lines.lines().last();
        assert_eq!(last, Some(r#"{"suite":"state","passed":2,"failed":1,"skipped":3}"#));
        for line in lines.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn junit_escapes_what_tests_are_called() {
        let xml = report().to_junit();
        assert!(xml.contains(r#"<testcase name="t&lt;1&gt;"><failure message="1 &amp; 2"/>"#));
        assert!(xml.contains(r#"name="a.json" tests="2" failures="1" skipped="0""#), "{xml}");
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!Report::default().is_success());
        assert!(Report { passed: 1, ..Report::default() }.is_success());
    }
}
