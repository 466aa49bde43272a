//! Why a container's command cannot be started, in the words that Docker's users look for.

/// What `runtime` complained of when it should start `command`, a container's first word. What crun says of the
/// command is worded as runc has it, which names it; the rest stays as it is.
pub(crate) fn worded(runtime: &str, command: &str, complaint: &str) -> String {
    let complaint = match of_command(command, complaint) {
        Some(cause) => {
            format!("{runtime} create failed: unable to start container process: exec: {command:?}: {cause}")
        }
        None if complaint.starts_with("runc create failed") => complaint.to_owned(),
        None => return complaint.to_owned(),
    };
    format!("OCI runtime create failed: {complaint}")
}

/// The cause, if crun complains of the command.
fn of_command(command: &str, complaint: &str) -> Option<String> {
    if complaint.starts_with("executable file `") && complaint.contains("not found in $PATH") {
        return Some(match command.contains('/') {
            true => format!("stat {command}: no such file or directory"),
            false => "executable file not found in $PATH".to_owned(),
        });
    }
    Some(match complaint.strip_prefix("open executable: ")? {
        // The latter of what is no regular file.
        "Permission denied" | "Operation not permitted" => "permission denied".to_owned(),
        other => format!("stat {command}: {}", other.to_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::worded;

    #[test]
    fn complaints_of_the_command_name_it() {
        fn check(command: &str, complaint: &str, expect: &str) {
            let expect = format!(
                "OCI runtime create failed: crun create failed: unable to start container process: exec: {expect}"
            );
            assert_eq!(worded("crun", command, complaint), expect);
        }
        let missing = |name: &str| format!("executable file `{name}` not found in $PATH: No such file or directory");
        check("/nope", &missing("/nope"), "\"/nope\": stat /nope: no such file or directory");
        check("./nope", &missing("./nope"), "\"./nope\": stat ./nope: no such file or directory");
        check("nope", &missing("nope"), "\"nope\": executable file not found in $PATH");
        check("/etc/passwd", "open executable: Permission denied", "\"/etc/passwd\": permission denied");
        check("/etc", "open executable: Operation not permitted", "\"/etc\": permission denied");
        let looping = "open executable: Too many levels of symbolic links";
        check("/loop", looping, "\"/loop\": stat /loop: too many levels of symbolic links");
        let runc = "runc create failed: unable to start container process: exec: \"/nope\": permission denied";
        assert_eq!(worded("runc", "/nope", runc), format!("OCI runtime create failed: {runc}"));
        assert_eq!(worded("crun", "/nope", "chdir `/x`: Not a directory"), "chdir `/x`: Not a directory");
    }
}
