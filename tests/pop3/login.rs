//! The AUTHORIZATION state: USER and PASS, AUTH, STLS, what is refused and how often. RFC 1939 §7, RFC 5034, RFC 2595.

use std::time::{Duration, Instant};

use crate::support::smtp::{base64, longest_plain, plain};
use crate::support::{Imap, Pop3, Server, USER, show};

#[test]
fn ways_in() {
    let server = Server::start("pop3-login");
    let password = server.password();
    let message = plain(USER, &password);
    for way in 0..5 {
        for tls in 0..3 {
            let mut pop3 = match tls {
                0 => server.pop3(),
                1 => server.pop3().stls(),
                _ => Pop3::connect_tls(server.port(995)).expect("a TLS connection"),
            };
            match way {
                0 => pop3.login(USER, &password),
                1 => assert!(pop3.ok(&format!("AUTH PLAIN {message}")).contains("0 messages")),
                2 => {
                    assert_eq!(challenge(&mut pop3, "AUTH plain"), "+ ");
                    pop3.ok(&message);
                }
                3 => {
                    assert_eq!(challenge(&mut pop3, "AUTH LOGIN"), "+ VXNlcm5hbWU6");
                    assert_eq!(challenge(&mut pop3, &base64(USER.as_bytes())), "+ UGFzc3dvcmQ6");
                    pop3.ok(&base64(password.as_bytes()));
                }
                _ => {
                    // Given up and begun again, which is no failed try.
                    for _ in 0..4 {
                        challenge(&mut pop3, "AUTH LOGIN");
                        pop3.err("*");
                    }
                    challenge(&mut pop3, &format!("AUTH LOGIN {}", base64(USER.as_bytes())));
                    pop3.ok(&base64(password.as_bytes()));
                }
            }
            assert_eq!(pop3.stat(), (0, 0));
            pop3.quit();
        }
    }
    let mut pop3 = server.pop3();
    assert_eq!(pop3.lines("AUTH"), ["PLAIN", "LOGIN"]);
    pop3.err("AUTH CRAM-MD5");
    pop3.err(&format!("PASS {password}"));
    pop3.ok(&format!("USER {USER}"));
    pop3.ok("CAPA");
    pop3.text().expect("capabilities");
    // The name holds until a password came.
    pop3.ok(&format!("PASS {password}"));
}

/// Sends a line that is answered by a challenge.
fn challenge(pop3: &mut Pop3, line: &str) -> String {
    pop3.wire.write(format!("{line}\r\n").as_bytes()).expect("the connection");
    String::from_utf8(pop3.wire.line().expect("a challenge")).expect("base64")
}

#[test]
fn every_refusal_is_alike_and_the_third_is_the_last() {
    let mut server = Server::start("pop3-refusals");
    let long = "x".repeat(1000);
    let ways: [&[String]; 7] = [
        &[format!("AUTH PLAIN {}", longest_plain())],
        &[format!("USER {USER}"), "PASS wrong".into()],
        &["USER nobody@localhost".into(), "PASS wrong".into()],
        &[format!("USER {long}"), "PASS wrong".into()],
        &[format!("AUTH PLAIN {}", plain(USER, "wrong"))],
        &[format!("AUTH PLAIN {}", base64(b"no message of PLAIN"))],
        &["AUTH PLAIN !!!".into()],
    ];
    let mut times = Vec::new();
    for way in ways {
        let mut pop3 = server.pop3();
        let (last, before) = way.split_last().expect("one line");
        before.iter().for_each(|line| drop(pop3.ok(line)));
        let begin = Instant::now();
        assert_eq!(pop3.err(last), "-ERR [AUTH] Authentication failed", "{last}");
        times.push(begin.elapsed());
    }
    println!("refusals took {times:?}");
    assert!(times.iter().all(|time| *time >= Duration::from_millis(490)), "one came early: {times:?}");
    // Three of them, whatever they are, and the connection is closed; these are the client's 8th to 10th.
    let mut pop3 = server.pop3();
    pop3.err("AUTH PLAIN !!!");
    pop3.ok(&format!("USER {USER}"));
    pop3.err("PASS wrong");
    pop3.err("AUTH PLAIN !!!");
    assert!(pop3.wire.rest().expect("the end").is_empty());
    server.assert_alive();
}

