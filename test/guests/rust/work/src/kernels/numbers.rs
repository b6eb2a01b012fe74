//! Numbers: floating point, and loops over memory.

use std::hash::Hasher;

use crate::files::Sum;

const BODIES: usize = 5;

/// Five bodies under each other's gravity.
pub(super) fn nbody() -> u64 {
    let mut places: [[f64; 3]; BODIES] = std::array::from_fn(|i| {
        let i = i as f64;
        [i * 3.7 + 0.1, i * -2.1 + 1.0, i * 0.3 - 0.5]
    });
    let mut speeds = [[0.0f64; 3]; BODIES];
    let masses: [f64; BODIES] = std::array::from_fn(|i| 1.0 / (i as f64 + 1.0));
    for _ in 0..200_000 {
        for i in 0..BODIES {
            for j in i + 1..BODIES {
                let between: [f64; 3] = std::array::from_fn(|axis| places[i][axis] - places[j][axis]);
                let square = between.iter().map(|d| d * d).sum::<f64>() + 0.01;
                let force = 0.0001 / (square * square.sqrt());
                for axis in 0..3 {
                    speeds[i][axis] -= between[axis] * masses[j] * force;
                    speeds[j][axis] += between[axis] * masses[i] * force;
                }
            }
        }
        for (place, speed) in places.iter_mut().zip(&speeds) {
            (0..3).for_each(|axis| place[axis] += speed[axis] * 0.0001);
        }
    }
    let mut sum = Sum::default();
    places.iter().flatten().for_each(|place| sum.write_u64(place.to_bits()));
    sum.finish()
}

/// The product of two matrices of 256 by 256.
pub(super) fn matrix() -> u64 {
    const SIZE: usize = 256;
    let a: Vec<f64> = (0..SIZE * SIZE).map(|i| (i % 97) as f64).collect();
    let b: Vec<f64> = (0..SIZE * SIZE).map(|i| (i % 89) as f64).collect();
    let mut product = vec![0.0; SIZE * SIZE];
    for row in 0..SIZE {
        for k in 0..SIZE {
            let factor = a[row * SIZE + k];
            for column in 0..SIZE {
                product[row * SIZE + column] += factor * b[k * SIZE + column];
            }
        }
    }
    let mut sum = Sum::default();
    product.iter().step_by(101).for_each(|value| sum.write_u64(value.to_bits()));
    sum.finish()
}

/// The primes below four million.
pub(super) fn sieve() -> u64 {
    const MOST: usize = 4_000_000;
    let mut composite = vec![false; MOST];
    let mut sum = 0;
    for i in 2..MOST {
        if !composite[i] {
            sum += i as u64;
            (i.saturating_mul(i)..MOST).step_by(i).for_each(|multiple| composite[multiple] = true);
        }
    }
    sum
}
