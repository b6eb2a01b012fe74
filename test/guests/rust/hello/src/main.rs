//! Says hello, the smallest guest there is; told to wait, it stays.

fn main() {
    println!("hello from wasm");
    if std::env::args().nth(1).as_deref() == Some("wait") {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
    }
}