/// One lockout for all protocols.
#[test]
fn too_many_failures_lock_out() {
    let server = Server::start("pop3-lockout");
    for _ in 0..4 {
        let mut pop3 = server.pop3();
        for _ in 0..3 {
            assert_eq!(pop3.attempt_login(USER, "wrong").expect("an answer"), "-ERR [AUTH] Authentication failed");
        }
    }
    let mut pop3 = server.pop3();
    let answer = pop3.attempt_login(USER, &server.password()).expect("an answer");
    assert_eq!(answer, "-ERR [AUTH] Authentication failed", "the right password of one who is locked out");
    Imap::connect(server.port(143))
        .expect("a connection")
        .answered(&format!("LOGIN {USER} {}", server.password()), "NO [AUTHENTICATIONFAILED]");
}

#[test]
fn strangers_have_a_hundred_commands() {
    let mut server = Server::start("pop3-strangers");
    let mut pop3 = server.pop3();
    pop3.wire.write("NOOP\r\nfoo\r\n".repeat(60).as_bytes()).expect("the connection");
    let said = pop3.wire.rest().expect("the end");
    let said = String::from_utf8(said).expect("text");
    assert_eq!(said.lines().count(), 101, "{said}");
    assert!(said.ends_with("-ERR Too many commands before authentication\r\n"), "{said}");
    // A silent one, half a line and half an exchange hold nobody up, and end with the server.
    let open: Vec<Pop3> = ["", "US", "AUTH LOGIN\r\n", "AUTH PLAIN\r\nAAA"]
        .iter()
        .map(|octets| {
            let mut pop3 = server.pop3();
            pop3.wire.write(octets.as_bytes()).expect("the connection");
            pop3
        })
        .collect();
    server.assert_alive();
    server.stop();
    drop(open);
}

/// Attack 1 for POP3: what comes behind STLS in the clear is never answered within TLS.
#[test]
fn attack_01_stls_injection() {
    let mut server = Server::start("pop3-stls");
    for way in 0..3 {
        let mut pop3 = server.pop3();
        pop3.ok(&format!("USER {USER}"));
        let injected = b"CAPA\r\nUSER injected@localhost\r\n";
        let (before, after) = injected.split_at([injected.len(), injected.len() / 2, 0][way]);
        pop3.wire.write(&[b"STLS\r\n", before].concat()).expect("the connection");
        assert!(pop3.status().expect("an answer").starts_with("+OK"));
        let _ = pop3.wire.write(after);
        if let Ok(wire) = pop3.wire.into_tls() {
            let mut pop3 = Pop3::resume(wire);
            // Neither the name of before nor the injected one is known.
            pop3.expect("PASS x", "-ERR Send USER first");
            pop3.err("STLS");
            pop3.login(USER, &server.password());
        } else {
            assert!(way > 0, "what came with STLS is thrown away, and the handshake goes on");
        }
    }
    server.assert_alive();
}

#[test]
fn silence_ends_without_a_word_and_sessions_are_counted() {
    let server = Server::start_configured(
        "pop3-idle",
        "[pop3]\nidle_timeout = \"1s\"\nmax_sessions = 1\ngreeting = \"hello\"\n",
    );
    crate::fill(&server, &crate::small(1));
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.greeting, "+OK hello");
    let mut second = crate::support::Wire::connect(server.port(110)).expect("a connection");
    assert_eq!(show(&second.rest().expect("a close")), show(b"-ERR [SYS/TEMP] Too many sessions, try again later\r\n"));
    pop3.ok("DELE 1");
    let begin = Instant::now();
    // RFC 1939 §3: no UPDATE state, no response.
    assert!(pop3.wire.rest().expect("the end").is_empty());
    assert!(begin.elapsed() > Duration::from_millis(900), "closed after {:?}", begin.elapsed());
    drop(pop3);
    let again = crate::support::eventually("the session's place is free", Duration::from_secs(5), || {
        Pop3::connect(server.port(110)).ok()
    });
    let mut again = again;
    again.login(USER, &server.password());
    assert_eq!(again.stat().0, 1);
}

/// Where TLS is required, no password is taken before it, and none is asked for.
#[test]
fn tls_that_is_required() {
    let server = Server::start_with_tls_required("pop3-required", 110);
    let mut pop3 = server.pop3();
    let capabilities = pop3.lines("CAPA");
    assert!(capabilities.iter().any(|line| line == "STLS"), "{capabilities:?}");
    assert!(!capabilities.iter().any(|line| line == "USER" || line.starts_with("SASL")), "{capabilities:?}");
    let auth = format!("AUTH PLAIN {}", plain(USER, &server.password()));
    for command in [&format!("USER {USER}"), &format!("PASS {}", server.password()), "AUTH", &auth, "AUTH LOGIN"] {
        pop3.expect(command, "-ERR Use TLS first");
    }
    let mut pop3 = pop3.stls();
    pop3.ok(&auth);
    pop3.quit();
}
