//! Says hello, the smallest guest there is.

fn main() {
    println!("hello from wasm");
}
