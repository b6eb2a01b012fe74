//! Log URIs: output that goes to a file or a program instead of a FIFO.

use std::os::unix::fs::PermissionsExt;

use wasmedge_shim_tests::{DEADLINE, MockContainerd, eventually, guests};

#[test]
fn output_is_appended_to_a_file() {
    let containerd = MockContainerd::start();
    let file = containerd.cell().directory().join("logs/out");
    for _ in 0..2 {
        let task = containerd.task(guests::HELLO).with_log_uri(&format!("file://{}", file.display()));
        assert_eq!(task.create().start().finish(), 0);
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello from wasm\nhello from wasm\n");
}

#[test]
fn output_goes_to_a_program_that_knows_whose_it_is() {
    let containerd = MockContainerd::start();
    let directory = containerd.cell().directory();
    let (program, file) = (directory.join("logger"), directory.join("logged"));
    let script =
        "#!/bin/sh\nexec 5>&-\n{ echo \"$1 $CONTAINER_NAMESPACE $CONTAINER_ID\"; cat <&3; cat <&4; } > $2\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let uri = format!("binary://{}?to={}", program.display(), file.display().to_string().replace('/', "%2F"));
    let task = containerd.task(guests::HELLO).with_log_uri(&uri).create().start();
    assert_eq!(task.finish(), 0);
    let expected = format!("to {} {}\nhello from wasm\n", containerd.cell().name(), task.id());
    eventually("the logger's file", DEADLINE, || {
        (std::fs::read_to_string(&file).ok()? == expected).then_some(())
    });
}

#[test]
fn a_logger_that_is_not_there_makes_create_fail() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HELLO).with_log_uri("binary:///no/such/logger");
    let refusal = task.try_create().err().unwrap();
    assert!(refusal.message.contains("/no/such/logger"), "{refusal}");
}
