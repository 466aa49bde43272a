//! Links the program to fixed addresses: a shim beside every container then shares all that it does not write to.
//! Why so: docs/decisions/0010-fixed-addresses.md.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
