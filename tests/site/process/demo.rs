//! What the demo prints can be typed.

use std::process::Command;

use crate::support::{BINARY, Server, demo, until};

#[test]
fn the_demo_says_what_to_type_and_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(&mut demo(directory.path()));
    let is_command = |line: &str| ["TICKET=", "curl ", BINARY].iter().any(|start| line.starts_with(start));
    until("four lines to type", || server.stdout().lines().filter(|line| is_command(line)).count() == 4);
    let welcome = server.stdout();
    assert_eq!(welcome.lines().next(), Some(&*format!("auth-ticket demo on http://{}", server.address)));
    assert_eq!(server.get("/healthz", &[]).status, 200, "the first URL is its own");

    let lines: Vec<&str> = welcome.lines().filter(|line| is_command(line)).collect();
    let mut typed = Command::new("bash");
    typed.args(["-c", &lines.join("\necho ---\n")]).env_clear();
    typed.env("PATH", std::env::var_os("PATH").unwrap());
    let output = typed.output().unwrap();
    let (shown, trouble) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let parts: Vec<&str> = shown.split("---\n").collect();
    let [ticket, checked, renewed, rotated] = parts[..] else { panic!("{shown}\n{trouble}") };
    assert_eq!(ticket.trim().len(), 182, "a ticket: {ticket}");
    assert!(checked.starts_with("HTTP/1.1 200 OK\r\n"), "{checked}");
    assert!(checked.contains("\r\nx-auth-appid: wx0123456789abcdef\r\n"), "{checked}");
    assert!(renewed.starts_with("HTTP/1.1 200 OK\r\n") && renewed.contains("\"ticket\":\""), "{renewed}");
    assert!(rotated.starts_with("added ticket-"), "{rotated}\n{trouble}");
    assert_eq!(server.verify(ticket.trim()).status, 200, "the ticket goes on working");
    server.stop();
}
