//! Docker's `json-file`: a line of JSON for each line of output, in files that take turns.
//!
//! `<id>-json.log` is written to; `<id>-json.log.1` was before it, `.2` before that. A file that has reached its size
//! is turned before the next line (Docker Engine documentation, "JSON File logging driver").

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::drivers::files::absent_is_fine;
use crate::drivers::spool::Stream;
use crate::drivers::{ContainerId, FileSpec};

/// As Docker has them.
const FILE_MODE: u32 = 0o640;

/// In Docker's order.
#[derive(Serialize)]
struct Entry<'a> {
    log: &'a str,
    stream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attrs: Option<&'a BTreeMap<String, String>>,
    time: String,
}

pub(super) struct JsonFile {
    path: PathBuf,
    spec: FileSpec,
    /// None before the first line.
    file: Option<File>,
    /// Of the file, as far as lines in it are whole.
    bytes: u64,
    /// Lines that are not in the file yet.
    batch: Vec<u8>,
    batched: u64,
    /// When the line that goes on in the next piece was begun, of each stream.
    begun: [Option<Timestamp>; 2],
    /// Lines that a file did not take.
    lost: u64,
}

impl JsonFile {
    /// The files of the container whose directory is `dir`. One is made when there is something to write.
    pub fn new(dir: &Path, id: &ContainerId, spec: FileSpec) -> io::Result<Self> {
        let path = dir.join(format!("{id}-json.log"));
        let bytes = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { path, spec, file: None, bytes, batch: Vec::new(), batched: 0, begun: [None; 2], lost: 0 })
    }

    /// Adds a line, or a piece of a line that goes on if it is `partial`. All pieces have the first one's time.
    pub fn push(&mut self, at: Timestamp, stream: Stream, line: &[u8], partial: bool) {
        let (begun, name) = match stream {
            Stream::Out => (&mut self.begun[0], "stdout"),
            Stream::Err => (&mut self.begun[1], "stderr"),
        };
        let since = begun.unwrap_or(at);
        *begun = partial.then_some(since);
        let mut text = String::from_utf8_lossy(line).into_owned();
        if !partial {
            text.push('\n');
        }
        if self.spec.bytes_max.is_some_and(|most| self.bytes + self.batch.len() as u64 >= most) {
            self.flush();
            self.told("turned", Self::turn);
        }
        let attrs = Some(&self.spec.attributes).filter(|attributes| !attributes.is_empty());
        let entry = Entry { log: &text, stream: name, attrs, time: since.iso8601() };
        // Texts and a map of texts can be written to memory.
        _ = serde_json::to_writer(&mut self.batch, &entry);
        self.batch.push(b'\n');
        self.batched += 1;
    }

    /// What a full disk does not take is counted as lost: a container should not end for its output's sake.
    pub fn flush(&mut self) {
        let lines = std::mem::take(&mut self.batched);
        if !self.told("written to", Self::write) {
            self.lost += lines;
        }
        self.batch.clear();
    }

    pub fn finish(&mut self) {
        self.flush();
        if self.lost > 0 {
            eprintln!("{} lines of output were lost: {} could not be written to", self.lost, self.path.display());
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::options().append(true).create(true).mode(FILE_MODE).open(&self.path)?,
        };
        match file.write_all(&self.batch) {
            Ok(()) => self.bytes += self.batch.len() as u64,
            Err(error) => {
                file.set_len(self.bytes)?;
                return Err(error);
            }
        }
        self.file = Some(file);
        Ok(())
    }

    /// Makes way for a new file: without further ones, the old is removed.
    fn turn(&mut self) -> io::Result<()> {
        self.file = None;
        let suffix = if self.spec.compress { ".gz" } else { "" };
        let older = |number: u32| PathBuf::from(format!("{}.{number}{suffix}", self.path.display()));
        for number in (1..self.spec.files_max.saturating_sub(1)).rev() {
            absent_is_fine(fs::rename(older(number), older(number + 1)))?;
        }
        if self.spec.files_max < 2 {
            absent_is_fine(fs::remove_file(&self.path))?;
        } else if self.spec.compress {
            compress(&self.path, &older(1))?;
            fs::remove_file(&self.path)?;
        } else {
            absent_is_fine(fs::rename(&self.path, older(1)))?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// False when it failed, which is said once for the first time in a row.
    fn told(&mut self, what: &str, act: impl FnOnce(&mut Self) -> io::Result<()>) -> bool {
        let acted = act(self);
        if let Err(error) = &acted
            && self.lost == 0
        {
            eprintln!("{} could not be {what}: {error}", self.path.display());
        }
        acted.is_ok()
    }
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let packed = File::options().write(true).create(true).truncate(true).mode(FILE_MODE).open(to)?;
    let mut encoder = GzEncoder::new(packed, Compression::default());
    io::copy(&mut File::open(from)?, &mut encoder)?;
    encoder.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::Value;
    use std::io::Read;

    const ID: &str = "0a1b";

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn open(dir: &Path, spec: &FileSpec) -> JsonFile {
        JsonFile::new(dir, &ID.parse().expect("an id"), spec.clone()).expect("opened")
    }

    /// The texts in a file, which is unpacked if its name says so.
    fn logs(dir: &Path, name: &str) -> Vec<String> {
        let bytes = fs::read(dir.join(name)).expect("a file");
        let mut text = String::new();
        if name.ends_with(".gz") {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("unpacked");
        } else {
            text = String::from_utf8(bytes).expect("text");
        }
        let entry = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["log"].as_str().map(str::to_owned);
        text.lines().filter_map(entry).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_line_is_a_line_of_json_as_docker_writes_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let attributes = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let mut file = open(dir.path(), &FileSpec { attributes, ..FileSpec::default() });
        assert_eq!(names(dir.path()), Vec::<String>::new(), "nothing is made for nothing");
        file.push(at(1_700_000_000_123), Stream::Out, b"a \"b\"\t\xff", false);
        file.flush();
        let text = fs::read_to_string(dir.path().join("0a1b-json.log")).expect("a file");
        let entry =
            r#"{"log":"a \"b\"\t�\n","stream":"stdout","attrs":{"team":"a"},"time":"2023-11-14T22:13:20.123Z"}"#;
        assert_eq!(text, format!("{entry}\n"));
    }

    #[test]
    fn pieces_of_a_line_have_its_time_and_only_the_last_ends_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut file = open(dir.path(), &FileSpec::default());
        file.push(at(1), Stream::Out, b"one ", true);
        file.push(at(2), Stream::Err, b"other", false);
        file.push(at(3), Stream::Out, b"line", false);
        file.push(at(4), Stream::Out, b"rest", true);
        file.finish();
        assert_eq!(logs(dir.path(), "0a1b-json.log"), ["one ", "other\n", "line\n", "rest"]);
        let text = fs::read_to_string(dir.path().join("0a1b-json.log")).expect("a file");
        let millis: Vec<&str> = text.lines().filter_map(|line| line.split("00.00").nth(1)).collect();
        assert_eq!(millis, ["1Z\"}", "2Z\"}", "1Z\"}", "4Z\"}"]);
    }

    #[test]
    fn files_take_turns_and_the_oldest_goes() {
        fn check(files_max: u32, compress: bool, expect: &[(&str, &[&str])]) {
            let dir = tempfile::tempdir().expect("temp dir");
            let spec = FileSpec { bytes_max: Some(1), files_max, compress, ..FileSpec::default() };
            for number in 0..5_u8 {
                // A new life goes on where the last one was.
                let mut file = open(dir.path(), &spec);
                file.push(at(1), Stream::Out, &[b'0' + number], false);
                file.finish();
            }
            let found: Vec<_> = names(dir.path()).into_iter().map(|name| (logs(dir.path(), &name), name)).collect();
            let expect: Vec<_> = expect
                .iter()
                .map(|(name, logs)| (logs.iter().map(|it| format!("{it}\n")).collect::<Vec<_>>(), (*name).to_owned()))
                .collect();
            assert_eq!(found, expect);
        }
        check(1, false, &[("0a1b-json.log", &["4"])]);
        check(2, false, &[("0a1b-json.log", &["4"]), ("0a1b-json.log.1", &["3"])]);
        let three: [(&str, &[&str]); 3] =
            [("0a1b-json.log", &["4"]), ("0a1b-json.log.1.gz", &["3"]), ("0a1b-json.log.2.gz", &["2"])];
        check(3, true, &three);
    }

    #[test]
    fn a_file_is_turned_once_it_has_its_size() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut file = open(dir.path(), &FileSpec { bytes_max: Some(190), files_max: 9, ..FileSpec::default() });
        for _ in 0..7 {
            file.push(at(1), Stream::Out, b"x", false);
        }
        file.finish();
        let lines: Vec<usize> = names(dir.path()).iter().map(|name| logs(dir.path(), name).len()).collect();
        assert_eq!(lines, [1, 3, 3]);
    }

    #[test]
    fn what_cannot_be_written_is_left_out_whole() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut file = open(dir.path(), &FileSpec::default());
        fs::create_dir(dir.path().join("0a1b-json.log")).expect("in the way");
        file.push(at(1), Stream::Out, b"lost", false);
        file.flush();
        fs::remove_dir(dir.path().join("0a1b-json.log")).expect("removed");
        file.push(at(1), Stream::Out, b"kept", false);
        file.finish();
        assert_eq!((logs(dir.path(), "0a1b-json.log"), file.lost), (vec!["kept\n".to_owned()], 1));
    }
}
