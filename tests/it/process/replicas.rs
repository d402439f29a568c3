//! `keys check --replica` against an address where somebody else answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::support::{Keys, Reply, Upstream};

/// Somewhere that answers each request with `head` and then with `piece`, again and again until nobody listens.
fn endless(head: &'static str, piece: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let send = |stream: &mut TcpStream| -> std::io::Result<()> {
                let _ = stream.read(&mut [0; 4096])?;
                stream.write_all(head.as_bytes())?;
                loop {
                    stream.write_all(piece)?;
                }
            };
            drop(send(&mut stream));
        }
    });
    address
}

#[test]
fn an_answer_without_end_is_read_as_far_as_one_could_go() {
    let keys = Keys::init();
    let text = &[b'x'; 4096];
    let chunk = [b"1000\r\n", &text[..], b"\r\n"].concat().leak();
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n\r\n", &text[..]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", &text[..]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk[..]),
    ] {
        let outcome = keys.run(&["check", "--replica", &format!("http://{}", endless(head, piece))]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("answers with more than 1 MiB"), "{outcome:?}");
    }
}

#[test]
fn nothing_of_an_answer_reaches_the_terminal_as_it_came() {
    let keys = Keys::init();
    let good = r#""ticket_version":1"#;
    for (version, fingerprint) in [
        (r"\u001b[2J", "0011223344556677"),
        ("1.0", r"\u001b]0;owned\u0007"),
        ("1.0\\nok     keys", "0011223344556677"),
        ("", "0011223344556677"),
        (&*"9".repeat(65), "0011223344556677"),
        ("1.\u{202e}0", "0011223344556677"),
    ] {
        let body = format!(r#"{{"version":"{version}","fingerprint":"{fingerprint}",{good}}}"#);
        let replica = Upstream::start(move |_| Reply::Http("200 OK", body.clone()));
        let outcome = keys.run(&["check", "--replica", &format!("http://{}", replica.address)]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("answers something else than its keys"), "{outcome:?}");
        let is_plain = |text: &str| text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic());
        assert!(is_plain(&outcome.stdout) && is_plain(&outcome.stderr), "{outcome:?}");
    }
}
