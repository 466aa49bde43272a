//! Standard output, whose reader may go away: `longshore demo | head -1`.

use anyhow::Result;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Nobody reads the standard output any more. It ends a command quietly.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

impl ReaderGone {
    /// As a shell tells the end by SIGPIPE: 128 and 13.
    pub const EXIT_CODE: u8 = 141;
}

/// Writes a line to the standard output. All output of commands goes through here.
///
/// # Errors
/// [`ReaderGone`], or what else keeps it from being written, such as a full disk.
pub fn say(line: impl Display) -> Result<()> {
    write(&mut io::stdout().lock(), line)
}

fn write(out: &mut impl Write, line: impl Display) -> Result<()> {
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use super::{ReaderGone, write};
    use std::io::{self, Write};

    /// Reads everything, or is gone.
    struct Reader(bool);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 { Ok(bytes.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_of_its_own() {
        assert!(write(&mut Reader(true), "line").is_ok());
        let error = write(&mut Reader(false), "line").expect_err("gone");
        assert!(error.is::<ReaderGone>(), "{error}");
    }
}
