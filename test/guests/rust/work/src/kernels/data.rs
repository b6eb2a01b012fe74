//! Bytes and collections.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;
use sha2::{Digest, Sha256};

use super::Noise;
use crate::files::Sum;

/// SHA-256 of 8 MiB.
pub(super) fn sha256() -> u64 {
    let mut digest = Sha256::new();
    let block: Vec<u8> = (0..64 * 1024).map(|i| i as u8).collect();
    for _ in 0..128 {
        digest.update(&block);
    }
    u64::from_be_bytes(digest.finalize()[..8].try_into().unwrap_or_default())
}

/// Compresses half a MiB of words, and restores it.
pub(super) fn deflate() -> u64 {
    let mut noise = Noise::new();
    let words = ["wasm", "container", "engine", "shim", "guest", "module", "task", "bundle"];
    let mut text = Vec::new();
    while text.len() < 1 << 19 {
        text.extend(words[(noise.next() % 8) as usize].as_bytes());
        text.push(b' ' + (noise.next() % 8) as u8);
    }
    let packed = compress_to_vec(&text, 6);
    let restored = decompress_to_vec(&packed).unwrap_or_default();
    if restored == text { packed.len() as u64 } else { 0 }
}

/// Sorts half a million numbers.
pub(super) fn sort() -> u64 {
    let mut noise = Noise::new();
    let mut numbers: Vec<u64> = (0..500_000).map(|_| noise.next()).collect();
    numbers.sort();
    numbers.iter().step_by(1000).fold(0, |sum, number| sum ^ number)
}

/// Fills and reads a hash map.
pub(super) fn map() -> u64 {
    let mut noise = Noise::new();
    let mut map: HashMap<u64, u64, BuildHasherDefault<Sum>> = HashMap::default();
    for _ in 0..300_000 {
        *map.entry(noise.next() % 50_000).or_default() += 1;
    }
    let mut sum = Sum::default();
    (0..50_000).for_each(|key| sum.write_u64(map.get(&key).copied().unwrap_or_default()));
    sum.finish()
}
