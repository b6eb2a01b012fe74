//! What may and may not come out of a cache.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::*;
use crate::{Digest, Ingredients};

fn key(module: &[u8]) -> Key {
    Key::of(&Ingredients { module: Digest::of(module), engine: "e", features: "f", options: "o" })
}

fn cache() -> (tempfile::TempDir, Arc<Cache>) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&dir.path().join("cache")).unwrap();
    (dir, cache)
}

fn publish(cache: &Arc<Cache>, module: &[u8], artifact: &[u8]) -> Key {
    let draft = cache.begin(key(module)).unwrap().unwrap();
    draft.file().write_all(artifact).unwrap();
    draft.publish(Digest::of(module), "/app.wasm", "e").unwrap();
    key(module)
}

fn find(cache: &Cache, key: &Key) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    cache.find(key, |_| ())?.file.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn path(cache: &Cache, key: &Key, ending: &str) -> PathBuf {
    cache.path.join(key.file(ending))
}

#[test]
fn what_is_published_is_found_by_another_process_too() {
    let (_dir, cache) = cache();
    assert!(find(&cache, &key(b"m")).is_none());
    let key = publish(&cache, b"m", b"native");
    assert_eq!(find(&cache, &key).unwrap(), b"native");
    let other = Cache::open(&cache.path).unwrap();
    assert_eq!(find(&other, &key).unwrap(), b"native");
    assert_eq!(cache.list().unwrap()[0].description.as_ref().unwrap().source, "/app.wasm");
}

#[test]
fn a_flipped_bit_is_noticed_and_the_entry_removed() {
    let (_dir, cache) = cache();
    let key = publish(&cache, b"m", b"native");
    assert!(find(&cache, &key).is_some());
    let so = path(&cache, &key, "so");
    OpenOptions::new().write(true).open(&so).unwrap().write_all_at(b"N", 0).unwrap();
    let mut said = String::new();
    assert!(cache.find(&key, |fault| said = fault.to_string()).is_none());
    assert!(said.contains("digest"), "{said}");
    assert!(!so.exists());
    publish(&cache, b"m", b"native");
    assert_eq!(find(&cache, &key).unwrap(), b"native");
}

#[test]
fn an_entry_that_was_copied_to_another_key_is_not_given_out() {
    let (_dir, cache) = cache();
    let (ours, other) = (publish(&cache, b"m", b"native"), publish(&cache, b"n", b"another"));
    for ending in ["so", "json"] {
        fs::rename(path(&cache, &other, ending), path(&cache, &ours, ending)).unwrap();
    }
    let mut fault = String::new();
    assert!(cache.find(&ours, |told| fault = told.to_string()).is_none());
    assert_eq!(fault, format!("it is the entry of {other}"));
    assert!(!path(&cache, &ours, "so").exists());
}

#[test]
fn truncated_foreign_linked_and_writable_entries_are_never_given_out() {
    let (dir, cache) = cache();
    let spoilers: [&dyn Fn(&Path); 5] = [
        &|so| OpenOptions::new().write(true).open(so).unwrap().set_len(3).unwrap(),
        &|so| fs::set_permissions(so, Permissions::from_mode(0o664)).unwrap(),
        &|so| std::os::unix::fs::chown(so, Some(1), None).unwrap(),
        &|so| fs::hard_link(so, dir.path().join("other-name")).unwrap(),
        &|so| {
            fs::rename(so, dir.path().join("elsewhere")).unwrap();
            symlink(dir.path().join("elsewhere"), so).unwrap();
        },
    ];
    for spoil in spoilers {
        let key = publish(&cache, b"m", b"native");
        spoil(&path(&cache, &key, "so"));
        assert!(find(&cache, &key).is_none());
        assert!(!path(&cache, &key, "json").exists());
    }
}

