//! Parts are the programs that the stories start: the repository's products and the third-party ones.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static REPOSITORY: LazyLock<PathBuf> = LazyLock::new(|| {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository").to_path_buf()
});

/// The repository's root.
pub fn repository() -> &'static Path {
    &REPOSITORY
}

/// A file of a third-party part, such as `runc/bin/runc`. Panics with what to do if it is not there.
///
/// Of containerd and Docker there are several: `WITH_CONTAINERD=containerd-1.7` and `WITH_DOCKER=docker-26` put that part
/// in the place of the usual one.
pub fn part(file: &str) -> PathBuf {
    let (name, rest) = file.split_once('/').unwrap_or((file, ""));
    let chosen = match name {
        "containerd" => chosen_containerd(),
        "docker" => std::env::var("WITH_DOCKER").unwrap_or_else(|_| name.to_owned()),
        _ => name.to_owned(),
    };
    existing(repository().join("build/parts").join(chosen).join(rest), "make test-parts")
}

/// The Docker that the stories run on; 28 is the usual one.
pub fn docker_version() -> u32 {
    let chosen = std::env::var("WITH_DOCKER").unwrap_or_default();
    chosen.strip_prefix("docker-").and_then(|version| version.parse().ok()).unwrap_or(28)
}

/// The part that containerd comes from.
pub(crate) fn chosen_containerd() -> String {
    std::env::var("WITH_CONTAINERD").unwrap_or_else(|_| "containerd".to_owned())
}

/// A file of the product, such as `bin/wasmedge-engine`: as staged in the repository, or as installed below the
/// prefix that `SHIM_PREFIX` names. Panics with what to do if it is not there.
pub fn product(file: &str) -> PathBuf {
    match std::env::var_os("SHIM_PREFIX") {
        Some(prefix) => existing(Path::new(&prefix).join(file), "make install"),
        None => existing(repository().join("build/root").join(file), "make build"),
    }
}

/// `PATH` inside of a cell: the product, the parts, the benchmarks' peer if it was built, then the system's.
pub(crate) fn search_path() -> String {
    let peer = repository().join("build/peer/bin");
    let programs =
        ["containerd", "runc", "docker", "iptables", "hosttools"].map(|name| part(&format!("{name}/bin")));
    joined(std::iter::once(product("bin")).chain(programs).chain([peer]))
}

/// `PATH` of a node of a cluster that has only what every node has.
pub(crate) fn search_path_without_product() -> String {
    joined(
        ["containerd", "runc", "iptables", "hosttools"].map(|name| part(&format!("{name}/bin"))).into_iter(),
    )
}

fn joined(ours: impl Iterator<Item = PathBuf>) -> String {
    let ours = ours.map(|path| path.display().to_string());
    ours.chain(["/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]).collect::<Vec<_>>().join(":")
}

fn existing(path: PathBuf, verb: &str) -> PathBuf {
    assert!(path.exists(), "{} is not there: run `{verb}` first", path.display());
    path
}
