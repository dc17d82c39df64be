//! `tidegate`: see `tidegate help`.

fn main() {
    std::process::exit(2);
}