#[test]
fn a_directory_of_another_user_or_for_a_group_is_refused() {
    let (_dir, cache) = cache();
    fs::set_permissions(&cache.path, Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(Cache::open(&cache.path), Err(CacheError::Unsafe { .. })));
    fs::set_permissions(&cache.path, Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&cache.path, Some(1), None).unwrap();
    let error = Cache::open(&cache.path).unwrap_err().to_string();
    assert!(error.contains("user 1"), "{error}");
}

#[test]
fn one_maker_at_a_time_and_a_dead_ones_draft_is_taken_over() {
    let (_dir, cache) = cache();
    let other = Cache::open(&cache.path).unwrap();
    let draft = cache.begin(key(b"m")).unwrap().unwrap();
    draft.file().write_all(b"half").unwrap();
    assert!(other.begin(key(b"m")).unwrap().is_none());
    assert!(find(&other, &key(b"m")).is_none());
    // As if the maker had been killed: unlocked, but still there.
    fs::write(path(&cache, &key(b"n"), "new"), "half of something").unwrap();
    let key_n = publish(&other, b"n", b"native");
    assert_eq!(find(&cache, &key_n).unwrap(), b"native");
    drop(draft);
    assert!(!path(&cache, &key(b"m"), "new").exists());
    assert!(other.begin(key(b"m")).unwrap().is_some());
}

#[test]
fn the_least_recently_used_go_first_and_an_open_one_stays_readable() {
    let (_dir, cache) = cache();
    let keys: Vec<Key> = (0..3u8).map(|n| publish(&cache, &[n], &[n; 100])).collect();
    for (age, key) in [300, 200, 100].into_iter().zip(&keys) {
        let used = SystemTime::now() - Duration::from_secs(age);
        let times = fs::FileTimes::new().set_accessed(used);
        File::open(path(&cache, key, "so")).unwrap().set_times(times).unwrap();
    }
    let mut oldest = cache.find(&keys[0], |_| ()).unwrap();
    let evicted: Vec<Key> =
        cache.prune(200, None).unwrap().evicted.into_iter().map(|evicted| evicted.key).collect();
    assert_eq!(evicted, [keys[1]], "the first was used just now");
    cache.prune(0, Some(&keys[2])).unwrap();
    assert_eq!(cache.list().unwrap().iter().map(|entry| entry.key).collect::<Vec<_>>(), [keys[2]]);
    let mut bytes = Vec::new();
    oldest.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [0; 100]);
}

#[test]
fn what_is_larger_than_the_limit_pushes_nothing_else_out() {
    let (_dir, cache) = cache();
    let small: Vec<Key> = (0..2u8).map(|n| publish(&cache, &[n], &[n; 100])).collect();
    let large = publish(&cache, b"large", &[0; 1000]);
    assert!(cache.prune(200, Some(&large)).unwrap().evicted.is_empty());
    let evicted = cache.prune(200, None).unwrap().evicted;
    assert_eq!(evicted.iter().map(|evicted| evicted.key).collect::<Vec<_>>(), [large]);
    assert_eq!(cache.list().unwrap().len(), small.len());
}

#[test]
fn to_verify_an_entry_is_not_to_use_it() {
    let (_dir, cache) = cache();
    let key = publish(&cache, b"m", b"native");
    let then = SystemTime::now() - Duration::from_secs(90_000);
    let times = fs::FileTimes::new().set_accessed(then);
    File::open(path(&cache, &key, "so")).unwrap().set_times(times).unwrap();
    let used = cache.list().unwrap()[0].used;
    assert!(cache.verify().unwrap().is_empty());
    assert_eq!(cache.list().unwrap()[0].used, used);
}

#[test]
fn pruning_removes_what_dead_makers_left() {
    let (_dir, cache) = cache();
    fs::write(path(&cache, &key(b"m"), "new"), "half").unwrap();
    fs::write(path(&cache, &key(b"n"), "json"), "{}").unwrap();
    let draft = cache.begin(key(b"o")).unwrap().unwrap();
    cache.prune(u64::MAX, None).unwrap();
    assert_eq!(cache.names().unwrap().iter().filter(|name| !name.starts_with('.')).count(), 1);
    draft.publish(Digest::of(b"o"), "", "e").unwrap();
}

