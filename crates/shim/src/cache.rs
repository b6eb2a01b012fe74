//! `wasmedge-engine cache`: a person's look at a node's native code.

mod progress;
mod warm;

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use wasmedge_cache::Cache;

use crate::answer::say;
use crate::settings::Settings;

const HELP: &str = "\
Look after the native code that modules of this node were compiled to

Usage: wasmedge-engine cache ls [--json]          list it
       wasmedge-engine cache verify               check every byte, remove what is damaged
       wasmedge-engine cache prune [--size BYTES] remove what was not used for longest
       wasmedge-engine cache warm [FLAGS] IMAGE|FILE...
                                                  compile modules before they are first started

The directory, its size and the compiler's limits are set in /etc/containerd-shim-wasmedge.toml.
Each of them says more with --help.
";
const LS_HELP: &str = "\
List the native code of this node, what was used last first

Usage: wasmedge-engine cache ls [--json]
";
const VERIFY_HELP: &str = "\
Check every byte of this node's native code, and remove what is damaged

Usage: wasmedge-engine cache verify

The exit status is 1 if something damaged could not be removed.
";
const PRUNE_HELP: &str = "\
Remove the native code that was not used for longest, until no more than a size is left

Usage: wasmedge-engine cache prune [--size BYTES]

Without --size that is CacheSize in /etc/containerd-shim-wasmedge.toml, or 4 GiB. What containers run goes on running.
The exit status is 1 if something could not be removed.
";
const WARM_HELP: &str = "\
Compile modules before they are first started

Usage: wasmedge-engine cache warm [FLAGS] IMAGE|FILE...

An image is looked for in containerd's store. Its entrypoint is compiled, and every other file of it that begins as a
binary module does, or as a text one and is named *.wat:
  --address SOCKET       of containerd ($CONTAINERD_ADDRESS, /run/containerd/containerd.sock)
  --namespace NAME       of containerd's ($CONTAINERD_NAMESPACE, default; Kubernetes has k8s.io, Docker moby)
  --snapshotter NAME     by which it is unpacked ($CONTAINERD_SNAPSHOTTER, overlayfs)

The exit status is 0 if all modules have native code now, also where an image has no module, and else 1.
";

/// Does what the words after `cache` say. Fails with a message for the person who wrote them.
pub fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["help" | "--help" | "-h"] => say(HELP),
        [verb, ref rest @ ..] if rest.iter().any(|word| matches!(*word, "--help" | "-h")) => match help(verb)
        {
            Some(help) => say(help),
            None => unknown(&words),
        },
        ["ls"] => list(false),
        ["ls", "--json"] => list(true),
        ["verify"] => verify(),
        ["prune"] => prune(None),
        ["prune", "--size"] => bail!("cache prune --size: a number of bytes is missing"),
        ["prune", "--size", size] => prune(Some(size.parse().context("--size takes a number of bytes")?)),
        ["warm", ref words @ ..] => warm::warm(words),
        _ => unknown(&words),
    }
}

fn help(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "ls" => LS_HELP,
        "verify" => VERIFY_HELP,
        "prune" => PRUNE_HELP,
        "warm" => WARM_HELP,
        _ => return None,
    })
}

fn unknown(words: &[&str]) -> Result<()> {
    bail!("cache {}: no such command; see wasmedge-engine cache --help", words.join(" "))
}

fn open() -> Result<(Arc<Cache>, Settings)> {
    let settings = Settings::read()?;
    Ok((Cache::open(&settings.cache)?, settings))
}

fn list(as_json: bool) -> Result<()> {
    let mut entries = open()?.0.list()?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let age = |then: SystemTime| then.elapsed().map_or(0, |age| age.as_secs());
    if as_json {
        let entry = |entry: wasmedge_cache::Listed| {
            json!({ "key": entry.key.to_string(), "size": entry.size, "usedSecondsAgo": age(entry.used),
                "description": entry.description })
        };
        let list: Vec<_> = entries.into_iter().map(entry).collect();
        return say(format!("{:#}\n", serde_json::Value::from(list)));
    }
    let mut text = format!("{:<14}{:>12}  {:<12}  {:<14}MODULE'S NAME\n", "KEY", "BYTES", "USED", "MODULE");
    for entry in entries {
        let (module, source) = match entry.description {
            Some(description) => (description.module.to_string(), description.source),
            None => ("?".to_owned(), "(damaged)".to_owned()),
        };
        let used = format!("{} ago", in_words(age(entry.used)));
        let key = entry.key.to_string();
        let (key, module) = (short(&key), short(&module));
        text += &format!("{key:<14}{:>12}  {used:<12}  {module:<14}{source}\n", entry.size);
    }
    say(text)
}

fn verify() -> Result<()> {
    let cache = open()?.0;
    let checked = cache.list()?.len();
    let faults = cache.verify()?;
    let mut removed = 0;
    for damaged in &faults {
        match &damaged.removed {
            Ok(()) => {
                removed += 1;
                eprintln!("removed {}: {}", damaged.key, damaged.fault);
            }
            Err(error) => eprintln!("{}: {}; it cannot be removed: {error}", damaged.key, damaged.fault),
        }
    }
    say(format!("{checked} checked, {removed} removed\n"))?;
    ensure!(removed == faults.len(), "{} damaged ones are left", faults.len() - removed);
    Ok(())
}

fn prune(size: Option<u64>) -> Result<()> {
    let (cache, settings) = open()?;
    let pruned = cache.prune(size.unwrap_or(settings.cache_size), None)?;
    let bytes: u64 = pruned.evicted.iter().map(|evicted| evicted.size).sum();
    for (key, error) in &pruned.stuck {
        eprintln!("{key} cannot be removed: {error}");
    }
    say(format!("{} removed, {bytes} bytes\n", pruned.evicted.len()))?;
    ensure!(pruned.stuck.is_empty(), "{} that should be removed are left", pruned.stuck.len());
    Ok(())
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        assert_eq!([5, 65, 7_300, 200_000].map(in_words), ["5 s", "1 min", "2 h", "2 d"]);
    }

    #[test]
    fn an_unknown_command_leads_to_the_help() {
        let error = run(&["lss".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("--help"), "{error}");
    }
}
