use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::*;

/// What is there so far, a step at a time, and then nothing more.
fn all(bytes: &[u8], step: usize) -> io::Result<Value> {
    let mut input = Input::default();
    for piece in bytes.chunks(step) {
        input.room()[..piece.len()].copy_from_slice(piece);
        input.filled += piece.len();
        if let Some(value) = input.value(false)? {
            return Ok(value);
        }
    }
    input.value(true)?.ok_or_else(malformed)
}

#[test]
fn an_answer_is_the_same_however_it_arrives_and_half_of_one_is_none() {
    let bytes = b"*4\r\n$5\r\na\r\nbc\r\n:-7\r\n*2\r\n$-1\r\n+OK\r\n-ERR no\r\n";
    let whole = Value::Array(vec![
        Value::BulkString(b"a\r\nbc".to_vec()),
        Value::Integer(-7),
        Value::Array(vec![Value::Null, Value::SimpleString(b"OK".to_vec())]),
        Value::Error("ERR no".into()),
    ]);
    for step in 1..=bytes.len() {
        assert_eq!(all(bytes, step).unwrap(), whole);
    }
    for end in 0..bytes.len() {
        assert!(all(&bytes[..end], 3).is_err(), "cut at {end}");
    }
}

/// A connection, and the other end.
fn connected() -> (RedisConnection, UnixStream) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis");
    let listener = UnixListener::bind(&path).unwrap();
    let connection = RedisConnection::open(&Endpoint::Unix(path)).unwrap();
    (connection, listener.accept().unwrap().0)
}

#[test]
fn an_answer_that_is_not_waited_for_is_heard_once_it_is_whole_however_it_arrives() {
    let (mut connection, mut redis) = connected();
    let answer = b"*2\r\n$4\r\na\r\nb\r\n*1\r\n-ERR no\r\n";
    for _ in 0..2 {
        connection.ask(&["XREAD"], CONNECT).unwrap();
        for byte in answer {
            assert!(matches!(
                connection.answer_now().unwrap(),
                AnswerHeard::NotYet
            ));
            redis.write_all(&[*byte]).unwrap();
        }
        let AnswerHeard::All(value) = connection.answer_now().unwrap() else {
            panic!("all of it is there");
        };
        assert_eq!(value, all(answer, 5).unwrap());
    }
    drop(redis);
    assert!(connection.answer_now().is_err());
}

#[test]
fn a_long_answer_is_for_those_who_may_wait() {
    let (mut connection, mut redis) = connected();
    connection.ask(&["XREAD"], CONNECT).unwrap();
    let length = 2 * LOOK_MAX_BYTES;
    redis
        .write_all(format!("${length}\r\n").as_bytes())
        .unwrap();
    let writing = std::thread::spawn(move || {
        let rest = [vec![b'x'; length], b"\r\n+OK\r\n".to_vec()].concat();
        redis.write_all(&rest).unwrap();
        redis
    });
    while !matches!(connection.answer_now().unwrap(), AnswerHeard::Much) {
        std::thread::yield_now();
    }
    let answer = connection.answer().unwrap();
    assert_eq!(answer.as_bytes().map(<[u8]>::len), Some(length));
    assert_eq!(
        connection.answer().unwrap(),
        Value::SimpleString(b"OK".to_vec())
    );
    drop(writing.join().unwrap());
}

#[test]
fn a_command_that_is_not_taken_at_once_is_sent_on_when_its_answer_is_asked_for() {
    let (mut connection, mut redis) = connected();
    let payload = vec![b'x'; 8 << 20];
    assert!(!connection.ask_now(&[&payload], CONNECT).unwrap());
    assert!(matches!(
        connection.answer_now().unwrap(),
        AnswerHeard::NotYet
    ));
    let reading = std::thread::spawn(move || {
        let mut command = Vec::new();
        write(&mut command, &[&payload]).unwrap();
        let mut read = vec![0; command.len()];
        redis.read_exact(&mut read).unwrap();
        redis.write_all(b"+OK\r\n").unwrap();
        assert!(read == command);
    });
    assert_eq!(
        connection.answer().unwrap(),
        Value::SimpleString(b"OK".to_vec())
    );
    reading.join().unwrap();
}

#[test]
fn two_commands_go_in_one_piece_and_their_answers_are_heard_in_turn_however_they_arrive() {
    let (mut connection, mut redis) = connected();
    let commands = b"*1\r\n$4\r\nXADD\r\n*1\r\n$5\r\nXREAD\r\n";
    let answers = b"+OK\r\n*1\r\n$4\r\na\r\nb\r\n";
    for step in 1..=answers.len() {
        connection.ask_both_now(&["XADD"], &["XREAD"]).unwrap();
        let mut asked = vec![0; commands.len()];
        redis.read_exact(&mut asked).unwrap();
        assert_eq!(asked, commands);
        let mut heard = Vec::new();
        for part in answers.chunks(step) {
            redis.write_all(part).unwrap();
            if heard.is_empty()
                && let AnswerHeard::All(value) = connection.answer_now().unwrap()
            {
                heard.push(value);
            }
            if heard.len() == 1
                && let AnswerHeard::All(value) = connection.second_now(1000).unwrap()
            {
                heard.push(value);
            }
        }
        assert_eq!(
            heard,
            [&answers[..5], &answers[5..]].map(|it| all(it, 9).unwrap())
        );
    }
}

#[test]
fn what_is_no_answer_is_an_error_and_reserves_no_memory() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"$-2\r\n",
        b"$99999999999999999999\r\n",
        b"$600000000\r\n",
        b"*4194305\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        b"$1\r\nabc\r\n",
        b"*-2\r\n",
        b"*1\n",
        b"$1\n1\r\n",
        b"+OK\n",
        b":x\r\n",
        b"-\xff\r\n",
        &[b"-", &*vec![b'x'; LINE_MAX_BYTES], b"\r\n"].concat(),
        &[b"*", &*vec![b'0'; LINE_MAX_BYTES], b"1\r\n:1\r\n"].concat(),
        &b"*1\r\n".repeat(100_000),
        &b"*2\r\n:1\r\n".repeat(100_000),
    ] {
        assert!(all(bytes, 5).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_command_is_written_as_counted_words() {
    let mut out = Vec::new();
    write(&mut out, &["XADD", "a b"]).unwrap();
    assert_eq!(out, b"*2\r\n$4\r\nXADD\r\n$3\r\na b\r\n");
    for length in (0..=7).map(|digits| 10_usize.pow(digits)) {
        for length in [length - 1, length] {
            let mut out = Vec::new();
            write(&mut out, &["x".repeat(length)]).unwrap();
            let word = format!("*1\r\n${length}\r\n{}\r\n", "x".repeat(length));
            assert!(out == word.as_bytes(), "{length}");
        }
    }
}
