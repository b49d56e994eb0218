//! Endpoint URLs: every row of the table, every mistake, and random text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_core::{Address, Endpoint, ErrorKind, Framing, Host, Options, Scheme, Waiting};
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn kind(text: &str) -> ErrorKind {
    Endpoint::parse(text).expect_err(text).kind()
}

fn message(text: &str) -> String {
    Endpoint::parse(text).expect_err(text).to_string()
}

#[test]
fn every_form_of_address_is_read_and_written_back() {
    let path = |path: &str| Address::Path(path.into());
    let host = |host, port| Address::Host { host, port };
    let rows = [
        ("inproc://#1", Scheme::Inproc, Address::Name("#1".into())),
        ("inproc://a?b=c&%", Scheme::Inproc, Address::Name("a?b=c&%".into())),
        ("inproc:// *://", Scheme::Inproc, Address::Name(" *://".into())),
        ("pipe://stdin", Scheme::Pipe, Address::Stdin),
        ("pipe://stdout", Scheme::Pipe, Address::Stdout),
        ("pipe://fd/3", Scheme::Pipe, Address::Descriptor(3)),
        ("fifo:///tmp/x", Scheme::Fifo, path("/tmp/x")),
        ("fifo://x", Scheme::Fifo, path("x")),
        ("fifo://a%20b%3F%25", Scheme::Fifo, path("a b?%")),
        ("fifo://größe", Scheme::Fifo, path("größe")),
        ("unix://@bus", Scheme::Unix, Address::Abstract(b"bus".into())),
        ("unix://./@bus", Scheme::Unix, path("./@bus")),
        ("unix://%40bus", Scheme::Unix, path("@bus")),
        ("unix://fd/3", Scheme::Unix, Address::Descriptor(3)),
        ("unixgram:///a", Scheme::UnixGram, path("/a")),
        ("unixpacket:///a", Scheme::UnixPacket, path("/a")),
        ("tcp://127.0.0.1:2000", Scheme::Tcp, host(Host::V4([127, 0, 0, 1].into()), 2000)),
        ("tcp://[::1]:0", Scheme::Tcp, host(Host::V6(1u128.into()), 0)),
        ("tcp://*:65535", Scheme::Tcp, host(Host::Any, 65535)),
        ("udp://localhost:1", Scheme::Udp, host(Host::Name("localhost".into()), 1)),
        ("mq://jobs", Scheme::Mq, Address::Object("jobs".into())),
        ("shm://#1", Scheme::Shm, Address::Object("#1".into())),
        ("sysvmsg://jobs?id=a", Scheme::SysvMsg, path("jobs")),
        ("sysvmsg://%30x1?id=%26", Scheme::SysvMsg, path("0x1")),
        ("sysvshm://0x61010002", Scheme::SysvShm, Address::Key(0x6101_0002)),
    ];
    for (text, scheme, address) in rows {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(endpoint.scheme(), scheme, "{text}");
        assert_eq!(endpoint.address(), &address, "{text}");
        assert_eq!(endpoint.to_string(), text);
    }
}

#[test]
fn other_spellings_mean_the_same() {
    for (one, other) in [
        ("ipc:///a", "unix:///a"),
        ("mq:///jobs", "mq://jobs"),
        ("tcp://*:*", "tcp://*:0"),
        ("fifo://x?capacity=64K", "fifo://x?capacity=65536"),
        ("fifo://x?mode=600", "fifo://x?mode=0600"),
        ("fifo://x?framing=lines&mode=0600", "fifo://x?mode=0600&framing=lines"),
        ("sysvmsg://0x0000000A", "sysvmsg://0xa"),
    ] {
        assert_eq!(Endpoint::parse(one).unwrap(), Endpoint::parse(other).unwrap());
    }
}

