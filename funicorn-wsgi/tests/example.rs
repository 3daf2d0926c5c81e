//! The example programs do what they say. (`cargo test` builds them beside the tests.)
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

use std::process::Command;

#[test]
fn without_server_prints_the_answer() {
    let directory = std::env::temp_dir().join(format!("funicorn-example-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("hello.py"),
        "def app(environ, start_response):\n\
         \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
         \x20   return [b'hello from ', environ['PATH_INFO'].encode()]\n",
    )
    .unwrap();
    let built = std::env::current_exe().unwrap();
    let program = built.parent().unwrap().parent().unwrap().join("examples/without_server");
    let output =
        Command::new(program).args(["hello:app", "/there"]).current_dir(&directory).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "200\nContent-Type: text/plain\r\n\nhello from /there", "{output:?}");
    std::fs::remove_dir_all(directory).unwrap();
}
