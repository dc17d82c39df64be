//! The only automation of this repository. `cargo xtask help` lists what it can do.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no task yet")
}
