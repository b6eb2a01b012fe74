//! Text: documents, patterns, expressions.

use std::hash::Hasher;
use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;
use serde_json::{Value, json};

use super::Noise;
use crate::files::Sum;

/// Writes a document, parses it, and writes it again, some times.
pub(super) fn json() -> u64 {
    let mut noise = Noise::new();
    let people: Vec<Value> = (0..2000)
        .map(|i| {
            json!({ "id": i, "name": format!("name{}", noise.next() % 1000), "ratio": (noise.next() % 1000) as f64 / 8.0,
                    "tags": ["a", "b\n", "ü"], "nested": { "yes": true, "no": null } })
        })
        .collect();
    let mut text = Value::from(people).to_string();
    let mut sum = Sum::default();
    for _ in 0..6 {
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        text = value.to_string();
        sum.write(text.as_bytes());
    }
    sum.finish()
}

/// Finds addresses and dates in a log.
pub(super) fn regex() -> u64 {
    let mut noise = Noise::new();
    let mut log = String::new();
    for _ in 0..8000 {
        let [a, b, c] = [noise.next() % 256, noise.next() % 256, noise.next() % 28 + 1];
        log.push_str(&format!(
            "2026-11-{c:02} GET /path/{a}?q={b} from 10.{a}.{b}.7 by user{a}@host{b}.example\n"
        ));
    }
    let mut sum = Sum::default();
    for pattern in [
        r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)",
        r"([0-9]{4})-([0-9]{2})-(0[1-9]) ",
        r"[a-z]+[0-9]*@[a-z0-9]+\.example",
    ] {
        let Ok(pattern) = Regex::new(pattern) else { return 0 };
        let mut found = 0;
        for captures in pattern.captures_iter(&log) {
            found += captures.get(0).map_or(0, |all| all.start() as u64);
        }
        sum.write_u64(found);
    }
    sum.finish()
}

/// Evaluates a long expression, many times.
pub(super) fn parse() -> u64 {
    let mut noise = Noise::new();
    let mut text = String::from("1");
    for _ in 0..4000 {
        let sign = ['+', '-', '*'][(noise.next() % 3) as usize];
        text.push_str(&format!(
            " {sign} ({} + {} * (3 - {}))",
            noise.next() % 100,
            noise.next() % 10,
            noise.next() % 9
        ));
    }
    (0..60).fold(0u64, |sum, _| {
        sum.wrapping_mul(31).wrapping_add(expression(&mut text.chars().peekable()) as u64)
    })
}

fn expression(text: &mut Peekable<Chars<'_>>) -> i64 {
    let mut value = product(text);
    while let Some(sign) = text.next_if(|c| matches!(c, '+' | '-' | ' ')) {
        match sign {
            '+' => value = value.wrapping_add(product(text)),
            '-' => value = value.wrapping_sub(product(text)),
            _ => {}
        }
    }
    value
}

fn product(text: &mut Peekable<Chars<'_>>) -> i64 {
    let mut value = factor(text);
    while let Some(sign) = text.next_if(|c| matches!(c, '*' | ' ')) {
        if sign == '*' {
            value = value.wrapping_mul(factor(text));
        }
    }
    value
}

fn factor(text: &mut Peekable<Chars<'_>>) -> i64 {
    while text.next_if_eq(&' ').is_some() {}
    if text.next_if_eq(&'(').is_some() {
        let value = expression(text);
        text.next_if_eq(&')');
        return value;
    }
    let mut value = 0i64;
    while let Some(digit) = text.next_if(char::is_ascii_digit) {
        value = value * 10 + i64::from(digit as u8 - b'0');
    }
    value
}