#[test]
fn verify_looks_at_every_byte() {
    let (_dir, cache) = cache();
    let (sound, broken) = (publish(&cache, b"m", b"native"), publish(&cache, b"n", b"native"));
    fs::write(path(&cache, &broken, "so"), "NATIVE").unwrap();
    let faults = cache.verify().unwrap();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].key, broken);
    assert_eq!(cache.list().unwrap()[0].key, sound);
}

#[test]
fn a_flipped_bit_is_noticed_although_the_time_was_put_back() {
    let (_dir, cache) = cache();
    let key = publish(&cache, b"m", b"native");
    assert!(find(&cache, &key).is_some());
    let so = OpenOptions::new().write(true).open(path(&cache, &key, "so")).unwrap();
    let modified = so.metadata().unwrap().modified().unwrap();
    so.write_all_at(b"N", 0).unwrap();
    so.set_modified(modified).unwrap();
    assert!(find(&cache, &key).is_none());
}

/// What is put in the place of a file.
const FOREIGN: [fn(&Path); 4] = [
    |place| {
        fs::create_dir(place).unwrap();
        fs::write(place.join("file"), "").unwrap();
    },
    |place| symlink("/dev/zero", place).unwrap(),
    |place| rustix::fs::mknodat(CWD, place, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap(),
    |place| drop(std::os::unix::net::UnixListener::bind(place).unwrap()),
];

#[test]
fn foreign_things_are_removed_and_the_entry_is_made_anew() {
    let (_dir, cache) = cache();
    for foreign in FOREIGN {
        for ending in ["so", "json", "new", "json.new"] {
            foreign(&path(&cache, &key(b"m"), ending));
            assert!(find(&cache, &key(b"m")).is_none());
            let key = publish(&cache, b"m", b"native");
            assert_eq!(find(&cache, &key).unwrap(), b"native", "{ending}");
            cache.remove(&key).unwrap();
        }
        for ending in ["so", "json", "new", "json.new"] {
            foreign(&path(&cache, &key(b"n"), ending));
        }
        assert_eq!(cache.verify().unwrap().len(), 1);
        cache.prune(0, None).unwrap();
        assert_eq!(cache.names().unwrap().iter().filter(|name| !name.starts_with('.')).count(), 0);
    }
}

#[test]
fn a_draft_with_another_name_is_not_written_over() {
    let (dir, cache) = cache();
    let other = dir.path().join("other-name");
    fs::write(&other, "precious").unwrap();
    for ending in ["new", "json.new"] {
        fs::hard_link(&other, path(&cache, &key(b"m"), ending)).unwrap();
        publish(&cache, b"m", b"native");
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }
}

#[test]
fn a_directory_that_was_removed_replaced_or_opened_to_others_is_noticed() {
    let (_dir, cache) = cache();
    let mode = |mode| fs::set_permissions(&cache.path, Permissions::from_mode(mode)).unwrap();
    assert!(cache.is_current());
    mode(0o777);
    assert!(!cache.is_current());
    mode(0o700);
    assert!(cache.is_current());
    fs::remove_dir(&cache.path).unwrap();
    assert!(!cache.is_current());
    fs::create_dir(&cache.path).unwrap();
    assert!(!cache.is_current());
    assert!(Cache::open(&cache.path).unwrap().is_current());
}

#[test]
fn there_are_only_so_many_turns_and_a_dropped_one_is_free() {
    let (_dir, cache) = cache();
    let other = Cache::open(&cache.path).unwrap();
    let first = cache.try_turn(0..2).unwrap().unwrap();
    let _second = other.try_turn(0..2).unwrap().unwrap();
    assert!(cache.try_turn(0..2).unwrap().is_none() && other.try_turn(0..2).unwrap().is_none());
    assert!(cache.try_turn(0..3).unwrap().is_some(), "one more for some");
    drop(first);
    assert!(other.try_turn(0..2).unwrap().is_some());
}