#[test]
fn every_option_is_read() {
    let text =
        "fifo://x?mode=0640&framing=fixed:255&max_message=1M&capacity=4096&waiting=block&persist=true";
    let options = Options::default()
        .mode(0o640)
        .framing(Framing::Fixed(255))
        .max_message(1 << 20)
        .capacity(4096)
        .waiting(Waiting::Block)
        .persist(true);
    assert_eq!(Endpoint::parse(text).unwrap().options(), &options);

    let unix = Endpoint::parse("unix://x?uid=1000&backlog=5").unwrap();
    assert_eq!((unix.options().uid, unix.options().backlog), (Some(1000), Some(5)));
    assert_eq!(Endpoint::parse("mq://x?priority=31").unwrap().options().priority, Some(31));
    let sysv = Endpoint::parse("sysvmsg://x?id=a&type=-7").unwrap();
    assert_eq!(sysv.options().id.unwrap().get(), b'a');
    assert_eq!(sysv.options().message_type, Some(-7));
}

#[test]
fn what_is_wrong_gets_the_fitting_kind() {
    use ErrorKind::*;
    for (text, expected) in [
        ("", InvalidEndpoint),
        ("/tmp/x", InvalidEndpoint),
        ("://x", InvalidEndpoint),
        ("inproc://", InvalidEndpoint),
        ("fifo://", InvalidEndpoint),
        ("fifo://?mode=0600", InvalidEndpoint),
        ("fifo://a%0", InvalidEndpoint),
        ("fifo://a%zz", InvalidEndpoint),
        ("fifo://a%00b", InvalidEndpoint),
        ("pipe://3", InvalidEndpoint),
        ("pipe://fd/", InvalidEndpoint),
        ("pipe://fd/+3", InvalidEndpoint),
        ("pipe://fd/2147483648", InvalidEndpoint),
        ("unix://@", InvalidEndpoint),
        ("tcp://127.0.0.1", InvalidEndpoint),
        ("tcp://:1", InvalidEndpoint),
        ("tcp://1.2.3:1", InvalidEndpoint),
        ("tcp://::1:1", InvalidEndpoint),
        ("tcp://a b:1", InvalidEndpoint),
        ("tcp://localhost:65536", InvalidEndpoint),
        ("tcp://localhost:+1", InvalidEndpoint),
        ("mq://", InvalidEndpoint),
        ("mq://.", InvalidEndpoint),
        ("shm://..", InvalidEndpoint),
        ("shm://a/b", InvalidEndpoint),
        ("shm:////a", InvalidEndpoint),
        ("sysvmsg://x", InvalidEndpoint),
        ("sysvmsg://0x0", InvalidEndpoint),
        ("sysvmsg://0x", InvalidEndpoint),
        ("sysvmsg://0x123456789", InvalidEndpoint),
        ("sysvmsg://0x+1", InvalidEndpoint),
        ("FIFO:///tmp/x", UnknownScheme),
        ("http://x", UnknownScheme),
        ("fifo://x?color=red", UnknownOption),
        ("fifo://x?priority=1", UnknownOption),
        ("mq://x?framing=lines", UnknownOption),
        ("fifo://x?", InvalidOption),
        ("fifo://x?mode", InvalidOption),
        ("fifo://x?mode=0600&", InvalidOption),
        ("fifo://x?mode=0600&mode=0600", InvalidOption),
        ("fifo://x?mode=", InvalidOption),
        ("fifo://x?mode=8", InvalidOption),
        ("fifo://x?mode=1777", InvalidOption),
        ("fifo://x?mode=+600", InvalidOption),
        ("fifo://x?capacity=0", InvalidOption),
        ("fifo://x?capacity=-1", InvalidOption),
        ("fifo://x?capacity=99999999999G", InvalidOption),
        ("fifo://x?framing=fixed:0", InvalidOption),
        ("fifo://x?framing=fixed:4294967296", InvalidOption),
        ("fifo://x?framing=fixed:+1", InvalidOption),
        ("fifo://x?framing=fixed:5&max_message=4", InvalidOption),
        ("tcp://x:1?max_message=4&framing=fixed:5", InvalidOption),
        ("fifo://x?waiting=never", InvalidOption),
        ("fifo://x?persist=yes", InvalidOption),
        ("mq://x?priority=32768", InvalidOption),
        ("sysvmsg://0x1?id=a", InvalidOption),
        ("sysvmsg://x?id=ab", InvalidOption),
        ("sysvmsg://x?id=%00", InvalidOption),
    ] {
        assert_eq!(kind(text), expected, "{text}: {}", message(text));
    }
}

#[test]
fn names_have_a_longest_length() {
    let rows = [
        ("inproc://", 256),
        ("fifo://", 255),
        ("mq://", 255),
        ("shm:///", 255),
        ("unix://", 107),
        ("unix://@", 107),
    ];
    for (prefix, longest) in rows {
        let name = |length| format!("{prefix}{}", "n".repeat(length));
        Endpoint::parse(name(longest)).unwrap();
        assert_eq!(kind(&name(longest + 1)), ErrorKind::NameTooLong, "{prefix}");
    }
    // Characters of a name in the process, bytes of one in the file system.
    Endpoint::parse(format!("inproc://{}", "ö".repeat(256))).unwrap();
    assert_eq!(kind(&format!("inproc://{}", "ö".repeat(257))), ErrorKind::NameTooLong);
    assert_eq!(kind(&format!("mq://{}", "ö".repeat(128))), ErrorKind::NameTooLong);
    assert_eq!(kind(&format!("fifo://{}", "a/".repeat(2048))), ErrorKind::NameTooLong);
    assert_eq!(kind(&"x".repeat(Endpoint::MAX_LEN + 1)), ErrorKind::NameTooLong);
}

#[test]
fn errors_say_what_where_and_what_would_be_right() {
    for (text, expected) in [
        (
            "FIFO://x",
            "parse FIFO://x: unknown scheme: schemes are lower case; the schemes are inproc, pipe, fifo, \
             unix, unixgram, unixpacket, tcp, udp, mq, sysvmsg, shm, sysvshm and ipc, which is unix",
        ),
        (
            "pipe://stdin?color=red",
            "parse pipe://stdin?color=red: unknown option: color; \
             pipe knows framing, max_message, capacity, waiting",
        ),
        (
            "mq://x?priority=40000",
            "parse mq://x?priority=40000: an option's value is not valid: \
             priority is 40000, but must be a number from 0 to 32767",
        ),
        (
            "fifo://x?mode=0600&mode=0600",
            "parse fifo://x?mode=0600&mode=0600: an option's value is not valid: mode is there twice",
        ),
    ] {
        assert_eq!(message(text), expected);
    }
    let long = message(&format!("inproc://{}\n", "n".repeat(400)));
    assert!(
        long.contains("401 characters: inproc_name_max is 256; ")
            && !long.contains('\n')
            && long.len() < 400,
        "{long}"
    );
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let made = |scheme, address, options| Endpoint::new(scheme, address, options).map_err(|e| e.kind());
    let path = || Address::Path("x".into());
    assert_eq!(made(Scheme::Mq, path(), Options::default()), Err(ErrorKind::InvalidEndpoint));
    let options = Options::default();
    assert_eq!(made(Scheme::Fifo, path(), options.clone().priority(1)), Err(ErrorKind::UnknownOption));
    let nothing = options.clone().framing(Framing::Fixed(0));
    assert_eq!(made(Scheme::Fifo, path(), nothing), Err(ErrorKind::InvalidOption));
    let options = options.mode(0o10000);
    assert_eq!(made(Scheme::Fifo, path(), options.clone()), Err(ErrorKind::InvalidOption));
    assert_eq!(made(Scheme::Inproc, Address::Name("x".into()), options), Err(ErrorKind::UnknownOption));
    let host = Address::Host { host: Host::Name("::1".into()), port: 1 };
    assert_eq!(made(Scheme::Tcp, host, Options::default()), Err(ErrorKind::InvalidEndpoint));
}

#[test]
fn other_options_make_another_endpoint_and_are_checked_too() {
    let endpoint = Endpoint::parse("fifo://x?mode=0640").unwrap();
    let other = endpoint.clone().with_options(Options::default().capacity(4096)).unwrap();
    assert_eq!(other.to_string(), "fifo://x?capacity=4096");
    let error = endpoint.with_options(Options::default().priority(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOption);
}

#[test]
fn a_transport_tells_which_schemes_are_its_own() {
    let endpoint = Endpoint::parse("mq://x").unwrap();
    endpoint.require(&[Scheme::Mq], "bind").unwrap();
    let error = endpoint.require(&[Scheme::Unix, Scheme::Tcp], "bind").unwrap_err();
    assert_eq!(error.to_string(), "bind mq://x: unknown scheme: this transport's are: unix, tcp");
}

/// A name of any bytes but those that the rules for names forbid.
fn name(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..=max).prop_filter("allowed", |name| {
        !name.contains(&0) && !name.contains(&b'/') && name != b"." && name != b".."
    })
}

proptest! {
    #[test]
    fn any_path_is_written_and_read_back(name in name(107), scheme in 0usize..12) {
        let os = OsString::from_vec(name.clone());
        let mut options = Options::default();
        let (scheme, address) = match Scheme::ALL[scheme] {
            scheme @ (Scheme::Mq | Scheme::Shm) => (scheme, Address::Object(os)),
            scheme @ (Scheme::SysvMsg | Scheme::SysvShm) => {
                options.id = std::num::NonZeroU8::new(name[0]);
                (scheme, Address::Path(os.into()))
            }
            scheme @ (Scheme::Fifo | Scheme::Unix | Scheme::UnixPacket) => (scheme, Address::Path(os.into())),
            Scheme::Inproc => (Scheme::Inproc, Address::Name(String::from_utf8_lossy(&name).into())),
            _ => (Scheme::UnixGram, Address::Abstract(name)),
        };
        let endpoint = Endpoint::new(scheme, address, options).unwrap();
        prop_assert_eq!(Endpoint::parse(endpoint.to_string()).unwrap(), endpoint);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Endpoint::parse(bytes);
    }
}

/// Pieces that endpoints are made of, so that random text gets past the first checks.
const PIECES: &[&[u8]] = &[
    b"inproc",
    b"pipe",
    b"fifo",
    b"unix",
    b"unixgram",
    b"unixpacket",
    b"ipc",
    b"tcp",
    b"udp",
    b"mq",
    b"sysvmsg",
    b"shm",
    b"sysvshm",
    b"://",
    b"://",
    b"://",
    b"/",
    b"@",
    b"fd/",
    b"stdin",
    b"*",
    b":",
    b"[::1]",
    b"127.0.0.1",
    b"localhost",
    b":2000",
    b"0x",
    b"?",
    b"?",
    b"&",
    b"=",
    b"mode=",
    b"0600",
    b"framing=",
    b"fixed:",
    b"lines",
    b"capacity=",
    b"64K",
    b"id=a",
    b"type=",
    b"-1",
    b"%",
    b"%2",
    b"%00",
    b"\xff",
    b"\xc3\xb6",
    b"priority=",
    b"99999999999999999999",
    b"waiting=spin",
    b" ",
    b"\0",
];

/// As many as `IPC_RANDOM_URLS` says; `cargo xtask test-all` asks for ten million, in a release build.
#[test]
fn random_urls_parse_without_a_panic() {
    let count: u64 = std::env::var("IPC_RANDOM_URLS").map_or(100_000, |count| count.parse().unwrap());
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut text = Vec::new();
    let mut good = 0;
    for _ in 0..count {
        text.clear();
        if random() % 2 == 0 {
            let scheme = Scheme::ALL[random() as usize % Scheme::ALL.len()];
            text.extend_from_slice(format!("{scheme}://").as_bytes());
        }
        for _ in 0..random() % 9 {
            let choice = random();
            match choice % 16 {
                0 => text.push((choice >> 32) as u8),
                _ => text.extend_from_slice(PIECES[(choice >> 32) as usize % PIECES.len()]),
            }
        }
        if let Ok(endpoint) = Endpoint::parse(&text) {
            good += 1;
            assert_eq!(Endpoint::parse(endpoint.to_string()).unwrap(), endpoint);
        }
    }
    println!("{count} random URLs, {good} of them endpoints");
    assert!(good > 0, "the pieces no longer make endpoints");
}
